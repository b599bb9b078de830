from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.metrics.classification import ClassScores
from scripts.metrics.statistics import holm, sign_flip_test
from scripts.report.comparisons import estimate_trainings
from scripts.report.grading import Grading, compare_graders, has_grading, read_grading
from scripts.scores.results_files import ResultsError

Make = Callable[..., Path]
OWNERS, TRUTHS = ("a", "a", "b", "b", "c", "d"), (0, 0, 0, 0, 1, 1)
COUNTS = {"asked": 9, "generated": {"HGG": 9}, "kept": {"HGG": 9}, "acceptance": {"HGG": 1}}


def one_training(low_grade: Sequence[float]) -> ClassScores:
    """Patients a and b with two HGG slices each, c and d with an LGG slice each, by the probabilities of LGG."""
    second = np.array(low_grade)
    sources = [f"s{n}" for n in range(len(second))]
    return ClassScores(["HGG", "LGG"], sources, list(OWNERS), np.array(TRUTHS), np.stack([1 - second, second], axis=1))


REAL = one_training(
    [0.1, 0.2, 0.3, 0.9, 0.4, 0.8]
)  # a right; b wrong by the mean, right in one slice; c wrong; d right
GAN = one_training([0.1, 0.2, 0.3, 0.4, 0.6, 0.8])  # all right


def by_hand() -> dict[str, list[ClassScores]]:
    return {"real": [REAL], "features_1200": [GAN]}


def value(results: Grading, unit: str, name: str, place: int = 0) -> float:
    return estimate_trainings(results.measure(unit, results.arms[place], name)).mean


@pytest.mark.parametrize("folds", [1, 2])
def test_measures_by_hand_with_the_patients_of_all_folds_pooled(make_grading: Make, folds: int) -> None:
    results = read_grading(make_grading(runs=by_hand(), folds=folds))
    of_patients = {"HGG": 1 / 2, "LGG": 1 / 2, "accuracy": 1 / 2, "balanced_accuracy": 1 / 2, "MCC": 0}
    of_patients["AUC"] = 3 / 4 if folds == 1 else 1  # b stands above c; with two folds a and c are one, b and d another
    assert {name: value(results, "patients", name) for name in of_patients} == pytest.approx(of_patients)
    of_slices = {"HGG": 3 / 4, "LGG": 1 / 2, "accuracy": 4 / 6, "balanced_accuracy": 5 / 8, "AUC": 6 / 8}
    assert {name: value(results, "slices", name) for name in of_slices} == pytest.approx(of_slices)
    assert value(results, "patients", "balanced_accuracy", 1) == 1


def test_seeds_are_averaged(make_grading: Make) -> None:
    results = read_grading(make_grading(runs={"real": [REAL, GAN]}))
    assert value(results, "slices", "balanced_accuracy") == pytest.approx((5 / 8 + 1) / 2)


def test_the_rule_of_the_evaluation_makes_the_votes(make_grading: Make) -> None:
    folder = make_grading(runs=by_hand())
    for file in folder.glob("arms/*/*/classification.json"):
        file.write_text(json.dumps({"classes": ["HGG", "LGG"], "vote": "majority"}))
    assert value(read_grading(folder), "patients", "HGG") == 0.5  # b's slices draw, and the mean settles it
    file.write_text(json.dumps({"classes": ["HGG", "LGG"], "vote": "mean"}))
    with pytest.raises(ResultsError, match=r"vote by \['majority', 'mean'\]; expected one rule"):
        read_grading(folder)


def test_scores_of_the_validation_split_are_no_result(make_grading: Make) -> None:
    folder = make_grading(runs=by_hand())
    file = next(folder.glob("arms/*/*/classification.json"))
    file.write_text(json.dumps({"classes": ["HGG", "LGG"], "vote": "mean", "split": "validation"}))
    with pytest.raises(ResultsError, match="split is 'validation', expected 'test'"):
        read_grading(folder)


def test_difference_and_p_are_of_the_balanced_accuracy_of_patients(make_grading: Make) -> None:
    results = read_grading(make_grading(skills={"real": 0.3, "features_600": 0.8}, seeds=1, patients=15))
    (found,), alternatives = compare_graders(results)
    assert alternatives == []
    first, second = (results.scores["patients"][arm][0] for arm in ("features_600", "real"))
    gained = (first.predictions == first.truths) * 1.0 - (second.predictions == second.truths)
    shares = gained / np.bincount(first.truths)[first.truths] / 2  # of nine and six patients
    assert found.difference.mean == pytest.approx(shares.sum())
    assert found.p == pytest.approx(sign_flip_test(shares))


