"""Reads and checks the results folder of an experiment: what was run, and every patient's scores in every arm."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scripts.metrics.statistics import average_by_patient
from scripts.report.ensemble import Ensemble, read_ensemble
from scripts.scores.results_files import ResultsError, read_json, read_rows

KINDS = ("baseline", "alternative", "gan")
METRICS = ("dice", "iou", "hd95_mm", "volume_error_ml")
COLUMNS = ("patient", "class", "label", *METRICS)
REQUIRED = ("title", "dataset", "arms", "baseline", "folds", "seeds")
OPTIONAL = ("image_size", "command", "commit", "hardware", "seconds", "versions", "published", "captions", "ensemble")
OPTIONAL_OF_DATASET = ("path", "patients", "slices", "classes")
OF_NEAREST = ("images", "median", "least")
EXAMPLE = '{"name": "gan", "title": "Real and synthetic", "kind": "gan", "synthetic": {"A": 10}}'
Key = tuple[str, int | None, int, str]  # patient, fold (None: the data set's own split), seed, label


@dataclass(frozen=True)
class Arm:
    """One way of training: its short name, its title in the report, its kind, and synthetic images per class."""

    name: str
    title: str
    kind: str
    synthetic: dict[str, int]


@dataclass(frozen=True)
class Scores:
    """All arms' scores over the same keys (patient, fold, seed, label).

    `values[metric][arm]` is (keys,), volume errors by their absolute value; `classes` maps each patient to its class;
    `left_out` counts the keys dropped because the label is in neither the reference nor some arm's prediction.
    """

    keys: list[Key]
    classes: dict[str, str]
    values: dict[str, dict[str, NDArray[np.float64]]]
    left_out: int

    def by_patient(
        self, arm: str, metric: str = "dice", *, label: str | None = None, seed: int | None = None
    ) -> dict[str, float]:
        """Each patient's mean over labels (or of one), folds and seeds (or of one); NaN where nowhere defined."""
        rows = [i for i, key in enumerate(self.keys) if label in (None, key[3]) and seed in (None, key[2])]
        names, means = average_by_patient([self.keys[index][0] for index in rows], self.values[metric][arm][rows])
        return dict(zip(names, means.tolist(), strict=True))

    def by_training(self, arm: str, metric: str = "dice", *, label: str | None = None) -> dict[int, float]:
        """Each seed's mean over patients, where it is defined for any: what a single training scores."""
        found = {}
        for seed in dict.fromkeys(key[2] for key in self.keys):
            values = np.array(list(self.by_patient(arm, metric, label=label, seed=seed).values()))
            if not np.isnan(values).all():
                found[seed] = float(np.nanmean(values))
        return found

    @property
    def labels(self) -> list[str]:
        """The scored labels, in the files' order."""
        return list(dict.fromkeys(key[3] for key in self.keys))


class HasArms:
    """What was found of several arms, of which one is the baseline."""

    arms: list[Arm]

    @property
    def baseline(self) -> Arm:
        return next(arm for arm in self.arms if arm.kind == "baseline")

    def of_kind(self, kind: str) -> list[Arm]:
        return [arm for arm in self.arms if arm.kind == kind]


@dataclass(frozen=True)
class Results(HasArms):
    """A checked results folder: its JSON files, missing optional keys of `experiment` as None, and its other files."""

    folder: Path
    experiment: dict[str, Any]
    arms: list[Arm]
    scores: Scores
    quality: dict[str, Any]
    curves: list[Path]
    pictures: list[Path]
    ensemble: Ensemble | None = None

    @property
    def class_names(self) -> list[str]:
        """The data set's classes, then any others that scored patients have."""
        named = self.experiment["dataset"]["classes"] or {}
        return list(dict.fromkeys([*named, *sorted(set(self.scores.classes.values()))]))


