from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, matthews_corrcoef, roc_auc_score

from scripts.experiments.compare import compare_arms
from scripts.experiments.tasks.grading import read_arms
from scripts.scores.json_files import ResultsError
from tests.experiments.studies import ARMS, write_grading

SECOND = {"aL": [0.1, 0.2], "bL": [0.9, 0.3, 0.6], "cH": [0.4], "dH": [0.9, 0.8], "eH": [0.7, 0.4, 0.1]}


def test_measures_equal_scikit_learn(tmp_path: Path) -> None:
    scores = read_arms({"real": {0: [write_grading(tmp_path, SECOND)]}})
    votes = np.array([np.mean(values) for values in SECOND.values()])
    truths, predictions = np.array([0, 0, 1, 1, 1]), (votes > 0.5).astype(int)
    values = {name: scores.of("real", name)[0].value for name in ("balanced_accuracy", "AUC", "MCC")}
    assert values == pytest.approx(
        {
            "balanced_accuracy": balanced_accuracy_score(truths, predictions),
            "AUC": roc_auc_score(truths, votes),
            "MCC": matthews_corrcoef(truths, predictions),
        }
    )
    assert scores.task.primary.name == "balanced_accuracy"
    assert scores.task.tested == {"patients": 5, "slices": 11}


def test_accuracies_by_class_per_patient_and_per_slice(tmp_path: Path) -> None:
    scores = read_arms({"real": {0: [write_grading(tmp_path, SECOND)]}})
    assert [scores.of("real", "accuracy", label=name)[0].value for name in ("low", "high")] == [
        1 / 2,
        pytest.approx(1 / 3),
    ]
    assert scores.of("real", "slice_accuracy", label="high")[0].value == pytest.approx(3 / 6)
    assert scores.of("real", "slice_accuracy")[0].value == pytest.approx((3 + 3) / 11)


def test_the_majority_may_vote(tmp_path: Path) -> None:
    scores = read_arms({"real": {0: [write_grading(tmp_path, SECOND, vote="majority")]}})
    assert scores.of("real", "accuracy", label="low")[0].value == 1 / 2
    assert "the majority" in scores.task.method


def test_seeds_may_test_other_patients(tmp_path: Path) -> None:
    some = {name: SECOND[name] for name in ("bL", "dH")}
    scores = read_arms({"real": {0: [write_grading(tmp_path / "0", SECOND)], 1: [write_grading(tmp_path / "1", some)]}})
    first, second = scores.of("real", "accuracy")
    assert second.told.tolist() == [False, True, False, True, False]
    assert second.value == 1 / 2
    assert first.value == pytest.approx(2 / 5)


def test_a_study_gives_no_p_of_what_belongs_to_no_patient(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs = {
        arm.name: {
            seed: [
                write_grading(
                    tmp_path / arm.name / str(seed), {f"{n}{'LH'[n % 2]}": rng.uniform(0, 1, 3) for n in range(12)}
                )
            ]
            for seed in (0, 1)
        }
        for arm in ARMS
    }
    differences = compare_arms({1.0: read_arms(runs)}, ARMS)
    area = next(d for d in differences if d.metric == "AUC")
    assert np.isnan([area.p, area.p_adjusted, area.smallest_p]).all()
    assert area.estimate.low < area.estimate.value < area.estimate.high
    assert area.reason.startswith("the metric belongs to no single patient")
    assert {d.metric for d in differences if d.family == "labels"} == {"accuracy"}


def test_what_may_not_be_compared_is_refused(tmp_path: Path) -> None:
    runs = {arm: {0: [write_grading(tmp_path / arm, SECOND)]} for arm in ("real", "gan")}
    write_grading(tmp_path / "gan", SECOND, split="validation")
    with pytest.raises(ResultsError, match="expected 'test': the validation split chose"):
        read_arms(runs)
    write_grading(tmp_path / "gan", SECOND, vote="majority")
    with pytest.raises(ResultsError, match="same --vote"):
        read_arms(runs)
    write_grading(tmp_path / "gan", {**SECOND, "fL": [0.5]})
    with pytest.raises(ResultsError, match="tested on other slices, patients or classes"):
        read_arms(runs)
    with pytest.raises(ResultsError, match=r"\['high'\] have no test slice"):
        read_arms({"real": {0: [write_grading(tmp_path / "real", {"aL": [0.5]})]}})
    (tmp_path / "real" / "scores.csv").unlink()
    with pytest.raises(ResultsError, match="cannot be read together"):
        read_arms({"real": runs["real"]})