def test_each_family_has_its_own_correction(make_grading: Make) -> None:
    skills = {"real": 0.3, "class_weights": 0.5, "smote": 0.4, "features_600": 0.8, "features_1200": 1.5}
    baseline, alternatives = compare_graders(read_grading(make_grading(skills=skills)))
    assert [c.arm.name for c in baseline] == ["class_weights", "smote", "features_600", "features_1200"]
    pairs = [(arm, other) for arm in ("features_600", "features_1200") for other in ("class_weights", "smote")]
    assert [(c.arm.name, c.other.name) for c in alternatives] == pairs
    for family in (baseline, alternatives):
        assert [c.p_adjusted for c in family] == pytest.approx(holm([c.p or 0 for c in family]))


def test_more_skill_is_told(make_grading: Make) -> None:
    (found,), _ = compare_graders(read_grading(make_grading(skills={"real": 0.1, "features_600": 3.0}, folds=3)))
    assert found.finding == "raised"


def test_sweep_starts_with_the_baseline_and_rises(make_grading: Make) -> None:
    skills = {"real": 0.3, "features_1200": 0.3, "features_600": 0.3, "images_1200": 0.3}
    sweeps = {"Features": ["features_1200", "features_600"], "Images": ["images_1200"]}
    results = read_grading(make_grading(skills=skills, seeds=1, sweeps=sweeps))
    assert [(count, arm.name) for count, arm in results.sweep("Features")] == [
        (0, "real"),
        (600, "features_600"),
        (1200, "features_1200"),
    ]
    assert len(results.sweep("Images")) == 2
    with pytest.raises(ResultsError, match=r"expected arms with different numbers.*'images_1200': 1200"):
        read_grading(make_grading(skills=skills, seeds=1))


def test_only_an_experiment_with_grading_is_one(make_grading: Make, make_results: Make) -> None:
    assert has_grading(make_grading(runs=by_hand()))
    assert not has_grading(make_results(extras=False))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("classes", ["HGG"], "expected an object with two or more classes"),
        ("classes", ["LGG", "HGG"], r"classes is \['HGG', 'LGG'\], in experiment.json \['LGG', 'HGG'\]"),
        ("published", {"real": {"HGG": 0.95}}, "expected accuracies from 0 to 1"),
        ("published", {"real": {"accuracy": {"HGG": 95}}}, "expected accuracies from 0 to 1"),
        ("published", 0.95, "expected accuracies from 0 to 1"),
        ("generated", {"fold0": {**COUNTS, "kept": 9}}, "expected numbers by set and class"),
        ("generated", {"fold0": {**COUNTS, "acceptance": {"A": 1}}}, "expected numbers by set and class"),
        ("generated", {"fold0": 9}, "expected numbers by set and class"),
        ("synthetic_accuracy", {"fold0": 82.3}, "expected shares by set"),
        ("nearest", {"held_out": {"images": 3}}, "nearest of 'held_out'"),
        ("sweeps", {"Features": ["lost"]}, "the sweeps are"),
        ("sweeps", {"Features": ["real"]}, "expected arms with different numbers"),
    ],
)
def test_malformed_descriptions_are_refused(make_grading: Make, key: str, value: Any, message: str) -> None:
    folder = make_grading(runs=by_hand())
    experiment = json.loads((folder / "experiment.json").read_text())
    experiment["grading"][key] = value
    (folder / "experiment.json").write_text(json.dumps(experiment))
    with pytest.raises(ResultsError, match=message):
        read_grading(folder)


def test_files_that_are_missing_or_disagree_are_refused(make_grading: Make) -> None:
    folder = make_grading(runs=by_hand(), folds=2)
    first, second = (folder / "arms" / "features_1200" / f"fold{fold}_seed0" for fold in (0, 1))
    shutil.copytree(first, second, dirs_exist_ok=True)
    with pytest.raises(ResultsError, match=r"'fold1_seed0'\] do not fit together: Patient 'a' is in two folds"):
        read_grading(folder)
    (first / "scores.csv").unlink()
    with pytest.raises(ResultsError, match="fold0_seed0 holds no scores of a classifier"):
        read_grading(folder)
    (first / "classification.json").unlink()
    with pytest.raises(ResultsError, match=r"classification\.json is missing"):
        read_grading(folder)


def test_arms_tested_on_other_slices_are_refused(make_grading: Make) -> None:
    other = replace(GAN, sources=["other", *GAN.sources[1:]])
    with pytest.raises(ResultsError, match="arms 'real' and 'features_1200' were tested on other slices"):
        read_grading(make_grading(runs={"real": [REAL], "features_1200": [other]}))


@pytest.mark.parametrize(
    ("truths", "message"),
    [((0, 0, 0, 0, 0, 0), r"no slice of \['LGG'\]"), ((0, 1, 0, 0, 1, 1), "patient 'a' has slices of the classes")],
)
def test_classes_that_cannot_be_judged_are_refused(make_grading: Make, truths: tuple[int, ...], message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        read_grading(make_grading(runs={"real": [replace(REAL, truths=np.array(truths))]}))
