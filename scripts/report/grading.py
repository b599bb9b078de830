"""Reads and checks the results folder of a grading experiment, and measures and compares its classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from scripts.metrics.classification import (
    MEASURES,
    VOTES,
    ClassScores,
    balanced_accuracy,
    class_accuracy,
    find_contradiction,
    join_scores,
    vote,
)
from scripts.metrics.measure import Measure
from scripts.report.comparisons import Comparison, compare_trainings, correct
from scripts.report.results import Arm, HasArms, check_captions, check_nearest, is_number, read_arms, read_experiment
from scripts.scores.class_tables import SUMMARY, read_scores
from scripts.scores.results_files import ResultsError, read_json

KEY = "grading"
UNITS = ("patients", "slices")
TOTAL = "all"  # beside the classes, in accuracies
OPTIONAL = ("level", "feature_shape", "synthetic_accuracy", "nearest")
PUBLISHED = '{"real": {"title": "Baseline", "accuracy": {"HGG": 0.95, "LGG": 0.05, "all": 0.61}}}'
GENERATED = (
    '{"fold0": {"asked": 2400, "generated": 2900, "kept": {"HGG": 1200, "LGG": 1200}, '
    '"acceptance": {"HGG": 0.9, "LGG": 0.8}}}'
)
SWEEPS = '{"Generated features": ["features_600", "features_1200"]}'


@dataclass(frozen=True)
class Grading(HasArms):
    """A checked results folder: what was run, and every training's probabilities.

    Attributes:
        experiment: `experiment.json`, optional keys that are missing as None.
        arms: in the file's order.
        slices: by arm, one entry for each seed, the patients of all folds together; all of the same slices.
        vote_rule: by which a patient's slices vote.
        curves: loss curves, CSV.
        pictures: PNG.
    """

    experiment: dict[str, Any]
    arms: list[Arm]
    slices: dict[str, list[ClassScores]]
    vote_rule: str
    curves: list[Path]
    pictures: list[Path]

    @property
    def grading(self) -> dict[str, Any]:
        return self.experiment[KEY]

    @property
    def classes(self) -> list[str]:
        return self.grading["classes"]

    @property
    def truths(self) -> ClassScores:
        """Some training's patients, for what all have in common."""
        return self.scores["patients"][self.baseline.name][0]

    @cached_property
    def scores(self) -> dict[str, dict[str, list[ClassScores]]]:
        """By unit ("patients": the votes of their slices; "slices") and arm, one entry for each seed."""
        votes = {arm: [vote(each, self.vote_rule) for each in trainings] for arm, trainings in self.slices.items()}
        return {"patients": votes, "slices": self.slices}

    def measure(self, unit: str, arm: Arm, name: str) -> list[Measure]:
        """A measure of `MEASURES`, or the accuracy of a class by its name, of every seed."""
        build = (
            partial(class_accuracy, class_index=self.classes.index(name)) if name in self.classes else MEASURES[name]
        )
        return [build(scores) for scores in self.scores[unit][arm.name]]

    def sweep(self, title: str) -> list[tuple[int, Arm]]:
        """The arms of a sweep with the number of synthetic samples in each, rising; the baseline first, with none."""
        chosen = [arm for arm in self.arms if arm.name in self.grading["sweeps"][title]]
        return [(0, self.baseline), *sorted(((count_synthetic(arm), arm) for arm in chosen), key=lambda pair: pair[0])]


def has_grading(folder: Path) -> bool:
    """Whether it holds a grading experiment."""
    return KEY in read_json(folder / "experiment.json")


