from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from scripts.experiments.compare import compare_arms, score_arms
from scripts.experiments.tasks.detection import MATCHED, read_arms
from scripts.metrics.box_detection import FROC_RATES
from scripts.scores.json_files import ResultsError
from tests.experiments.studies import ARMS, write_detection

FOUND = {"a": 1, "b": 2, "c": 3}


def test_measures_by_hand(tmp_path: Path) -> None:
    scores = read_arms({"real": {0: [write_detection(tmp_path, FOUND)]}})
    assert scores.of("real", "sensitivity")[0].value == pytest.approx(6 / 9)
    assert scores.of("real", "false_positives_per_slice")[0].value == 1
    assert scores.of("real", "mAP")[0].value == pytest.approx(67 / 101)  # the recalls 0 to .66 at precision 1
    assert scores.of("real", "mAP_iou25")[0].value == pytest.approx(67 / 101)
    assert scores.task.tested == {"patients": 3, "slices": 3, "boxes": 9}
    assert [metric.name for metric in scores.task.metrics][:4] == [
        "mAP",
        "sensitivity",
        "false_positives_per_slice",
        MATCHED,
    ]


def test_sizes_are_thirds_of_the_lesions(tmp_path: Path) -> None:
    scores = read_arms({"real": {0: [write_detection(tmp_path, {"a": 1, "b": 1, "c": 1})]}})
    values = [scores.of("real", "sensitivity", label=size)[0].value for size in ("small", "medium", "large")]
    assert values == [1, 0, 0]  # the smallest lesion of each patient is found


def test_arms_are_paired_at_equally_many_false_positives(tmp_path: Path) -> None:
    """An arm with twice as many false positives is held to the other's rate."""
    runs = {
        arm: {0: [write_detection(tmp_path / arm, dict.fromkeys(FOUND, 2), strays=strays)]}
        for arm, strays in (("real", 1), ("gan", 2))
    }
    scores = read_arms(runs)
    first, second = scores.pair("gan", "real", MATCHED)
    assert (first[0].value, second[0].value) == pytest.approx((2 / 3, 2 / 3))
    assert not scores.measured(MATCHED)


def test_seeds_with_other_patients_are_spread_over_all(tmp_path: Path) -> None:
    scores = read_arms(
        {
            "real": {
                0: [write_detection(tmp_path / "0", {"a": 3, "c": 0})],
                1: [write_detection(tmp_path / "1", {"b": 3})],
            }
        }
    )
    first, second = scores.of("real", "sensitivity")
    assert first.told.tolist() == [True, False, True]
    assert second.told.tolist() == [False, True, False]
    assert (first.value, second.value) == (0.5, 1)


def test_curves_rise_to_the_sensitivity(tmp_path: Path) -> None:
    folds = [write_detection(tmp_path / "0", {"a": 1, "b": 2}), write_detection(tmp_path / "1", {"c": 3})]
    curves = read_arms({"real": {0: folds}}).froc
    assert [(curve.arm, curve.iou) for curve in curves] == [("real", 0.5), ("real", 0.25)]
    heights = [height for _, height in curves[0].curve]
    assert (np.diff(heights) >= 0).all()
    assert heights[-1] == pytest.approx(6 / 9)
    assert [rate for rate, _ in curves[0].points] == list(FROC_RATES)
    assert curves[0].operating == pytest.approx((1, 6 / 9))
    assert np.isnan(curves[0].points[0][1].low)  # three patients


def test_a_study_is_compared_in_every_metric(tmp_path: Path) -> None:
    names = [f"p{n}" for n in range(8)]
    runs = {
        arm.name: {
            seed: [
                write_detection(
                    tmp_path / arm.name / str(seed), {name: hits + (n == seed) for n, name in enumerate(names)}
                )
            ]
            for seed in (0, 1)
        }
        for arm, hits in zip(ARMS, (0, 1, 1, 2), strict=True)
    }
    study = {1.0: read_arms(runs)}
    differences = compare_arms(study, ARMS)
    counts = {family: sum(d.family == family for d in differences) for family in ("verdict", "labels", "further")}
    assert counts == {"verdict": 5, "labels": 9, "further": 3 * 6}
    matched = next(d for d in differences if d.metric == MATCHED and d.arm == "gan")
    assert matched.estimate.value == pytest.approx(2 / 3)
    assert len([s for s in score_arms(study, ARMS) if s.arm == "gan"]) == 6 + 2 * 3


def test_settings_and_truths_must_be_the_same(tmp_path: Path) -> None:
    runs = {arm: {0: [write_detection(tmp_path / arm, FOUND)]} for arm in ("real", "gan")}
    write_detection(tmp_path / "gan", FOUND, lesions=4)
    with pytest.raises(ResultsError, match="tested on other slices or true boxes with seed 0"):
        read_arms(runs)
    write_detection(tmp_path / "gan", FOUND)
    (tmp_path / "gan" / "detection.json").write_text(json.dumps({"classes": ["lesion"], "detection_threshold": 0.5}))
    with pytest.raises(ResultsError, match=r"detection_threshold=0\.5"):
        read_arms(runs)
    (tmp_path / "gan" / "detection.json").unlink()
    with pytest.raises(ResultsError, match=r"detection\.json is missing"):
        read_arms(runs)


def test_what_cannot_be_scored_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="no true boxes"):
        read_arms({"real": {0: [write_detection(tmp_path, {"a": 0}, lesions=0)]}})
    with pytest.raises(ResultsError, match=r"the patients \['a'"):
        read_arms({"real": {0: [write_detection(tmp_path, FOUND)] * 2}})