def read_results(results_dir: str | Path) -> Results:
    """Read a results folder.

    Args:
        results_dir: folder with `experiment.json` and `arms/<arm>/fold<k>_seed<s>.csv`; `quality.json`,
            `curves/*.csv` and `pictures/*.png` are optional.

    Raises:
        ResultsError: a file is missing, malformed, or disagrees with another one.
    """
    folder = Path(results_dir)
    experiment = read_experiment(folder / "experiment.json")
    for name, counts in (experiment["dataset"]["classes"] or {}).items():
        if "slices" not in counts:
            raise ResultsError(f"{folder / 'experiment.json'}: class {name!r} has no 'slices', its number of images.")
    arms = read_arms(experiment, folder / "experiment.json")
    ensemble = None
    if experiment["ensemble"] is not None:
        names = [arm.name for arm in arms if arm.kind != "baseline"]
        ensemble = read_ensemble(experiment["ensemble"], names, folder / "experiment.json")
    pictures = sorted((folder / "pictures").glob("*.png"))
    check_captions(experiment["captions"], pictures, folder / "experiment.json")
    quality = read_json(folder / "quality.json") if (folder / "quality.json").exists() else {}
    return Results(
        folder=folder,
        experiment=experiment,
        arms=arms,
        scores=_read_scores(folder, arms, experiment["folds"], experiment["seeds"]),
        quality=quality,
        curves=sorted((folder / "curves").glob("*.csv")),
        pictures=pictures,
        ensemble=ensemble,
    )


def read_experiment(file: Path, *further: str) -> dict[str, Any]:
    """The JSON object of an experiment with the required and `further` keys, optional ones that are missing as None."""
    required = [*REQUIRED, *further]
    experiment = read_json(file)
    missing = [key for key in required if key not in experiment]
    if missing or "name" not in experiment["dataset"]:
        raise ResultsError(f"{file} lacks {missing or ['dataset.name']}; expected the keys {required}.")
    dataset = dict.fromkeys(OPTIONAL_OF_DATASET) | experiment["dataset"]
    return {**dict.fromkeys(OPTIONAL), **experiment, "dataset": dataset}


def read_curve(path: Path) -> tuple[str, dict[str, NDArray[np.float64]]]:
    """Read a loss curve.

    Args:
        path: CSV whose first column counts epochs or iterations and whose others are losses; empty cells are NaN.

    Returns:
        The name of the first column, and {column: (rows,)} with the first column among them.
    """
    rows = list(read_rows(path, minimum=2))
    columns = list(rows[0])
    try:
        table = {name: np.array([float(row[name] or "nan") for row in rows]) for name in columns}
    except ValueError as error:
        raise ResultsError(f"{path}: {error}; expected numbers under the header {columns}.") from error
    return columns[0], table


def read_arms(experiment: dict[str, Any], path: Path) -> list[Arm]:
    """The arms of an experiment read from a file, with exactly one baseline, the one it names."""
    arms = []
    for entry in experiment["arms"]:
        if not {"name", "kind"} <= set(entry) or entry["kind"] not in KINDS:
            raise ResultsError(f"{path}: arm {entry!r}; expected kind to be one of {KINDS}, such as {EXAMPLE}.")
        arms.append(Arm(entry["name"], entry.get("title", entry["name"]), entry["kind"], entry.get("synthetic") or {}))
    names = [arm.name for arm in arms]
    baselines = [arm.name for arm in arms if arm.kind == "baseline"]
    if len(set(names)) != len(names):
        raise ResultsError(f"{path}: arm names {names} repeat; expected each once.")
    if baselines != [experiment["baseline"]]:
        raise ResultsError(
            f"{path}: baseline is {experiment['baseline']!r} but the arms of kind 'baseline' are {baselines}; "
            "expected exactly that one."
        )
    return arms


def check_captions(captions: Any, pictures: list[Path], path: Path) -> None:
    """Refuses captions in a file that are no texts or that no picture goes with."""
    if captions is None:
        return
    if not isinstance(captions, dict) or not all(isinstance(text, str) and text for text in captions.values()):
        raise ResultsError(f"{path}: captions is {captions!r}; expected an object, one text per picture.")
    unknown = sorted(set(captions) - {picture.stem for picture in pictures})
    if unknown:
        raise ResultsError(
            f"{path}: captions for {unknown}, but the pictures are {[picture.stem for picture in pictures]}; name a "
            "picture's file without .png, or run the job that draws it."
        )


