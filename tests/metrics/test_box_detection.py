from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from scripts.metrics.box_detection import (
    Froc,
    average,
    average_precision,
    false_positives_per_slice,
    mean_average_precision,
    sensitivity,
    split_by_size,
)
from scripts.metrics.box_matching import Matches, SliceBoxes, check_slice, match_slices


def random_slices(seed: int, *, slices: int = 40, classes: int = 3, decimals: int = 6) -> list[SliceBoxes]:
    """Slices of 7 patients: some without truths, some without detections, false positives near truths and far off."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(slices):
        truths, strays = rng.integers(0, 5), rng.integers(0, 6)
        corner = rng.uniform(0, 60, (truths, 2))
        true = np.concatenate([corner, corner + rng.uniform(5, 30, (truths, 2))], axis=1)
        near = np.repeat(true, 2, axis=0) + rng.normal(0, 2, (2 * truths, 4))
        corner = rng.uniform(0, 60, (strays, 2))
        boxes = np.concatenate([near, np.concatenate([corner, corner + rng.uniform(5, 30, (strays, 2))], axis=1)])
        kept = (boxes[:, 0] < boxes[:, 2]) & (boxes[:, 1] < boxes[:, 3]) & (number % 6 > 0)
        kinds = rng.integers(0, classes, truths)
        guesses = np.concatenate([np.repeat(kinds, 2), rng.integers(0, classes, strays)])
        made.append(
            check_slice(
                f"p{number * 7 // slices}",
                str(number),
                class_count=classes,
                boxes=boxes[kept],
                scores=rng.uniform(0, 1, len(boxes)).round(decimals)[kept],
                classes=guesses[kept],
                true_boxes=true,
                true_classes=kinds,
            )
        )
    return made


def coco_precisions(slices: Sequence[SliceBoxes], classes: int, ious: Sequence[float]) -> np.ndarray:
    """(IoUs, classes) average precisions of pycocotools; -1 for a class without truths."""

    def as_coco(image: int, box: np.ndarray, index: int) -> dict:
        x0, y0, x1, y1 = box.tolist()
        size = {"bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
        return {"image_id": image, "category_id": int(index) + 1, "iscrowd": 0, **size}

    pairs = list(enumerate(slices, start=1))
    truths = [as_coco(n, b, c) for n, s in pairs for b, c in zip(s.true_boxes, s.true_classes, strict=True)]
    found = [
        {**as_coco(n, b, c), "score": float(score)}
        for n, s in pairs
        for b, c, score in zip(s.boxes, s.classes, s.scores, strict=True)
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            "info": {},
            "images": [{"id": n} for n, _ in pairs],
            "categories": [{"id": c + 1} for c in range(classes)],
            "annotations": [{"id": n, **truth} for n, truth in enumerate(truths, start=1)],
        }
        reference.createIndex()
        evaluation = COCOeval(reference, reference.loadRes(found), "bbox")
        evaluation.params.iouThrs = np.array(ious)
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval["precision"][:, :, :, 0, -1].mean(axis=1)


def our_precisions(slices: Sequence[SliceBoxes], classes: int, ious: Sequence[float]) -> np.ndarray:
    matches = [match_slices(slices, classes, iou_threshold=iou) for iou in ious]
    return np.array([[average_precision(m, c).value for c in range(classes)] for m in matches])


@pytest.mark.parametrize("decimals", [6, 1])  # 1: eleven scores, so that most tie
@pytest.mark.parametrize("seed", range(5))
def test_average_precision_equals_pycocotools(seed: int, decimals: int) -> None:
    slices, ious = random_slices(seed, decimals=decimals), [0.25, *np.linspace(0.5, 0.95, 10)]
    expected = coco_precisions(slices, 3, ious)
    assert expected.max() > 0.3  # boxes that match, so that there is something to compare
    assert our_precisions(slices, 3, ious) == pytest.approx(expected, abs=1e-6)


def test_classes_without_truths_or_detections_equal_pycocotools() -> None:
    slices = random_slices(7, classes=2)
    unasked = SliceBoxes(
        "p0", "a", np.array([[0, 0, 5, 5.0]]), np.ones(1), np.array([2]), np.zeros((0, 4)), np.array([], int)
    )
    missed = SliceBoxes(
        "p0", "b", np.zeros((0, 4)), np.zeros(0), np.array([], int), np.array([[0, 0, 5, 5.0]]), np.array([3])
    )
    expected = coco_precisions([*slices, unasked, missed], 5, [0.5])[0]
    assert expected[2:].tolist() == [-1, 0, -1]
    matches = match_slices([*slices, unasked, missed], 5, iou_threshold=0.5)
    ours = [average_precision(matches, c).value for c in range(5)]
    assert ours == pytest.approx(np.where(expected < 0, np.nan, expected), abs=1e-6, nan_ok=True)
    assert mean_average_precision(matches).value == pytest.approx(expected[expected > -1].mean(), abs=1e-6)


@pytest.mark.parametrize("weights", [[1, 0, 2, 0, 3, 1, 0], [0, 0, 0, 7, 0, 0, 0]])
def test_weights_are_repeated_patients(weights: list[int]) -> None:
    slices = random_slices(3)
    matches = match_slices(slices, 3, iou_threshold=0.5)
    repeated = [each for each in slices for _ in range(weights[matches.patients.index(each.patient)])]
    of = np.array([weights], dtype=float)
    expected = coco_precisions(repeated, 3, [0.5])[0]
    assert [average_precision(matches, c).of(of)[0] for c in range(3)] == pytest.approx(expected, abs=1e-6)
    again = match_slices(repeated, 3, iou_threshold=0.5)
    assert sensitivity(matches, threshold=0.4).of(of) == pytest.approx(sensitivity(again, threshold=0.4).value)
    assert false_positives_per_slice(matches).of(of) == pytest.approx(false_positives_per_slice(again).value)
    assert Froc(matches).sensitivity(1.5).of(of) == pytest.approx(Froc(again).sensitivity(1.5).value)


def test_patients_alone_are_the_measures_of_their_slices() -> None:
    slices = random_slices(4)
    measure = mean_average_precision(match_slices(slices, 3, iou_threshold=0.5))
    alone = [each for each in slices if each.patient == "p2"]
    assert measure.by_patient[2] == mean_average_precision(match_slices(alone, 3, iou_threshold=0.5)).value


SQUARE, FAR, BIG = [0, 0, 10, 10], [50, 50, 60, 60], [0, 100, 30, 130]


def by_hand() -> Matches:
    """Patient a: two truths, found at .9 and .3, and a false positive at .6. Patient b: slices without truths, false
    positives at .8 and .0005."""
    none: list = []
    a = check_slice("a", "a", class_count=1, boxes=[SQUARE, FAR, BIG], scores=[0.9, 0.6, 0.3], classes=[0, 0, 0],
                    true_boxes=[SQUARE, BIG], true_classes=[0, 0])  # fmt: skip
    b = check_slice("b", "b", class_count=1, boxes=[SQUARE, FAR], scores=[0.8, 0.0005], classes=[0, 0],
                    true_boxes=none, true_classes=none)  # fmt: skip
    empty = check_slice(
        "b", "c", class_count=1, boxes=none, scores=none, classes=none, true_boxes=none, true_classes=none
    )
    return match_slices([a, b, empty, empty], 1, iou_threshold=0.5)


def test_sensitivity_and_false_positives_by_hand() -> None:
    matches = by_hand()
    assert sensitivity(matches).value == 1
    assert false_positives_per_slice(matches).value == 2 / 4  # .0005 is below .1%
    assert sensitivity(matches, threshold=0.5).value == 0.5
    assert false_positives_per_slice(matches, threshold=0).value == 3 / 4
    assert sensitivity(matches).by_patient.tolist() == pytest.approx([1, np.nan], nan_ok=True)
    assert sensitivity(matches).told.tolist() == [True, False]
    assert false_positives_per_slice(matches).alone.tolist() == pytest.approx([1, 1 / 3])


def test_average_precision_by_hand() -> None:
    # Recall .5 at precision 1, recall 1 at precision 2 / 4: 51 recalls of 0 to .5, then 50.
    assert average_precision(by_hand(), 0).value == pytest.approx((51 + 50 * 0.5) / 101)
    with pytest.raises(ValueError, match=r"class_index is 1; expected 0\.\.0"):
        average_precision(by_hand(), 1)


@pytest.mark.parametrize(
    ("rate", "expected", "threshold"), [(0, 0.5, 0.9), (0.49, 0.5, 0.9), (0.5, 1, 0.3), (9, 1, 0.3)]
)
def test_froc_by_hand(rate: float, expected: float, threshold: float) -> None:
    froc = Froc(by_hand())
    assert froc.sensitivity(rate).value == expected
    assert froc.threshold(rate) == threshold


def test_tied_scores_share_a_point_of_the_froc() -> None:
    tied = check_slice(
        "a", "a", class_count=1, boxes=[SQUARE, FAR], scores=[0.5, 0.5], classes=[0, 0],
        true_boxes=[SQUARE], true_classes=[0],
    )  # fmt: skip
    froc = Froc(match_slices([tied], 1, iou_threshold=0.5))
    assert [froc.sensitivity(rate).value for rate in (0.9, 1)] == [0, 1]
    assert froc.threshold(0.9) == float("inf")


@pytest.mark.parametrize("rate", [0.2, 1, 2.3])
def test_froc_is_the_best_over_all_thresholds(rate: float) -> None:
    matches = match_slices(random_slices(5, decimals=1), 3, iou_threshold=0.25)
    best = 0.0
    for threshold in np.unique(matches.scores):
        if ((matches.scores >= threshold) & (matches.truths < 0)).sum() / 40 <= rate:
            best = max(best, float((matches.found_at >= threshold).mean()))
    assert Froc(matches).sensitivity(rate).value == best > 0
    assert sensitivity(matches, threshold=Froc(matches).threshold(rate)).value == best


def test_matched_sensitivity_is_at_the_other_detectors_rate() -> None:
    slices = random_slices(6)
    matches, other = (match_slices(slices, 3, iou_threshold=iou) for iou in (0.25, 0.5))
    rate = false_positives_per_slice(other, threshold=0.6)
    measure = Froc(matches).matched_sensitivity(other, threshold=0.6)
    assert measure.value == Froc(matches).sensitivity(rate.value).value > 0
    weights = np.array([[0, 3, 1, 0, 1, 1, 1.0]])
    assert measure.of(weights) == Froc(matches).sensitivity(rate.of(weights)[0]).of(weights)
    with pytest.raises(ValueError, match="other patients or slices"):
        Froc(matches).matched_sensitivity(by_hand())


def test_the_lowest_of_several_rates_is_matched() -> None:
    slices = random_slices(6)
    matches, other = (match_slices(slices, 3, iou_threshold=iou) for iou in (0.25, 0.5))
    both = Froc(other).matched_sensitivity(matches, other, threshold=0.6)
    weights = np.array([np.ones(7), [0, 3, 1, 0, 1, 1, 1]])
    for row in weights[:, None]:
        rates = [false_positives_per_slice(each, threshold=0.6).of(row)[0] for each in (matches, other)]
        assert both.of(row) == Froc(other).sensitivity(min(rates)).of(row) > 0


def test_sizes_part_the_truths() -> None:
    areas = np.array([9.0, 1, 4, 16, 25, 36])
    edges, sizes = split_by_size(areas)
    assert edges == pytest.approx((9 - 5 / 3, 16 + 3))  # numpy's linear quantiles: 1.67th and 3.33th of 0..5
    assert [areas[chosen].tolist() for chosen in sizes.values()] == [[1, 4], [9, 16], [25, 36]]
    _, sizes = split_by_size(areas, (4, 25))
    assert [int(chosen.sum()) for chosen in sizes.values()] == [1, 3, 2]
    with pytest.raises(ValueError, match=r"\(25, 4\); expected two rising"):
        split_by_size(areas, (25, 4))
    matches = by_hand()
    _, sizes = split_by_size(matches.areas, (200, 800))
    found = [sensitivity(matches, threshold=0.5, chosen=chosen).value for chosen in sizes.values()]
    assert found == pytest.approx([1, np.nan, 0], nan_ok=True)


def test_without_truths_only_false_positives_are_known() -> None:
    box = check_slice(
        "p", "s", class_count=1, boxes=[SQUARE], scores=[0.5], classes=[0], true_boxes=[], true_classes=[]
    )
    matches = match_slices([box], 1, iou_threshold=0.5)
    assert false_positives_per_slice(matches).value == 1
    for measure in (sensitivity(matches), mean_average_precision(matches), Froc(matches).sensitivity(1)):
        assert np.isnan(measure.value)
    edges, _ = split_by_size(matches.areas)
    assert np.isnan(edges).all()


def test_without_detections_nothing_is_found() -> None:
    box = check_slice("p", "s", class_count=2, boxes=[], scores=[], classes=[], true_boxes=[SQUARE], true_classes=[1])
    matches = match_slices([box], 2, iou_threshold=0.5)
    for measure in (sensitivity(matches), mean_average_precision(matches), Froc(matches).sensitivity(1)):
        assert measure.value == 0
    assert false_positives_per_slice(matches).value == 0


def test_average_of_trainings_passes_over_the_unknown() -> None:
    matches = by_hand()
    mean = average([sensitivity(matches), sensitivity(matches, threshold=0.5)])
    assert mean.value == 0.75
    assert mean.by_patient.tolist() == pytest.approx([0.75, np.nan], nan_ok=True)
    nothing = sensitivity(matches, chosen=np.zeros(2, dtype=bool))
    assert average([nothing, sensitivity(matches)]).value == 1
    with pytest.raises(ValueError, match="all of the same patients"):
        average([])
