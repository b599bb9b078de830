"""Which detected boxes find which true ones, slice by slice: COCO's greedy rule.

Boxes are (x0, y0, x1, y1) in pixels, half-open, x first. MONAI's `matching_batch` is not used: it does not say which
truth a detection found, and its loops in Python are too slow for a thousand slices of a hundred boxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.intp]


@dataclass(frozen=True)
class SliceBoxes:
    """Detections and truths of one slice, as `check_slice` returns them."""

    patient: str
    source: str  # the slice's name, for messages and tables
    boxes: Floats  # (n, 4) detected
    scores: Floats  # (n,) of the detections, any finite numbers, higher is surer
    classes: Integers  # (n,) 0..C-1
    true_boxes: Floats  # (m, 4)
    true_classes: Integers  # (m,) 0..C-1


@dataclass(frozen=True)
class Matches:
    """Detections and truths of a whole set at one IoU, flat, with N detections, M truths and P patients."""

    class_count: int  # C
    patients: tuple[str, ...]  # P names
    slices: Integers  # (P,) how many slices each has, with boxes or without
    scores: Floats  # (N,) of the detections, in the slices' order, as given within a slice
    classes: Integers  # (N,) 0..C-1
    owners: Integers  # (N,) the detection's patient, 0..P-1
    truths: Integers  # (N,) the truth that the detection found, 0..M-1; -1 for a false positive
    true_classes: Integers  # (M,) 0..C-1
    true_owners: Integers  # (M,) the truth's patient
    areas: Floats  # (M,) of the true boxes, in square pixels

    @cached_property
    def found_at(self) -> Floats:
        """(M,) score of the detection that found the truth; -inf where none did."""
        scores = np.full(len(self.true_classes), -np.inf)
        scores[self.truths[self.truths >= 0]] = self.scores[self.truths >= 0]
        return scores


def compute_iou(a: ArrayLike, b: ArrayLike) -> Floats:
    """Intersection over union (n, m) in [0, 1] of boxes (n, 4) and (m, 4) of positive size.

    In double precision, as pycocotools does it.
    """
    first, second = (np.asarray(boxes, dtype=np.float64).reshape(-1, 4) for boxes in (a, b))
    low = np.maximum(first[:, None, :2], second[None, :, :2])  # (n, m, 2)
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])  # (n, m, 2)
    shared = np.prod(np.maximum(high - low, 0), axis=-1)  # (n, m)
    return shared / (compute_areas(first)[:, None] + compute_areas(second)[None, :] - shared)


def compute_areas(boxes: Floats) -> Floats:
    """(n,) areas in square pixels of (n, 4) boxes."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def check_slice(
    patient: str,
    source: str,
    *,
    class_count: int,
    boxes: ArrayLike,
    scores: ArrayLike,
    classes: ArrayLike,
    true_boxes: ArrayLike,
    true_classes: ArrayLike,
) -> SliceBoxes:
    """A slice's boxes as arrays; empty lists are a slice without detections, or a negative one without truths.

    Raises:
        ValueError: lengths that differ, a box of zero or negative size or not finite, a score that is not finite, a
            class outside 0..C-1; the message names the slice and the first offender.
    """
    found = _checked_boxes(boxes, f"{source}: detection")
    true = _checked_boxes(true_boxes, f"{source}: truth")
    numbers = np.asarray(scores, dtype=np.float64).reshape(-1)
    if len(numbers) != len(found):
        raise ValueError(f"{source}: {len(numbers)} scores for {len(found)} detections; expected one per box.")
    if not np.isfinite(numbers).all():
        raise ValueError(f"{source}: a score is {numbers[~np.isfinite(numbers)][0]}; expected finite numbers.")
    return SliceBoxes(
        patient,
        source,
        found,
        numbers,
        _checked_classes(classes, len(found), class_count, f"{source}: detection"),
        true,
        _checked_classes(true_classes, len(true), class_count, f"{source}: truth"),
    )


def _checked_boxes(boxes: ArrayLike, name: str) -> Floats:
    array = np.asarray(boxes, dtype=np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"{name} boxes have shape {array.shape}; expected (n, 4): x0, y0, x1, y1.")
    bad = ~(np.isfinite(array).all(axis=1) & (array[:, :2] < array[:, 2:]).all(axis=1))
    if bad.any():
        number = int(bad.argmax())
        raise ValueError(
            f"{name} {number} is the box {array[number].tolist()}; expected x0 < x1 and y0 < y1 in pixels. "
            "Drop boxes of zero size, such as those that clipping to the image leaves."
        )
    return array