def read_grading(results_dir: str | Path) -> Grading:
    """Read the results folder of a grading experiment.

    Args:
        results_dir: folder with `experiment.json`, whose `grading` says `classes` and optionally `level`,
            `feature_shape`, `published`, `generated`, `synthetic_accuracy`, `nearest` and `sweeps` (title -> arms that
            differ in the number of synthetic samples; all GAN arms by default), and with `scores.csv` and
            `classification.json` in `arms/<arm>/fold<k>_seed<s>/`; `curves/*.csv` and `pictures/*.png` are optional.

    Raises:
        ResultsError: a file is missing, malformed, or disagrees with another one.
    """
    folder = Path(results_dir)
    file = folder / "experiment.json"
    experiment = read_experiment(file, KEY)
    arms = read_arms(experiment, file)
    experiment[KEY] = _read_description(experiment[KEY], arms, file)
    pictures = sorted((folder / "pictures").glob("*.png"))
    check_captions(experiment["captions"], pictures, file)
    slices = {arm.name: _read_trainings(folder, experiment, arm) for arm in arms}
    _check_slices(slices, folder)
    rules = {str(read_json(run / SUMMARY).get("vote")) for arm in arms for run in _runs(folder, experiment, arm)}
    if len(rules) != 1 or not rules <= set(VOTES):
        raise ResultsError(
            f"{folder / 'arms'}: the slices vote by {sorted(rules)}; expected one rule of {VOTES} in all {SUMMARY}. "
            "Run the evaluations of all classifiers with the same --vote, then collect again."
        )
    return Grading(experiment, arms, slices, rules.pop(), sorted((folder / "curves").glob("*.csv")), pictures)


def compare_graders(results: Grading) -> tuple[list[Comparison], list[Comparison]]:
    """Balanced accuracy per patient: every arm against the baseline, and GAN arms against every cheap alternative.

    Each of the two families has its own Holm correction. No alternative is picked by its score: all are compared.
    """
    measured = {arm.name: results.measure("patients", arm, balanced_accuracy.__name__) for arm in results.arms}

    def compare(arm: Arm, other: Arm) -> Comparison:
        return compare_trainings(arm, other, measured[arm.name], measured[other.name])

    others = [arm for arm in results.arms if arm.kind != "baseline"]
    pairs = [(arm, other) for arm in results.of_kind("gan") for other in results.of_kind("alternative")]
    return correct([compare(arm, results.baseline) for arm in others]), correct([compare(*pair) for pair in pairs])


def count_synthetic(arm: Arm) -> int:
    """Synthetic samples that an arm trains on."""
    return sum(count or 0 for count in arm.synthetic.values())


def _read_description(entry: Any, arms: Sequence[Arm], file: Path) -> dict[str, Any]:
    """The checked `grading` of an experiment."""
    classes = entry.get("classes") if isinstance(entry, dict) else None
    if not isinstance(classes, list) or len(classes) < 2 or not all(isinstance(name, str) for name in classes):
        raise ResultsError(
            f'{file}: grading is {entry!r}; expected an object with two or more classes, such as {{"classes": ["HGG", '
            '"LGG"]}.'
        )
    described = dict.fromkeys(OPTIONAL) | {"published": {}, "generated": {}} | entry
    _check_published(described["published"], file)
    _check_generated(described["generated"], classes, file)
    check_nearest(described["nearest"], file)
    accuracies = described["synthetic_accuracy"] or {}
    if not isinstance(accuracies, dict) or not all(map(_is_share, accuracies.values())):
        raise ResultsError(f'{file}: synthetic_accuracy is {accuracies!r}; expected shares by set, {{"fold0": 0.8}}.')
    own = [arm.name for arm in arms if arm.kind == "gan" and count_synthetic(arm)]
    described["sweeps"] = entry.get("sweeps", {"Synthetic samples": own} if own else {})
    _check_sweeps(described["sweeps"], arms, file)
    return described


def _check_published(published: Any, file: Path) -> None:
    """Arms and classes that were not run are allowed."""
    entries: list[Any] = list(published.values()) if isinstance(published, dict) else [None]
    for arm in entries:
        accuracy = arm.get("accuracy") if isinstance(arm, dict) else None
        if not isinstance(accuracy, dict) or not accuracy or not all(map(_is_share, accuracy.values())):
            raise ResultsError(
                f"{file}: grading.published is {published!r}; expected accuracies from 0 to 1 by arm and class (or "
                f'"{TOTAL}"), such as {PUBLISHED}.'
            )


