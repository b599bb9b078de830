"""Reads and checks the results folder of a detection experiment, and scores and compares its detectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from scripts.metrics.box_detection import (
    Froc,
    false_positives_per_slice,
    mean_average_precision,
    sensitivity,
)
from scripts.metrics.box_matching import Matches, join_matches
from scripts.metrics.measure import Measure
from scripts.report.comparisons import Comparison, compare_trainings, correct
from scripts.report.results import Arm, HasArms, check_captions, check_nearest, is_number, read_arms, read_experiment
from scripts.scores.box_tables import IOUS, read_matches
from scripts.scores.results_files import ResultsError, read_json

MEASURES = ("mAP", "sensitivity", "false_positives_per_slice")
INTERVAL = ("value", "low", "high", "n")
PARTS = {"presence": ("present",), "placement": ("with_lesion", "area_inside")}  # shares with intervals of each part
KEYS = {
    "presence": ("criterion", "threshold", "images", "kept", "parts"),
    "placement": ("parts",),
}


@dataclass(frozen=True)
class Detectors(HasArms):
    """A checked results folder: what was run, and every training's matches.

    Attributes:
        experiment: `experiment.json`, optional keys that are missing as None.
        arms: in the file's order.
        matches: by arm and IoU, one entry for each seed, the patients of all folds together; all on the same truths.
        curves: loss curves, CSV.
        pictures: PNG.
    """

    experiment: dict[str, Any]
    arms: list[Arm]
    matches: dict[tuple[str, float], list[Matches]]
    curves: list[Path]
    pictures: list[Path]

    @property
    def detectors(self) -> dict[str, Any]:
        return self.experiment["detectors"]

    @property
    def threshold(self) -> float:
        """Lowest score that counts as a detection in sensitivity and false positives."""
        return self.detectors["detection_threshold"]

    @property
    def truths(self) -> Matches:
        """Some training's matches, for what all have in common: patients, slices and true boxes."""
        return self.matches[self.baseline.name, next(iter(IOUS))][0]

    @cached_property
    def frocs(self) -> dict[tuple[str, float], list[Froc]]:
        """Curves by arm and IoU, one for each seed."""
        return {key: [Froc(matches) for matches in trainings] for key, trainings in self.matches.items()}

    def published(self, arm: Arm, iou: float, measure: str) -> float | None:
        """The paper's figure, where it has one."""
        return self.detectors["published"].get(f"iou{IOUS[iou]}", {}).get(arm.name, {}).get(measure)


@dataclass(frozen=True)
class Compared:
    """An arm against the baseline in one measure; `rate` is the false positives per slice that both were held to."""

    measure: str
    result: Comparison
    rate: float | None = None


def has_detectors(folder: Path) -> bool:
    """Whether it holds a detection experiment."""
    return "detectors" in read_json(folder / "experiment.json")


def read_detectors(results_dir: str | Path) -> Detectors:
    """Read the results folder of a detection experiment.

    Args:
        results_dir: folder with `experiment.json`, whose `detectors` says `classes`, `detection_threshold` and
            optionally `published`, `presence`, `placement` and `nearest`, and with the tables of `write_box_tables` and
            `detection.json` in `arms/<arm>/fold<k>_seed<s>/`; `curves/*.csv` and `pictures/*.png` are optional.

    Raises:
        ResultsError: a file is missing, malformed, or disagrees with another one.
    """
    folder = Path(results_dir)
    file = folder / "experiment.json"
    experiment = read_experiment(file, "detectors")
    experiment["detectors"] = _read_description(experiment["detectors"], file)
    arms = read_arms(experiment, file)
    pictures = sorted((folder / "pictures").glob("*.png"))
    check_captions(experiment["captions"], pictures, file)
    matches = {(arm.name, iou): _read_trainings(folder, experiment, arm, iou) for arm in arms for iou in IOUS}
    _check_truths(matches, folder)
    return Detectors(experiment, arms, matches, sorted((folder / "curves").glob("*.csv")), pictures)


def measure_arm(results: Detectors, arm: Arm, iou: float) -> dict[str, list[Measure]]:
    """The paper's measures of an arm, each with an entry for every seed."""
    trainings, threshold = results.matches[arm.name, iou], results.threshold
    return {
        "mAP": [mean_average_precision(each) for each in trainings],
        "sensitivity": [sensitivity(each, threshold=threshold) for each in trainings],
        "false_positives_per_slice": [false_positives_per_slice(each, threshold=threshold) for each in trainings],
    }


def compare_detectors(results: Detectors, iou: float = 0.5) -> list[Compared]:
    """Every arm against the baseline in mAP and in sensitivity at equally many false positives; Holm over all.

    Trainings of the same seed are held to the same rate: the lower of those that the two make at the detection
    threshold, so that neither is judged at a rate that it does not reach.
    """
    baseline, found = results.baseline, []
    for arm in (arm for arm in results.arms if arm.kind != "baseline"):
        first, second = (measure_arm(results, each, iou)["mAP"] for each in (arm, baseline))
        found.append(Compared("mAP", compare_trainings(arm, baseline, first, second)))
        frocs = list(zip(results.frocs[arm.name, iou], results.frocs[baseline.name, iou], strict=True))
        first, second = (
            [
                pair[n].matched_sensitivity(*(each.matches for each in pair), threshold=results.threshold)
                for pair in frocs
            ]
            for n in (0, 1)
        )
        rates = [
            min(false_positives_per_slice(each.matches, threshold=results.threshold).value for each in pair)
            for pair in frocs
        ]
        found.append(Compared("sensitivity", compare_trainings(arm, baseline, first, second), float(np.mean(rates))))
    corrected = correct([each.result for each in found])
    return [replace(each, result=result) for each, result in zip(found, corrected, strict=True)]


