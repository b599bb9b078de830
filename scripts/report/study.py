"""Reads a study over fractions of the data, one results folder each, and computes what its page shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.metrics.detection import OUTCOMES, precision_recall_with_interval
from scripts.report.comparisons import Comparison, Estimate, compare_pair, correct, estimate_arm
from scripts.report.results import Arm, Results, read_results, run_files
from scripts.scores.results_files import ResultsError, read_json, read_rows

STUDY_FILE = "study.json"
REQUIRED = ("title", "fractions", "gan", "alternative")
OPTIONAL = ("command", "commit", "hardware", "seconds", "versions", "published")
DETECTION_COLUMNS = ("patient", "label", "outcome")
EXAMPLE = '{"fraction": 0.025, "folder": "fraction_0.025", "patients": 1, "slices": 40}'
UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)
DetectionRow = tuple[str, str, str]  # patient, label, outcome


@dataclass(frozen=True)
class Fraction:
    """One fraction of the training data: its share in (0, 1], its results, and what else its folder holds.

    `patients` and `slices` count the training data where known; `detections` has the rows of each arm, over folds and
    seeds, and no arms where they were not written; `selection` is the file on how generators were chosen.
    """

    share: float
    results: Results
    patients: int | None
    slices: int | None
    detections: dict[str, list[DetectionRow]]
    selection: dict[str, Any] | None

    @property
    def title(self) -> str:
        return f"{100 * self.share:g}%"

    @property
    def size(self) -> str:
        """The training data as text: "1 patient, 40 slices"; empty where not known."""
        counts = ((self.patients, "patient"), (self.slices, "slice"))
        return ", ".join(f"{n:,} {word}{'s' if n != 1 else ''}" for n, word in counts if n is not None)

    def has(self, *arms: Arm) -> bool:
        return {arm.name for arm in arms} <= {arm.name for arm in self.results.arms}


@dataclass(frozen=True)
class Study:
    """A checked study: its JSON with missing optional keys as None, fractions by size, and all arms that any ran.

    `gan` is the arm with the GAN on top of `alternative`, the cheap one; `gan_alone` the GAN without it, where run.
    """

    folder: Path
    description: dict[str, Any]
    fractions: list[Fraction]
    arms: list[Arm]
    gan: Arm
    alternative: Arm

    @property
    def baseline(self) -> Arm:
        return next(arm for arm in self.arms if arm.kind == "baseline")

    @property
    def gan_alone(self) -> Arm | None:
        return next((arm for arm in self.arms if arm.kind == "gan" and arm.name != self.gan.name), None)

    @property
    def labels(self) -> list[str]:
        """All fractions' scored labels."""
        return list(dict.fromkeys(label for f in self.fractions for label in f.results.scores.labels))

    @property
    def published_labels(self) -> list[str]:
        return list((self.description["published"] or {}).get("dice_by_label", {}))

    def published(self, table: str, arm: Arm, share: float, *, label: str | None = None) -> float | None:
        """A published figure, from `published[table][arm][share]`, or `published[table][label][arm][share]`."""
        entries = (self.description["published"] or {}).get(table, {})
        entries = entries if label is None else entries.get(label, {})
        figures = entries.get(arm.name, {}).items()
        return next((float(value) for key, value in figures if math.isclose(float(key), share)), None)


@dataclass(frozen=True)
class ArmScores:
    """An arm's Dice (mean over patients), precision and recall (over images and labels) at one fraction."""

    dice: Estimate
    precision: Estimate
    recall: Estimate


def read_study(study_dir: str | Path) -> Study:
    """Read the folder of a study.

    Args:
        study_dir: folder with `study.json` and, for each of its fractions, a results folder that may also hold
            `detections/<arm>/fold<k>_seed<s>.csv` (for all arms or none) and `selection.json`.

    Raises:
        ResultsError: a file is missing, malformed, or disagrees with another one.
    """
    folder = Path(study_dir)
    path = folder / STUDY_FILE
    description = read_json(path)
    missing = [key for key in REQUIRED if not description.get(key)]
    if missing:
        raise ResultsError(f"{path} lacks {missing}; expected the keys {list(REQUIRED)}.")
    if not isinstance(description["fractions"], list) or not all(isinstance(e, dict) for e in description["fractions"]):
        raise ResultsError(f"{path}: fractions is {description['fractions']!r}; expected a list such as [{EXAMPLE}].")
    description = dict.fromkeys(OPTIONAL) | description
    _check_published(description["published"] or {}, path)
    if not isinstance(description["seconds"] or {}, dict):
        raise ResultsError(f"{path}: seconds is {description['seconds']!r}; expected an object, one number per job.")
    fractions = sorted((_read_fraction(folder, entry) for entry in description["fractions"]), key=lambda f: f.share)
    _check_alike(fractions, path)
    most_arms_first = sorted(fractions, key=lambda fraction: -len(fraction.results.arms))
    named = {arm.name: arm for fraction in most_arms_first for arm in fraction.results.arms}
    for kind in ("gan", "alternative"):
        able = [arm.name for arm in named.values() if arm.kind == kind]
        if description[kind] not in able:
            raise ResultsError(f"{path}: {kind} is {description[kind]!r}; expected an arm of that kind, one of {able}.")
    arms = list(named.values())
    return Study(folder, description, fractions, arms, named[description["gan"]], named[description["alternative"]])