def _check_generated(generated: Any, classes: Sequence[str], file: Path) -> None:
    entries: list[Any] = list(generated.values()) if isinstance(generated, dict) else [None]
    for counts in entries:
        fits = isinstance(counts, dict)
        for key in ("asked", "generated", "kept", "acceptance"):
            value = counts.get(key) if fits else None
            by_class = isinstance(value, dict) and set(value) <= set(classes) and all(map(is_number, value.values()))
            fits = fits and (by_class or (key in ("asked", "generated") and is_number(value)))
        if not fits:
            raise ResultsError(
                f"{file}: grading.generated is {generated!r}; expected numbers by set and class of {list(classes)}, "
                f"such as {GENERATED}."
            )


def _check_sweeps(sweeps: Any, arms: Sequence[Arm], file: Path) -> None:
    counts = {arm.name: count_synthetic(arm) for arm in arms}
    entries: list[Any] = list(sweeps.values()) if isinstance(sweeps, dict) else [None]
    for names in entries:
        known = isinstance(names, list) and names and set(names) <= set(counts)
        found = [counts[name] for name in names] if known else [0]
        if not all(found) or len(set(found)) != len(found):
            raise ResultsError(
                f"{file}: the sweeps are {sweeps!r}; expected arms with different numbers of synthetic samples, here "
                f"{counts}. Name those that belong together in grading.sweeps, such as {SWEEPS}."
            )


def _is_share(value: Any) -> bool:
    return is_number(value) and value <= 1


def _runs(folder: Path, experiment: Mapping[str, Any], arm: Arm, seed: int | None = None) -> list[Path]:
    """The folders of an arm's runs, of one seed or of all."""
    seeds = experiment["seeds"] if seed is None else [seed]
    return [folder / "arms" / arm.name / f"fold{k}_seed{s}" for s in seeds for k in experiment["folds"]]


def _read_trainings(folder: Path, experiment: Mapping[str, Any], arm: Arm) -> list[ClassScores]:
    """One entry for each seed."""
    trainings = []
    for seed in experiment["seeds"]:
        runs = _runs(folder, experiment, arm, seed)
        folds = [_read_run(run, experiment[KEY]["classes"]) for run in runs]
        try:
            trainings.append(join_scores(folds))
        except ValueError as error:
            raise ResultsError(
                f"{runs[0].parent}: {[run.name for run in runs]} do not fit together: {error}"
            ) from error
    return trainings


def _read_run(run: Path, classes: Sequence[str]) -> ClassScores:
    summary = read_json(run / SUMMARY)
    if (split := summary.get("split", "test")) != "test":
        raise ResultsError(
            f"{run / SUMMARY}: split is {split!r}, expected 'test': the validation split chose the classifier's epoch. "
            "Run the evaluation without --split."
        )
    written = summary.get("classes")
    if written != list(classes):
        raise ResultsError(
            f"{run / SUMMARY}: classes is {written!r}, in experiment.json {list(classes)!r}; expected the same. Run "
            "the evaluations of all classifiers on the same data set, then collect again."
        )
    try:
        return read_scores(run)
    except ValueError as error:
        raise ResultsError(str(error)) from error


def _check_slices(slices: Mapping[str, Sequence[ClassScores]], folder: Path) -> None:
    """Every training must have been tested on the same slices, of every class, each patient's of one."""
    first = next(iter(slices))
    reference = slices[first][0]
    names = [reference.classes[truth] for truth in reference.truths]
    if absent := sorted(set(reference.classes) - set(names)):
        raise ResultsError(
            f"{folder / 'arms'}: the test patients of all folds have no slice of {absent}; expected every class of "
            f"{reference.classes}. Choose folds with patients of each."
        )
    if contradiction := find_contradiction(reference.patients, names):
        raise ResultsError(
            f"{folder / 'arms'}: patient {contradiction[0]!r} has slices of the classes {contradiction[1]}; expected "
            "one class per patient. Correct dataset.json and run the workflow again."
        )
    for arm, trainings in slices.items():
        for each in trainings:
            same = (each.sources, each.patients) == (reference.sources, reference.patients)
            if not same or each.truths.tolist() != reference.truths.tolist():
                raise ResultsError(
                    f"{folder / 'arms'}: arms {first!r} and {arm!r} were tested on other slices, patients or classes; "
                    "expected the same in all arms and seeds. Run the evaluations again."
                )
