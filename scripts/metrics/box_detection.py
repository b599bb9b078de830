"""Average precision, sensitivity, false positives per slice and FROC of a box detector, weighted by patient.

Each is a `Measure`; boxes are matched once. Why not MONAI's `COCOMetric`: it counts a
class without truths as a precision of -1 in the mean, and every resample would pay for all of it again.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scripts.metrics.box_matching import Floats, Integers, Matches
from scripts.metrics.measure import Measure, average, divide, ratio

DETECTION_THRESHOLD = 0.001  # 0.1%, CPGGAN, Table 1
FROC_RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # mean false positives per slice
SIZES = ("small", "medium", "large")
RECALLS = np.linspace(0.0, 1.0, 101)
BLOCK = 32  # resamples


def average_precision(matches: Matches, class_index: int) -> Measure:
    """COCO's 101-point interpolated average precision of a class, as pycocotools computes it.

    The mean over the recalls 0, .01 ... 1 of the highest precision at that recall or a higher one. All detections
    count: pycocotools keeps the best 100 of a slice and class; here the detector's own limit holds. In a resample, a
    patient drawn twice counts as two patients with the same slices. A set without truths of the class has no value.
    """
    if not 0 <= class_index < matches.class_count:
        raise ValueError(f"class_index is {class_index}; expected 0..{matches.class_count - 1}.")
    chosen = np.flatnonzero(matches.classes == class_index)
    order = chosen[np.argsort(-matches.scores[chosen], kind="stable")]
    hits = matches.truths[order] >= 0
    # Only true positives raise recall or the precision's envelope: one column for each.
    steps: Integers = np.cumsum(hits) - hits
    true, false = (
        _accumulate(matches.owners[order][kind], steps[kind], (len(matches.patients), int(hits.sum())))
        for kind in (hits, ~hits)
    )  # (P, K)
    truths = _count(matches.true_owners[matches.true_classes == class_index], matches)

    # Single precision is twice as fast and counts exactly up to 2^24, a resample's detections among them.
    kind: type[np.floating] = np.float32 if len(order) < 2**20 else np.float64
    found, all_so_far = true.astype(kind), (true + false).astype(kind)

    def of(weights: Floats) -> Floats:
        # A few resamples at a time stay in the processor's cache.
        values = [np.zeros(0)]
        for start in range(0, len(weights), BLOCK):
            block = weights[start : start + BLOCK]
            rows = block.astype(kind)
            values.append(_interpolated_precision(rows @ found, rows @ all_so_far, block @ truths))
        return np.concatenate(values)

    told = (truths > 0) | (_count(matches.owners[chosen], matches) > 0)
    return Measure(of, told, of(np.eye(len(matches.patients))))


def mean_average_precision(matches: Matches) -> Measure:
    """The mean of `average_precision` over the classes that have truths (mAP); NaN without any truth."""
    return average([average_precision(matches, index) for index in range(matches.class_count)])


def sensitivity(
    matches: Matches, *, threshold: float = DETECTION_THRESHOLD, chosen: NDArray[np.bool_] | None = None
) -> Measure:
    """Share of the truths, or of those that are `chosen` (M,), that detections with scores from `threshold` on find.

    It is pooled over patients; one without any such truth is left out.
    """
    among = np.ones(len(matches.areas), dtype=bool) if chosen is None else chosen
    found = _count(matches.true_owners[among & (matches.found_at >= threshold)], matches)
    return ratio(found, _count(matches.true_owners[among], matches))


def false_positives_per_slice(matches: Matches, *, threshold: float = DETECTION_THRESHOLD) -> Measure:
    """Detections with scores from `threshold` on that find no truth of their own, per slice.

    Slices without truths count too, and a second detection of a truth is a false positive.
    """
    wrong = (matches.truths < 0) & (matches.scores >= threshold)
    return ratio(_count(matches.owners[wrong], matches), matches.slices.astype(np.float64))


class Froc:
    """Free-response operating characteristic: sensitivity against mean false positives per slice.

    Sensitivity at a rate is the highest that any score threshold reaches with that many false positives per slice or
    fewer: a step curve, every point of which the detector attains, nothing interpolated. Above the rate that all
    detections together make, it stays where it is. All classes are pooled.

    Attributes:
        thresholds: (K,) falling scores at which a truth is found, where the curve rises.
    """

    def __init__(self, matches: Matches) -> None:
        self.matches = matches
        hit = matches.truths >= 0
        self.thresholds: Floats = -np.unique(-matches.scores[hit])  # (K,)
        steps = np.searchsorted(-self.thresholds, -matches.scores)  # first threshold that lets a detection pass
        self._true, self._false = (
            _accumulate(matches.owners[kind], steps[kind], (len(matches.patients), len(self.thresholds)))
            for kind in (hit, ~hit)
        )  # (P, K)
        self._truths = _count(matches.true_owners, matches)

    def threshold(self, rate: float) -> float:
        """Lowest score threshold at which the curve rises within `rate` false positives per slice; inf for none."""
        steps = self._steps(np.ones((1, len(self._truths))), np.array([rate]))[0]
        return float(self.thresholds[steps - 1]) if steps else float("inf")

    def sensitivity(self, rate: float) -> Measure:
        """Sensitivity at a rate of mean false positives per slice; a resample sets its own score threshold."""
        return self._measure(lambda weights: np.full(len(weights), float(rate)), rate)

    def matched_sensitivity(self, *others: Matches, threshold: float = DETECTION_THRESHOLD) -> Measure:
        """Sensitivity at the rate of false positives that another detector makes on the same slices.

        Two detectors are compared fairly where they make equally many false positives; a resample matches anew.

        Args:
            others: matches of the other detector; of several, the one that makes fewest sets the rate.
            threshold: their operating point, the lowest score that counts.
        """
        for other in others:
            if other.patients != self.matches.patients or not np.array_equal(other.slices, self.matches.slices):
                raise ValueError("The detectors saw other patients or slices; expected all on the same test set.")
        rates = [false_positives_per_slice(other, threshold=threshold) for other in others]
        return self._measure(
            lambda weights: np.min([rate.of(weights) for rate in rates], axis=0), min(rate.value for rate in rates)
        )

    def _measure(self, rate_of: Callable[[Floats], Floats], rate: float) -> Measure:
        def of(weights: Floats) -> Floats:
            steps = self._steps(weights, rate_of(weights))  # (R,)
            padded = np.pad(self._true, ((0, 0), (1, 0)))  # (P, 1 + K)
            return divide((weights * padded[:, steps].T).sum(axis=1), weights @ self._truths)

        fixed = sensitivity(self.matches, threshold=self.threshold(rate))
        return Measure(of, np.ones(len(self._truths), dtype=bool), fixed.by_patient)

    def _steps(self, weights: Floats, rates: Floats) -> Integers:
        """(R,) how many thresholds keep within the rate; a rounding error must not lose the one that meets it."""
        allowed = rates * (weights @ self.matches.slices)
        false = weights @ self._false  # (R, K), rising along K
        places = [np.searchsorted(row, most + 1e-9, "right") for row, most in zip(false, allowed, strict=True)]
        return np.array(places, dtype=np.intp)


def split_by_size(
    areas: Floats, edges: tuple[float, float] | None = None
) -> tuple[tuple[float, float], dict[str, NDArray[np.bool_]]]:
    """Small, medium and large truths of M areas: below the first edge, from it on, and from the second edge on.

    Edges are rising areas in square pixels, the tertiles by default.

    Returns:
        The edges, NaN where there are neither edges nor truths, and the (M,) members of each size.
    """
    if edges is None:
        first, second = np.quantile(areas, [1 / 3, 2 / 3]).tolist() if len(areas) else (np.nan, np.nan)
    else:
        first, second = edges
        if not 0 < first < second:
            raise ValueError(f"Size edges are {edges}; expected two rising areas in square pixels, as (100, 400).")
    members = (areas < first, (areas >= first) & (areas < second), areas >= second)
    return (first, second), dict(zip(SIZES, members, strict=True))


def _interpolated_precision(true: NDArray, detections: NDArray, truths: Floats) -> Floats:
    """(R,) of (R, K) true positives and detections up to each true positive by falling score, and (R,) truths."""
    # The fewest truths found that make each recall; the rounding is that of the division, as in pycocotools.
    found = np.ceil(RECALLS * truths[:, None] - 1e-6)  # (R, 101)
    found += divide(found, truths[:, None]) < RECALLS
    precision = np.divide(true, np.maximum(detections, 1), dtype=np.float64)
    values = np.zeros(len(truths))
    for row, (counts, needed) in enumerate(zip(true, found, strict=True)):
        starts = np.searchsorted(counts, needed)
        starts = starts[starts < len(counts)]  # precision 0 beyond the highest recall
        if len(starts):
            best = np.maximum.reduceat(precision[row], starts)  # from one recall up to the next
            values[row] = np.maximum.accumulate(best[::-1]).sum() / len(RECALLS)
    return np.where(truths > 0, values, np.nan)


def _accumulate(owners: Integers, steps: Integers, shape: tuple[int, int]) -> Floats:
    """(P, K): how many entries each owner has up to each step; entries of step K are left out."""
    patients, columns = shape
    counts = np.bincount(owners * (columns + 1) + steps, minlength=patients * (columns + 1))
    return np.cumsum(counts.reshape(patients, columns + 1)[:, :columns], axis=1).astype(np.float64)


def _count(owners: Integers, matches: Matches) -> Floats:
    return np.bincount(owners, minlength=len(matches.patients)).astype(np.float64)  # (P,)
