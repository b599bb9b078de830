from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.experiments.tasks.segmentation import read_arms
from scripts.metrics.measure import average
from scripts.scores.json_files import ResultsError
from scripts.scores.results import ALL
from tests.experiments.studies import write_csv, write_segmentation

NAN = float("nan")
REAL = {"a": [0.4, 0.8], "b": [0.5, NAN], "c": [0.9, 0.7]}
GAN = {"a": [0.6, 0.9], "b": [0.7, 0.1], "c": [NAN, 0.9]}


def write_arms(folder: Path, **arms: dict[str, list[float]]) -> dict[str, dict[int, list[Path]]]:
    return {arm: {0: [write_segmentation(folder / arm, dice)]} for arm, dice in arms.items()}


def test_dice_is_the_mean_over_labels_then_over_patients(tmp_path: Path) -> None:
    scores = read_arms(write_arms(tmp_path, real={"a": [0.4, 0.8], "b": [0.5, 0.3]}))
    assert scores.of("real", "dice")[0].by_patient.tolist() == pytest.approx([0.6, 0.4])
    assert scores.of("real", "dice", label="oedema")[0].value == pytest.approx(0.55)
    assert scores.of("real", "hd95_mm")[0].value == pytest.approx(5)
    assert scores.of("real", "volume_error_ml")[0].value == pytest.approx(0.5)  # of the absolute errors
    assert [metric.name for metric in scores.task.metrics] == ["dice", "iou", "hd95_mm", "volume_error_ml"]
    assert (scores.task.primary.name, scores.task.labels, scores.task.tested) == (
        "dice",
        ["core", "oedema"],
        {"patients": 2},
    )


def test_a_row_that_is_undefined_in_any_arm_is_left_out_of_all(tmp_path: Path) -> None:
    scores = read_arms(write_arms(tmp_path, real=REAL, gan=GAN))
    assert scores.of("real", "dice")[0].by_patient.tolist() == pytest.approx([0.6, 0.5, 0.7])
    assert scores.of("gan", "dice")[0].by_patient.tolist() == pytest.approx([0.75, 0.7, 0.9])
    assert np.isnan(scores.of("gan", "volume_error_ml", label="oedema")[0].by_patient).tolist() == [False, True, False]


def test_a_distance_is_compared_where_both_arms_have_one(tmp_path: Path) -> None:
    runs = write_arms(tmp_path, real={"a": [0.4], "b": [0.5]}, gan={"a": [0.6], "b": [0.5]})
    file = tmp_path / "gan" / "scores.csv"
    file.write_text(file.read_text().replace(",5.0,", ",nan,"))  # of b, who lacks a prediction there
    scores = read_arms(runs)
    assert scores.of("real", "hd95_mm")[0].value == pytest.approx((6 + 5) / 2)
    first, second = scores.pair("gan", "real", "hd95_mm")
    assert (first[0].value, second[0].value) == pytest.approx((4, 6))


def test_one_label_is_measured_once(tmp_path: Path) -> None:
    scores = read_arms(write_arms(tmp_path, real={"a": [0.4], "b": [0.5]}))
    assert {label for _, label in scores.measures["real"]} == {ALL}


def test_folds_are_joined_and_a_patient_may_miss_a_seed(tmp_path: Path) -> None:
    folds = [write_segmentation(tmp_path / "f0", {"a": [0.2]}), write_segmentation(tmp_path / "f1", {"b": [0.4]})]
    scores = read_arms({"real": {0: folds, 1: [write_segmentation(tmp_path / "s1", {"b": [0.8], "c": [0.6]})]}})
    assert scores.patients == ["a", "b", "c"]
    assert average(scores.of("real", "dice")).by_patient.tolist() == pytest.approx([0.2, 0.6, 0.6])
    assert [training.value for training in scores.of("real", "dice")] == pytest.approx([0.3, 0.7])


def test_groups_are_classes_of_which_there_are_several(tmp_path: Path) -> None:
    folder = write_segmentation(tmp_path, {"a": [0.4], "b": [0.5], "c": [0.9]}, classes={"a": "x", "b": "y", "c": "x"})
    scores = read_arms({"real": {0: [folder]}})
    assert scores.task.groups == ["x", "y"]
    assert scores.of("real", "dice", group="x")[0].value == pytest.approx(0.65)


def test_lesions_are_pooled_over_patients(tmp_path: Path) -> None:
    runs = write_arms(tmp_path, real={"a": [0.4, 0.5], "b": [0.5, 0.5]})
    outcomes = [("a", "core", "true_positive")] * 3 + [("a", "oedema", "missed"), ("b", "core", "false_positive")]
    write_csv(tmp_path / "real" / "detections.csv", ("patient", "label", "outcome"), outcomes)
    scores = read_arms(runs)
    assert scores.of("real", "precision")[0].value == pytest.approx(3 / 4)
    assert scores.of("real", "recall")[0].value == pytest.approx(3 / 4)
    assert scores.of("real", "recall", label="core")[0].value == 1
    assert [metric.name for metric in scores.task.metrics][-2:] == ["precision", "recall"]


def test_lesions_of_some_evaluations_alone_are_refused(tmp_path: Path) -> None:
    runs = write_arms(tmp_path, real={"a": [0.4]}, gan={"a": [0.5]})
    write_csv(tmp_path / "gan" / "detections.csv", ("patient", "label", "outcome"), [])
    with pytest.raises(ResultsError, match=r"real.detections\.csv is missing, though others have it"):
        read_arms(runs)


def test_malformed_tables_are_refused(tmp_path: Path) -> None:
    runs = {"real": {0: [tmp_path]}}
    write_csv(tmp_path / "scores.csv", ("patient", "label"), [("a", "core")])
    with pytest.raises(ResultsError, match=r"lacks the columns \['class', 'dice'"):
        read_arms(runs)
    columns = ("patient", "class", "label", "dice", "iou", "hd95_mm", "volume_error_ml")
    for dice, message in (("high", "line 2: 'high' is no number"), ("", "no row has a Dice")):
        write_csv(tmp_path / "scores.csv", columns, [("a", "", "core", dice, 1, 1, 1)])
        with pytest.raises(ResultsError, match=message):
            read_arms(runs)


def test_arms_on_other_patients_or_seeds_are_refused(tmp_path: Path) -> None:
    runs = write_arms(tmp_path, real={"a": [0.4]}, gan={"b": [0.5]})
    with pytest.raises(ResultsError, match="'real' and 'gan' were tested on other patients or labels with seed 0"):
        read_arms(runs)
    with pytest.raises(ResultsError, match="expected the same seeds"):
        read_arms({"real": {0: runs["real"][0]}, "gan": {1: runs["gan"][0]}})
    with pytest.raises(ResultsError, match="occurs twice"):
        read_arms({"real": {0: runs["real"][0] * 2}})
    with pytest.raises(ResultsError, match=r"scores\.csv is missing"):
        read_arms({"real": {0: [tmp_path / "nowhere"]}})
