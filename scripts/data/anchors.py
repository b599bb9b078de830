"""Anchors of a detector by k-means of training boxes (Redmon and Farhadi, YOLO9000, 2017, section 2; YOLOv3, 2018)."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from scripts.data.contract import DatasetError

RESTARTS = 10
MAX_ITERATIONS = 300

logger = logging.getLogger(__name__)


def compute_anchors(boxes: ArrayLike, *, count: int = 9, seed: int = 0) -> torch.Tensor:
    """The typical sizes of boxes: k-means with the distance 1 - IoU, boxes on one centre (YOLO9000, section 2).

    The means start from boxes drawn as in k-means++ with that distance; of ten starts the one with the highest mean
    best IoU is kept. With fewer distinct sizes than anchors, all of them are anchors, and so are scaled
    copies of them, for k-means cannot tell more clusters apart: first by sqrt(2) and 1/sqrt(2), then by 2 and 1/2, and
    so on. The log says so, and the mean best IoU.

    Args:
        boxes: (N, 4), x0, y0, x1, y1 of all training boxes, in pixels of the network's input.
        count: number of anchors; YOLOv3 has nine.
        seed: of the starts.

    Returns:
        (count, 2) fp32, width along X and height along Y in pixels, sorted by area.

    Raises:
        DatasetError: no box, or boxes of another shape or without area.
    """
    corners = np.asarray(boxes, dtype=np.float64)
    if corners.size == 0:
        raise DatasetError("There are no boxes, expected at least 1 in the training set. Anchors follow their sizes.")
    if corners.ndim != 2 or corners.shape[1] != 4:
        raise DatasetError(f"The boxes have shape {corners.shape}, expected (N, 4): x0, y0, x1, y1.")
    sizes = corners[:, 2:] - corners[:, :2]
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        wrong = corners[~(np.isfinite(sizes) & (sizes > 0)).all(axis=1)][0].tolist()
        raise DatasetError(f"The box {wrong} has no area, expected x0 < x1 and y0 < y1. Correct it or leave it out.")
    distinct = np.unique(sizes, axis=0)
    if len(distinct) <= count:
        anchors = _add_scaled_copies(distinct, count)
        if len(distinct) < count:
            logger.warning(
                f"{len(sizes)} training boxes have {len(distinct)} distinct sizes, fewer than {count} anchors: "
                f"{count - len(distinct)} anchors are scaled copies of them."
            )
    else:
        random = np.random.default_rng(seed)
        starts = [_cluster(sizes, _draw_start(sizes, count, random)) for _ in range(RESTARTS)]
        anchors = max(starts, key=lambda means: mean_best_iou(sizes, means))
    anchors = anchors.astype(np.float32)  # before sorting: areas that are equal in fp64 may not be in fp32
    anchors = anchors[np.lexsort((anchors[:, 0], anchors.prod(axis=1)))]
    shown = ", ".join(f"{width:.0f}x{height:.0f}" for width, height in anchors)
    logger.info(f"Anchors {shown} px; mean best IoU with the training boxes {mean_best_iou(sizes, anchors):.3f}")
    return torch.as_tensor(anchors)


def choose_anchors(anchors: Sequence[Sequence[float]] | None, boxes: ArrayLike, *, seed: int = 0) -> torch.Tensor:
    """The given anchors, (9, 2) in pixels; those of the training boxes where none are given, see `compute_anchors`."""
    return compute_anchors(boxes, seed=seed) if anchors is None else torch.as_tensor(anchors, dtype=torch.float32)


def mean_best_iou(sizes: ArrayLike, anchors: ArrayLike | Sequence[Sequence[float]]) -> float:
    """Mean over boxes (N, 2) of the IoU with the anchor (A, 2) that fits best, in (0, 1]; YOLO9000, table 1."""
    return float(_iou(np.asarray(sizes, dtype=np.float64), np.asarray(anchors, dtype=np.float64)).max(axis=1).mean())


def _iou(sizes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU of boxes on one centre: (N, 2) and (A, 2) to (N, A)."""
    shared = np.minimum(sizes[:, None], others).prod(axis=2)
    return shared / (sizes.prod(axis=1)[:, None] + others.prod(axis=1) - shared)


def _draw_start(sizes: NDArray[np.float64], count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Boxes (count, 2), each drawn with a chance proportional to its squared distance from those before."""
    chosen = [sizes[random.integers(len(sizes))]]
    while len(chosen) < count:
        distance = (1 - _iou(sizes, np.array(chosen)).max(axis=1)).clip(min=0) ** 2
        chosen.append(sizes[random.choice(len(sizes), p=distance / distance.sum())])
    return np.array(chosen)


def _cluster(sizes: NDArray[np.float64], means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lloyd's iterations from the given means (A, 2) until no box changes its cluster; an empty one keeps its mean."""
    assigned = np.full(len(sizes), -1)
    for _ in range(MAX_ITERATIONS):
        nearest = _iou(sizes, means).argmax(axis=1)
        if (nearest == assigned).all():
            break
        assigned = nearest
        members = np.bincount(assigned, minlength=len(means))
        sums = np.stack([np.bincount(assigned, weights=side, minlength=len(means)) for side in sizes.T], axis=1)
        means = np.where(members[:, None] > 0, sums / members.clip(min=1)[:, None], means)
    return means


def _add_scaled_copies(sizes: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Sizes (N, 2), N <= count, and copies times sqrt(2), 1 / sqrt(2), 2, 1/2 ...: (count, 2), no two alike."""
    anchors = list(sizes)
    power = 1
    while len(anchors) < count:
        for factor in (2 ** (power / 2), 2 ** (-power / 2)):
            for size in sizes:
                copy = size * factor
                if len(anchors) < count and not any(np.allclose(copy, anchor) for anchor in anchors):
                    anchors.append(copy)
        power += 1
    return np.array(anchors)