def check_nearest(nearest: Any, path: Path) -> None:
    """Refuses distances to the nearest training sample, in a file by part, that lack a number; None is allowed."""
    for part, numbers in (nearest or {}).items():
        if not isinstance(numbers, dict) or not all(is_number(numbers.get(key)) for key in OF_NEAREST):
            raise ResultsError(f"{path}: nearest of {part!r} is {numbers!r}; expected the numbers {list(OF_NEAREST)}.")


def is_number(value: Any) -> bool:
    """Whether it is a JSON number from 0 on."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


def run_files(folder: Path, folds: list[int | None], seeds: list[int]) -> Iterator[tuple[int | None, int, Path]]:
    """Fold, seed and file of every run of an arm; fold None is the data set's own split."""
    for fold in folds:
        for seed in seeds:
            yield fold, seed, folder / f"fold{fold}_seed{seed}.csv"


def _read_scores(folder: Path, arms: list[Arm], folds: list[int | None], seeds: list[int]) -> Scores:
    """Scores over keys common to all arms; keys with an undefined Dice in any arm are left out of all.

    Dice is NaN only where reference and prediction both lack the label. Dropping that key from one arm alone would
    spare the others' false positives in the first and count them in the rest.
    """
    classes: dict[str, str] = {}
    tables: dict[str, dict[Key, list[float]]] = {}
    for arm in arms:
        tables[arm.name] = {}
        for fold, seed, path in run_files(folder / "arms" / arm.name, folds, seeds):
            tables[arm.name] |= _read_score_file(path, fold, seed, classes)
    first = arms[0].name
    for arm in arms[1:]:
        odd = sorted(set(tables[first]) ^ set(tables[arm.name]), key=str)
        if odd:
            raise ResultsError(
                f"Arms {first!r} and {arm.name!r} differ in {len(odd)} rows, such as (patient, fold, seed, label) = "
                f"{odd[0]}; expected every arm to be scored on the same patients. Run the evaluations again."
            )
    keys = [key for key in tables[first] if not any(math.isnan(table[key][0]) for table in tables.values())]
    if not keys:
        raise ResultsError(f"{folder / 'arms'}: no row has a Dice in every arm; check the reference masks.")
    values = {
        metric: {name: np.array([table[key][column] for key in keys]) for name, table in tables.items()}
        for column, metric in enumerate(METRICS)
    }
    return Scores(keys, classes, values, left_out=len(tables[first]) - len(keys))


def _read_score_file(path: Path, fold: int | None, seed: int, classes: dict[str, str]) -> dict[Key, list[float]]:
    """One run's scores by key; fills `classes` and checks it against what other files said."""
    table: dict[Key, list[float]] = {}
    for number, row in enumerate(read_rows(path), start=2):
        absent = [name for name in COLUMNS if name not in row]
        if absent:
            raise ResultsError(f"{path} lacks the columns {absent}; expected {','.join(COLUMNS)}.")
        patient, key = row["patient"], (row["patient"], fold, seed, row["label"])
        if classes.setdefault(patient, row["class"]) != row["class"]:
            raise ResultsError(
                f"{path}, line {number}: patient {patient!r} has class {row['class']!r}, elsewhere "
                f"{classes[patient]!r}; expected one class per patient."
            )
        if key in table:
            raise ResultsError(f"{path}, line {number}: patient {patient!r}, label {row['label']!r} occurs twice.")
        table[key] = [_read_number(row[metric], path, number, metric) for metric in METRICS]
        table[key][3] = abs(table[key][3])  # errors of either sign must not cancel in a mean
        if table[key][0] < 0 or table[key][0] > 1:
            raise ResultsError(f"{path}, line {number}: dice is {table[key][0]}; expected 0 to 1, or nan.")
    return table


def _read_number(text: str, path: Path, line: int, metric: str) -> float:
    try:
        value = float(text or "nan")
    except ValueError:
        raise ResultsError(f"{path}, line {line}: {metric} is {text!r}; expected a number or nan.") from None
    return value if math.isfinite(value) else math.nan  # a distance to an empty prediction is infinite: undefined