def _checked_classes(classes: ArrayLike, boxes: int, class_count: int, name: str) -> Integers:
    array = np.asarray(classes).reshape(-1)
    if len(array) != boxes:
        raise ValueError(f"{name}s: {len(array)} classes for {boxes} boxes; expected one per box.")
    bad = (array < 0) | (array >= class_count) | (array != np.floor(array))
    if bad.any():
        number = int(bad.argmax())
        raise ValueError(f"{name} {number} has class {array[number]:g}; expected 0..{class_count - 1}.")
    return array.astype(np.intp)


def match_boxes(of: SliceBoxes, *, iou_threshold: float) -> Integers:
    """The truth that each detection of a slice finds, (n,), by COCO's rule; -1 for a false positive.

    By falling score (as given where scores tie), each detection takes the truth of its class, not yet taken, with
    which it overlaps most, if that is `iou_threshold` or more; the last of several that overlap alike. A second
    detection of a truth is a false positive. What a detection takes never hangs on those with lower scores, so the
    matches above a score threshold are those of the detections above it.

    Raises:
        ValueError: a threshold outside (0, 1].
    """
    if not 0 < iou_threshold <= 1:
        raise ValueError(f"iou_threshold is {iou_threshold}; expected a number in (0, 1], such as 0.5.")
    found = np.full(len(of.boxes), -1, dtype=np.intp)
    if not len(of.boxes) or not len(of.true_boxes):
        return found
    same = of.classes[:, None] == of.true_classes[None, :]
    overlaps = np.where(same, compute_iou(of.boxes, of.true_boxes), 0)  # (n, m)
    least = min(iou_threshold, 1 - 1e-10)
    last = len(of.true_boxes) - 1
    order = np.argsort(-of.scores, kind="stable")
    for n in order[overlaps[order].max(axis=1) >= least]:
        best = last - int(overlaps[n, ::-1].argmax())
        if overlaps[n, best] >= least:
            found[n] = best
            overlaps[:, best] = 0  # taken
    return found


def match_slices(slices: Sequence[SliceBoxes], class_count: int, *, iou_threshold: float) -> Matches:
    """Matches every slice, and joins what came out; their order decides between equal scores, as in pycocotools."""
    names = tuple(dict.fromkeys(each.patient for each in slices))
    place = {name: index for index, name in enumerate(names)}
    truths, first = [], 0
    for each in slices:
        found = match_boxes(each, iou_threshold=iou_threshold)
        truths.append(np.where(found < 0, -1, found + first))
        first += len(each.true_boxes)
    of_slice = np.array([place[each.patient] for each in slices], dtype=np.intp)
    return Matches(
        class_count,
        names,
        np.bincount(of_slice, minlength=len(names)),
        scores=_joined([each.scores for each in slices], np.float64),
        classes=_joined([each.classes for each in slices], np.intp),
        owners=np.repeat(of_slice, [len(each.scores) for each in slices]),
        truths=_joined(truths, np.intp),
        true_classes=_joined([each.true_classes for each in slices], np.intp),
        true_owners=np.repeat(of_slice, [len(each.true_classes) for each in slices]),
        areas=_joined([compute_areas(each.true_boxes) for each in slices], np.float64),
    )


def join_folds(folds: Sequence[Matches]) -> Matches:
    """The matches of several folds, each with patients of its own, as one set.

    Raises:
        ValueError: none, or a patient in two of them.
    """
    patients = [name for fold in folds for name in fold.patients]
    if not folds or len(set(patients)) < len(patients):
        twice = sorted({name for name in patients if patients.count(name) > 1})
        raise ValueError(f"{len(folds)} folds, with the patients {twice[:3]} in several; expected each in one.")
    first_patients = np.cumsum([0, *(len(fold.patients) for fold in folds)])[:-1]
    first_truths = np.cumsum([0, *(len(fold.areas) for fold in folds)])[:-1]
    shifted = [np.where(f.truths < 0, -1, f.truths + first) for f, first in zip(folds, first_truths, strict=True)]

    def join(key: str, firsts: Integers | None = None) -> NDArray:
        starts = [0] * len(folds) if firsts is None else firsts.tolist()
        return np.concatenate([getattr(fold, key) + start for fold, start in zip(folds, starts, strict=True)])

    return Matches(
        folds[0].class_count,
        tuple(patients),
        join("slices"),
        scores=join("scores"),
        classes=join("classes"),
        owners=join("owners", first_patients),
        truths=np.concatenate(shifted),
        true_classes=join("true_classes"),
        true_owners=join("true_owners", first_patients),
        areas=join("areas"),
    )


def _joined(parts: Sequence[NDArray], kind: type) -> NDArray:
    return np.concatenate([np.zeros(0, dtype=kind), *parts]).astype(kind)
