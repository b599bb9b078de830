from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from monai.data.box_utils import box_iou

from scripts.metrics.box_matching import check_slice, compute_iou, join_folds, match_boxes, match_slices


def test_iou_by_hand() -> None:
    a = [[0, 0, 10, 10], [20, 20, 30, 30]]
    b = [[0, 0, 10, 10], [5, 0, 15, 10], [10, 0, 20, 10]]  # the third only touches: boxes are half-open
    assert compute_iou(a, b) == pytest.approx(np.array([[1, 50 / 150, 0], [0, 0, 0]]))


def test_iou_equals_monais() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 50, (60, 2))
    boxes = np.concatenate([low, low + rng.uniform(1, 30, (60, 2))], axis=1)
    assert compute_iou(boxes[:40], boxes[40:]) == pytest.approx(box_iou(boxes[:40], boxes[40:]), abs=1e-6)


def test_no_boxes_have_no_overlap() -> None:
    assert compute_iou([], [[0, 0, 1, 1]]).shape == (0, 1)


def match(boxes: Any, scores: Any, true_boxes: Any, iou: float = 0.5, **classes: list[int]) -> list[int]:
    arrays = check_slice(
        "p",
        "s",
        class_count=2,
        boxes=boxes,
        scores=scores,
        classes=classes.get("classes", [0] * len(boxes)),
        true_boxes=true_boxes,
        true_classes=classes.get("true_classes", [0] * len(true_boxes)),
    )
    return match_boxes(arrays, iou_threshold=iou).tolist()


SQUARE = [0, 0, 10, 10]
SHIFTED = [2, 0, 12, 10]  # IoU with the square 80 / 120


def test_second_detection_of_a_truth_is_a_false_positive() -> None:
    assert match([SHIFTED, SQUARE], [0.9, 0.8], [SQUARE]) == [0, -1]  # the surer one, though it fits worse
    assert match([SHIFTED, SQUARE], [0.8, 0.9], [SQUARE]) == [-1, 0]
    assert match([SHIFTED, SQUARE], [0.8, 0.8], [SQUARE]) == [0, -1]  # a tie: as given


def test_best_truth_left_is_taken() -> None:
    assert match([SQUARE, SQUARE], [0.9, 0.8], [SHIFTED, SQUARE]) == [1, 0]
    assert match([SQUARE], [0.9], [SQUARE, SQUARE]) == [1]  # as in pycocotools, the last of equals


def test_threshold_is_included() -> None:
    half = [[0, 0, 10, 5]]
    assert match(half, [0.9], [SQUARE], iou=0.5) == [0]
    assert match(half, [0.9], [SQUARE], iou=0.51) == [-1]
    assert match([SQUARE], [0.9], [SQUARE], iou=1.0) == [0]
    with pytest.raises(ValueError, match="iou_threshold is 0"):
        match([SQUARE], [0.9], [SQUARE], iou=0)


def test_classes_are_matched_apart() -> None:
    assert match([SQUARE, SQUARE], [0.9, 0.8], [SQUARE], classes=[0, 1], true_classes=[1]) == [-1, 0]


def test_empty_slices() -> None:
    assert match([], [], [SQUARE]) == []
    assert match([SQUARE], [0.5], []) == [-1]
    assert match([], [], []) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boxes": [[0, 0, 0, 5]]}, r"s: detection 0 is the box \[0.0, 0.0, 0.0, 5.0\]; expected x0 < x1"),
        ({"true_boxes": [[3, 5, 9, 4]]}, r"s: truth 0 is the box .* expected x0 < x1 and y0 < y1"),
        ({"boxes": [[0, 0, np.nan, 5]]}, "detection 0 is the box"),
        ({"boxes": [[0, 0, 5]]}, r"shape \(1, 3\); expected \(n, 4\)"),
        ({"classes": [2]}, r"detection 0 has class 2; expected 0\.\.1"),
        ({"true_classes": [-1]}, r"truth 0 has class -1; expected 0\.\.1"),
        ({"true_classes": []}, "0 classes for 1 boxes"),
        ({"scores": [0.1, 0.2]}, "2 scores for 1 detections"),
        ({"scores": [np.nan]}, "a score is nan"),
    ],
)
def test_bad_boxes_are_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "boxes": [SQUARE],
        "scores": [0.5],
        "classes": [0],
        "true_boxes": [SQUARE],
        "true_classes": [1],
    }
    with pytest.raises(ValueError, match=message):
        check_slice("p", "s", class_count=2, **(good | change))


def test_slices_are_joined_with_the_score_at_which_each_truth_is_found() -> None:
    far = [50, 50, 60, 60]
    common = {"class_count": 1, "scores": [0.9, 0.4], "classes": [0, 0]}
    first = check_slice("a", "a#0", boxes=[far, SQUARE], true_boxes=[SQUARE, SHIFTED], true_classes=[0, 0], **common)
    second = check_slice("b", "b#0", boxes=[far, SHIFTED], true_boxes=[far], true_classes=[0], **common)
    negative = check_slice("a", "a#1", class_count=1, boxes=[], scores=[], classes=[], true_boxes=[], true_classes=[])
    matches = match_slices([first, second, negative], 1, iou_threshold=0.5)
    assert matches.patients == ("a", "b")
    assert matches.slices.tolist() == [2, 1]
    assert matches.truths.tolist() == [-1, 0, 2, -1]
    assert matches.owners.tolist() == [0, 0, 1, 1]
    assert matches.true_owners.tolist() == [0, 0, 1]
    assert matches.found_at.tolist() == [0.4, -np.inf, 0.9]
    assert matches.areas.tolist() == [100, 100, 100]


def test_folds_joined_are_all_slices_matched_together() -> None:
    rng = np.random.default_rng(0)
    slices = []
    for number in range(8):
        true = [[20 * n, 0, 20 * n + 8, 9] for n in range(int(rng.integers(1, 4)))]
        boxes = [*true[: int(rng.integers(0, 3))], [70, 70, 80, 80]]
        given = {"boxes": boxes, "scores": rng.uniform(0, 1, len(boxes)), "classes": [0] * len(boxes)}
        name = f"p{number // 2}"
        slices.append(
            check_slice(name, str(number), class_count=1, true_boxes=true, true_classes=[0] * len(true), **given)
        )
    together = match_slices(slices, 1, iou_threshold=0.5)
    folds = [match_slices(part, 1, iou_threshold=0.5) for part in (slices[:4], slices[4:])]
    joined = join_folds(folds)
    assert joined.patients == together.patients
    for key in ("slices", "scores", "owners", "truths", "true_owners", "areas", "found_at"):
        assert (getattr(joined, key) == getattr(together, key)).all()
    with pytest.raises(ValueError, match=r"the patients \['p0', 'p1'\] in several"):
        join_folds([folds[0], folds[0]])