def _read_fraction(folder: Path, entry: dict[str, Any]) -> Fraction:
    share, name = entry.get("fraction"), entry.get("folder")
    if not isinstance(share, int | float) or not 0 < share <= 1 or not name:
        raise ResultsError(f"{folder / STUDY_FILE}: fraction {entry!r}; expected a share up to 1, such as {EXAMPLE}.")
    results = read_results(folder / name)
    chosen = results.folder / "selection.json"
    return Fraction(
        share=float(share),
        results=results,
        patients=entry.get("patients"),
        slices=entry.get("slices"),
        detections=_read_detections(results),
        selection=_read_selection(chosen) if chosen.exists() else None,
    )


def _read_detections(results: Results) -> dict[str, list[DetectionRow]]:
    folder = results.folder / "detections"
    if not folder.is_dir():
        return {}
    found: dict[str, list[DetectionRow]] = {}
    for arm in results.arms:
        found[arm.name] = []
        for _, _, path in run_files(folder / arm.name, results.experiment["folds"], results.experiment["seeds"]):
            for number, row in enumerate(read_rows(path, minimum=len(DETECTION_COLUMNS), allow_empty=True), start=2):
                if not set(DETECTION_COLUMNS) <= set(row) or row["outcome"] not in OUTCOMES:
                    raise ResultsError(
                        f"{path}, line {number}: {row}; expected the columns {list(DETECTION_COLUMNS)} and an outcome "
                        f"of {list(OUTCOMES)}. Run the evaluation again."
                    )
                found[arm.name].append((row["patient"], row["label"], row["outcome"]))
    return found


def _read_selection(path: Path) -> dict[str, Any]:
    """The file with every number that may be missing as None."""
    selection = read_json(path)
    candidates = selection.get("candidates")
    if not isinstance(candidates, list) or not all(isinstance(c, dict) and c.get("name") for c in candidates):
        raise ResultsError(f"{path}: candidates is {candidates!r}; expected a list of objects with a name.")
    optional = ("system", "criterion", "scorer", "notes", "rules", "real", "filters")
    return dict.fromkeys(optional) | selection


def _check_published(published: dict[str, Any], path: Path) -> None:
    tables = [published.get(key, {}) for key in ("dice", "precision", "recall")]
    tables += list(published.get("dice_by_label", {}).values())
    try:
        for table in tables:
            for by_share in table.values():
                for share, value in by_share.items():
                    float(share), float(value)
    except (AttributeError, TypeError, ValueError) as error:
        example = '{"dice": {"original": {"0.025": 0.244}}, "dice_by_label": {"IPH": {"original": {"0.025": 0.772}}}}'
        raise ResultsError(f"{path}: published cannot be read ({error}); expected the form {example}.") from error


def _check_alike(fractions: list[Fraction], path: Path) -> None:
    """Fractions must differ, and be scored on the same patients: a curve over other patients says nothing."""
    if len({fraction.share for fraction in fractions}) != len(fractions):
        raise ResultsError(f"{path}: fractions {[f.share for f in fractions]} repeat; expected each once.")
    first = set(fractions[0].results.scores.classes)
    for fraction in fractions[1:]:
        odd = first ^ set(fraction.results.scores.classes)
        if odd or fraction.results.baseline.name != fractions[0].results.baseline.name:
            raise ResultsError(
                f"{path}: {fractions[0].title} and {fraction.title} differ in their baseline or in {len(odd)} scored "
                f"patients {sorted(odd)[:3]}; expected one test set and one baseline. Run the evaluations again."
            )


def compare_over_fractions(study: Study, arm: Arm | None, other: Arm) -> dict[str, Comparison]:
    """One arm against another at every fraction that ran both, by title, Holm-corrected over the fractions."""
    if arm is None:
        return {}
    able = [fraction for fraction in study.fractions if fraction.has(arm, other)]
    compared = correct([compare_pair(fraction.results, arm, other) for fraction in able])
    return dict(zip((fraction.title for fraction in able), compared, strict=True))


def score_arm(fraction: Fraction, arm: Arm, *, label: str | None = None) -> ArmScores:
    """An arm's scores at a fraction, over all labels or of one; unknown where not measured."""
    dice = estimate_arm(fraction.results, arm, label=label)
    if arm.name not in fraction.detections:
        return ArmScores(dice, UNKNOWN, UNKNOWN)
    outcomes: dict[str, list[str]] = {}
    for patient, name, outcome in fraction.detections[arm.name]:
        if label in (None, name):
            outcomes.setdefault(patient, []).append(outcome)
    precision, recall = precision_recall_with_interval(outcomes)
    return ArmScores(dice, Estimate(*precision), Estimate(*recall))