def _read_description(entry: Any, file: Path) -> dict[str, Any]:
    """The checked `detectors` of an experiment."""
    threshold = entry.get("detection_threshold") if isinstance(entry, dict) else None
    if not is_number(threshold) or not entry.get("classes"):
        raise ResultsError(
            f"{file}: detectors is {entry!r}; expected an object with classes (names) and detection_threshold, such as "
            '{"classes": ["lesion"], "detection_threshold": 0.001}.'
        )
    optional = {key: entry.get(key) for key in (*PARTS, "nearest")}
    check_nearest(optional["nearest"], file)
    for name, shares in PARTS.items():
        if optional[name] is not None:
            _check_parts(name, optional[name], shares, file)
    published = entry.get("published") or {}
    _check_published(published, file)
    return {**entry, **optional, "published": published}


def _check_parts(name: str, entry: Any, shares: Sequence[str], file: Path) -> None:
    expected = f"{list(KEYS[name])}, and of each part boxes and {list(shares)} with {list(INTERVAL)}"
    fits = isinstance(entry, dict) and set(KEYS[name]) <= set(entry) and isinstance(entry["parts"], dict)
    if not fits:
        raise ResultsError(f"{file}: {name} is {entry!r}; expected {expected}. Run the evaluation of the images again.")
    for title, part in entry["parts"].items():
        found = [part.get(share) for share in shares] if isinstance(part, dict) and "boxes" in part else [None]
        if not all(isinstance(share, dict) and set(INTERVAL) <= set(share) for share in found):
            raise ResultsError(
                f"{file}: {name} of {title!r} is {part!r}; expected {expected}. Run the evaluation of the images again."
            )


def _check_published(published: Any, file: Path) -> None:
    """Arms that were not run are allowed."""
    example = '{"iou50": {"real": {"mAP": 0.51, "sensitivity": 0.67, "false_positives_per_slice": 4.11}}}'
    known = {f"iou{end}" for end in IOUS.values()}
    tables = list(published.values()) if isinstance(published, dict) and set(published) <= known else [None]
    for table in tables:
        arms: list[Any] = list(table.values()) if isinstance(table, dict) else [None]
        fits = all(isinstance(figures, dict) and set(figures) <= set(MEASURES) for figures in arms)
        if not fits or not all(is_number(value) for figures in arms for value in figures.values()):
            raise ResultsError(
                f"{file}: detectors.published is {published!r}; expected figures of "
                f"{list(MEASURES)} by IoU ({sorted(known)}) and arm, such as {example}."
            )


def _read_trainings(folder: Path, experiment: Mapping[str, Any], arm: Arm, iou: float) -> list[Matches]:
    """One entry for each seed."""
    trainings = []
    for seed in experiment["seeds"]:
        runs = [folder / "arms" / arm.name / f"fold{fold}_seed{seed}" for fold in experiment["folds"]]
        trainings.append(_pool_folds([_read_run(run, experiment["detectors"], iou) for run in runs], runs))
    return trainings


def _read_run(run: Path, described: Mapping[str, Any], iou: float) -> Matches:
    written = read_json(run / "detection.json")
    for key in ("classes", "detection_threshold"):
        if written.get(key) != described[key]:
            raise ResultsError(
                f"{run / 'detection.json'}: {key} is {written.get(key)!r}, in experiment.json {described[key]!r}; "
                "expected the same. Run the evaluations of all detectors with the same settings, then collect again."
            )
    try:
        return read_matches(run, described["classes"], iou)
    except (ValueError, IndexError) as error:
        place = "" if str(run) in str(error) else f"{run}: the tables of boxes do not fit together: "
        raise ResultsError(f"{place}{error}") from error


def _pool_folds(folds: Sequence[Matches], runs: Sequence[Path]) -> Matches:
    """Matches of several folds, each with patients of its own, as one set."""
    patients = [name for fold in folds for name in fold.patients]
    if twice := sorted({name for name in patients if patients.count(name) > 1}):
        raise ResultsError(
            f"{runs[0].parent}: the patients {twice[:3]} are tested in several folds of {[run.name for run in runs]}; "
            "expected each in one."
        )
    first_patients = np.cumsum([0, *(len(fold.patients) for fold in folds)])
    first_truths = np.cumsum([0, *(len(fold.areas) for fold in folds)])
    truths = [np.where(f.truths < 0, -1, f.truths + first) for f, first in zip(folds, first_truths, strict=False)]
    owners, true_owners = (
        np.concatenate([getattr(f, key) + first for f, first in zip(folds, first_patients, strict=False)])
        for key in ("owners", "true_owners")
    )
    joined = {
        key: np.concatenate([getattr(fold, key) for fold in folds])
        for key in ("slices", "scores", "classes", "true_classes", "areas")
    }
    return join_matches(
        folds[0].class_count, patients, truths=np.concatenate(truths), owners=owners, true_owners=true_owners, **joined
    )


def _check_truths(matches: Mapping[tuple[str, float], Sequence[Matches]], folder: Path) -> None:
    """Every training must have been tested on the same slices with the same true boxes."""
    (first, _), trainings = next(iter(matches.items()))
    reference = trainings[0]
    if not len(reference.areas):
        raise ResultsError(f"{folder / 'arms'}: the test slices have no true boxes; check the data set's boxes.")
    for (arm, _), trainings in matches.items():
        for each in trainings:
            same = each.patients == reference.patients
            for key in ("slices", "true_owners", "true_classes", "areas"):
                same = same and np.array_equal(getattr(each, key), getattr(reference, key))
            if not same:
                raise ResultsError(
                    f"{folder / 'arms'}: arms {first!r} and {arm!r} were tested on other patients, slices or true "
                    "boxes; expected the same in all arms and seeds. Run the evaluations again."
                )
