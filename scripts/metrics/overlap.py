"""Agreement of predicted and reference label maps, by patient."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from monai.metrics import compute_hausdorff_distance


class PatientOverlap:
    """Voxel counts of one patient over all his images, per foreground label.

    A patient whose slices are files of their own is summed over them first, so Dice and IoU are those of the whole
    patient. The 95% Hausdorff distance is the mean over his images (volumes, or slices where files are slices) in which
    both reference and prediction hold the label.
    """

    def __init__(self, foreground_count: int) -> None:
        self.foreground_count = foreground_count
        self.intersection = np.zeros(foreground_count)  # voxels in both
        self.predicted = np.zeros(foreground_count)  # voxels
        self.reference = np.zeros(foreground_count)  # voxels
        self.volume_ml = np.zeros(foreground_count)  # predicted minus reference (with unit spacing: in 1000 voxels)
        self.distances: list[list[float]] = [[] for _ in range(foreground_count)]  # 95% Hausdorff, in mm

    def add(
        self,
        prediction: torch.Tensor,
        reference: torch.Tensor,
        spacing: Sequence[float] | None = None,
        *,
        with_distance: bool = False,
    ) -> None:
        """Adds one image: label maps (X, Y[, Z]) of 0..K, and the voxel size in mm."""
        spacing = [1.0] * prediction.ndim if spacing is None else [float(s) for s in spacing]
        for k in range(self.foreground_count):
            p, r = prediction == k + 1, reference == k + 1
            both, in_p, in_r = int((p & r).sum()), int(p.sum()), int(r.sum())
            self.intersection[k] += both
            self.predicted[k] += in_p
            self.reference[k] += in_r
            self.volume_ml[k] += (in_p - in_r) * math.prod(spacing) / 1000
            if with_distance and in_p and in_r:
                self.distances[k].append(_hausdorff95(p, r, spacing))

    def dice(self, k: int) -> float:
        """Dice of label k+1 (SciPy's `1 - dice dissimilarity`); NaN where neither holds it."""
        total = self.predicted[k] + self.reference[k]
        return float(2 * self.intersection[k] / total) if total else math.nan

    def iou(self, k: int) -> float:
        """Intersection over union (Jaccard index) of label k+1; NaN where neither holds it."""
        union = self.predicted[k] + self.reference[k] - self.intersection[k]
        return float(self.intersection[k] / union) if union else math.nan

    def hausdorff95(self, k: int) -> float:
        """Mean 95% Hausdorff distance in mm of label k+1; NaN where no image holds it in both maps."""
        return float(np.mean(self.distances[k])) if self.distances[k] else math.nan

    def volume_error(self, k: int) -> float:
        """Predicted minus reference volume in ml of label k+1."""
        return float(self.volume_ml[k])

    def mean_dice(self) -> float:
        """Mean over the labels that reference or prediction hold; NaN where there are none."""
        values = [d for d in map(self.dice, range(self.foreground_count)) if not math.isnan(d)]
        return float(np.mean(values)) if values else math.nan


def _hausdorff95(prediction: torch.Tensor, reference: torch.Tensor, spacing: Sequence[float]) -> float:
    """MONAI's 95% Hausdorff distance of two non-empty masks (X, Y[, Z]), cropped to what they cover."""
    either = torch.nonzero(prediction | reference)
    crop = tuple(
        slice(max(0, int(low) - 1), int(high) + 2) for low, high in zip(either.amin(0), either.amax(0), strict=True)
    )
    pair = (prediction[crop][None, None].float(), reference[crop][None, None].float())
    return float(compute_hausdorff_distance(*pair, include_background=True, percentile=95, spacing=list(spacing)))
