from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from scripts.metrics.box_matching import SliceBoxes, check_slice
from scripts.metrics.statistics import holm
from scripts.report.comparisons import estimate_trainings
from scripts.report.detectors import Detectors, compare_detectors, has_detectors, measure_arm, read_detectors
from scripts.scores.results_files import ResultsError

Make = Callable[..., Path]
A, B = (0, 0, 10, 10), (20, 20, 30, 30)
NOWHERE = ((50, 50, 60, 60), (70, 70, 80, 80))
NOTHING: dict[str, list[Any]] = {"boxes": [], "scores": []}


def one_slice(patient: str, true: Sequence[Any], boxes: Sequence[Any], scores: Sequence[float]) -> SliceBoxes:
    zeros = {"classes": [0] * len(boxes), "true_classes": [0] * len(true)}
    return check_slice(patient, patient, class_count=1, boxes=boxes, scores=scores, true_boxes=true, **zeros)


def by_hand(missing: bool = False) -> dict[str, list[list[SliceBoxes]]]:
    """Two patients with two and one true boxes and three slices; the second training of `real` finds nothing."""
    empty = one_slice("b", [], [], [])
    nothing = [one_slice("a", [A, B], [], []), one_slice("b", [A], [], []), empty]
    real = [one_slice("a", [A, B], [A], [0.9]), one_slice("b", [A], [NOWHERE[0], A], [0.8, 0.7]), empty]
    gan = [one_slice("a", [A, B], [A, B, *NOWHERE], [0.9, 0.6, 0.5, 0.4]), one_slice("b", [A], [A], [0.95]), empty]
    return {"real": [real, nothing], "gan": [gan, gan]} if missing else {"real": [real], "gan": [gan]}


def values(results: Detectors, name: str) -> dict[str, float]:
    arm = next(arm for arm in results.arms if arm.name == name)
    return {key: estimate_trainings(trainings).mean for key, trainings in measure_arm(results, arm, 0.5).items()}


@pytest.mark.parametrize("folds", [1, 2])
def test_measures_by_hand_with_the_patients_of_all_folds_pooled(make_detectors: Make, folds: int) -> None:
    results = read_detectors(make_detectors(runs=by_hand(), folds=folds))
    # Recalls 0 to .33 have precision 1, .34 to .66 have 2/3, the rest 0.
    expected = {"mAP": (34 + 33 * 2 / 3) / 101, "sensitivity": 2 / 3, "false_positives_per_slice": 1 / 3}
    assert values(results, "real") == pytest.approx(expected)
    expected = {"mAP": 1, "sensitivity": 1, "false_positives_per_slice": 2 / 3}
    assert values(results, "gan") == pytest.approx(expected)


def test_seeds_are_averaged(make_detectors: Make) -> None:
    found = values(read_detectors(make_detectors(runs=by_hand(missing=True))), "real")
    assert found == pytest.approx({"mAP": 28 / 101, "sensitivity": 1 / 3, "false_positives_per_slice": 1 / 6})


def test_sensitivity_is_compared_at_the_lower_rate_of_false_positives(make_detectors: Make) -> None:
    by_map, matched = compare_detectors(read_detectors(make_detectors(runs=by_hand())))
    assert by_map.result.difference.mean == pytest.approx(1 - 56 / 101)
    assert matched.rate == pytest.approx(1 / 3)  # of real, in three slices; gan finds all without any
    assert matched.result.difference.mean == pytest.approx(1 - 2 / 3)
    assert {each.result.finding for each in (by_map, matched)} == {"too few"}


def test_holm_over_all_tests(make_detectors: Make) -> None:
    skills = {"real": 0.4, "gan": 0.6, "plain": 0.5}
    found = compare_detectors(read_detectors(make_detectors(skills=skills)))
    assert [(each.measure, each.result.arm.name) for each in found] == [
        (measure, arm) for arm in ("gan", "plain") for measure in ("mAP", "sensitivity")
    ]
    p = [each.result.p for each in found]
    assert len(set(p)) > 2
    assert [each.result.p_adjusted for each in found] == pytest.approx(holm([float(each or 0) for each in p]))


def test_more_skill_is_told(make_detectors: Make) -> None:
    found = compare_detectors(read_detectors(make_detectors(skills={"real": 0.3, "gan": 0.95}, folds=3)))
    assert [each.result.finding for each in found] == ["raised", "raised"]


def test_only_an_experiment_with_detectors_is_one(make_detectors: Make, make_results: Make) -> None:
    assert has_detectors(make_detectors(runs=by_hand()))
    assert not has_detectors(make_results(extras=False))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("classes", [], "expected an object with classes"),
        ("detection_threshold", None, "expected an object with classes"),
        ("detection_threshold", 0.5, r"detection_threshold is 0.001, in experiment.json 0.5"),
        ("published", {"iou75": {}}, "expected figures of"),
        ("published", {"iou50": {"real": {"map": 0.5}}}, "'map': 0.5"),
        ("published", {"iou50": {"real": {"mAP": "0.5"}}}, "expected figures of"),
        ("published", {"iou50": 0.5}, "expected figures of"),
        ("presence", {"parts": {}}, "presence is .*'kept', 'parts'"),
        ("placement", {"parts": {"synthetic": {"boxes": 3, "with_lesion": {"value": 1}}}}, "placement of 'synthetic'"),
        ("nearest", {"held_out": {"images": 3}}, "nearest of 'held_out'"),
    ],
)
def test_malformed_descriptions_are_refused(make_detectors: Make, key: str, value: Any, message: str) -> None:
    folder = make_detectors(runs=by_hand())
    experiment = json.loads((folder / "experiment.json").read_text())
    experiment["detectors"][key] = value
    (folder / "experiment.json").write_text(json.dumps(experiment))
    with pytest.raises(ResultsError, match=message):
        read_detectors(folder)


def test_files_that_are_missing_or_disagree_are_refused(make_detectors: Make) -> None:
    folder = make_detectors(runs=by_hand(), folds=2)
    first, second = (folder / "arms" / "gan" / f"fold{fold}_seed0" for fold in (0, 1))
    shutil.copytree(first, second, dirs_exist_ok=True)
    with pytest.raises(ResultsError, match=r"\['a'\] are tested in several folds"):
        read_detectors(folder)
    (first / "truths.csv").unlink()
    with pytest.raises(ResultsError, match=r"truths\.csv: No such file.*evaluation of the detector first"):
        read_detectors(folder)
    (first / "detection.json").unlink()
    with pytest.raises(ResultsError, match=r"detection\.json is missing"):
        read_detectors(folder)


def test_a_table_cut_short_is_refused(make_detectors: Make) -> None:
    folder = make_detectors(runs=by_hand())
    file = folder / "arms" / "real" / "fold0_seed0" / "truths.csv"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:2]))
    with pytest.raises(ResultsError, match=r"fold0_seed0: the tables of boxes do not fit together"):
        read_detectors(folder)


def test_arms_tested_on_other_boxes_are_refused(make_detectors: Make) -> None:
    runs = by_hand()
    runs["gan"] = [[one_slice("a", [A], [], []), *runs["gan"][0][1:]]]
    with pytest.raises(ResultsError, match="arms 'real' and 'gan' were tested on other patients, slices or true boxes"):
        read_detectors(make_detectors(runs=runs))
    with pytest.raises(ResultsError, match="no true boxes"):
        read_detectors(make_detectors(runs={"real": [[one_slice("a", [], [], [])]]}))
