from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial import distance

from scripts.metrics.overlap import PatientOverlap


def blobs(seed: int, shape: tuple[int, ...], labels: int = 2) -> torch.Tensor:
    """A smooth random label map of 0..labels."""
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return torch.as_tensor(np.digitize(noise, np.quantile(noise, [0.6, 0.85][:labels])))


def scipy_hausdorff95(p: np.ndarray, r: np.ndarray, spacing) -> float:
    """The larger of both directions' 95th percentile of the distances from surface to surface."""
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (p, r)]
    to = [ndimage.distance_transform_edt(~edge, sampling=spacing) for edge in edges]
    return max(np.percentile(to[1][edges[0]], 95), np.percentile(to[0][edges[1]], 95))


def test_dice_and_iou_are_scipys():
    prediction, reference = blobs(0, (20, 24, 6)), blobs(1, (20, 24, 6))
    overlap = PatientOverlap(2)
    overlap.add(prediction, reference)
    for k in range(2):
        p, r = (prediction == k + 1).numpy().ravel(), (reference == k + 1).numpy().ravel()
        assert overlap.dice(k) == pytest.approx(1 - distance.dice(p, r))
        assert overlap.iou(k) == pytest.approx(1 - distance.jaccard(p, r))
    assert overlap.mean_dice() == pytest.approx((overlap.dice(0) + overlap.dice(1)) / 2)


@pytest.mark.parametrize("shape", [(30, 34), (24, 20, 9)])
@pytest.mark.parametrize("seed", [0, 1])
def test_hausdorff_distance_against_distance_maps(shape, seed):
    spacing = [0.7, 1.5, 3.0][: len(shape)]
    prediction, reference = blobs(seed, shape), blobs(seed + 7, shape)
    overlap = PatientOverlap(2)
    overlap.add(prediction, reference, spacing, with_distance=True)
    for k in range(2):
        expected = scipy_hausdorff95((prediction == k + 1).numpy(), (reference == k + 1).numpy(), spacing)
        assert overlap.hausdorff95(k) == pytest.approx(expected, rel=1e-5)


def test_hausdorff_distance_of_two_points_by_hand():
    prediction, reference = torch.zeros(10, 10, 10), torch.zeros(10, 10, 10)
    prediction[1, 1, 1] = reference[4, 5, 1] = 1
    overlap = PatientOverlap(1)
    overlap.add(prediction, reference, [2.0, 1.0, 1.0], with_distance=True)
    assert overlap.hausdorff95(0) == pytest.approx(math.hypot(3 * 2, 4))


def test_the_distance_is_the_mean_over_images_that_hold_the_label_in_both():
    overlap, empty = PatientOverlap(1), torch.zeros(8, 8)
    for step in (1, 3):
        prediction, reference = torch.zeros(8, 8), torch.zeros(8, 8)
        prediction[2, 2] = reference[2, 2 + step] = 1
        overlap.add(prediction, reference, with_distance=True)
    overlap.add(empty, reference, with_distance=True)
    assert overlap.hausdorff95(0) == pytest.approx(2.0)


def test_volume_error_by_hand():
    prediction, reference = torch.zeros(10, 10, 2), torch.zeros(10, 10, 2)
    prediction[:5, :4] = 1  # 40 voxels of 1 x 2 x 5 mm = 0.4 ml
    reference[:5, :1] = 1  # 10 voxels
    overlap = PatientOverlap(1)
    overlap.add(prediction, reference, [1.0, 2.0, 5.0])
    overlap.add(reference, prediction, [1.0, 1.0, 1.0])
    assert overlap.volume_ml[0] == pytest.approx(0.3 - 0.03)


def test_slices_of_a_patient_are_summed_before_the_quotient():
    overlap = PatientOverlap(1)
    overlap.add(torch.tensor([[1, 1, 0, 0]]), torch.tensor([[1, 0, 0, 0]]))
    overlap.add(torch.tensor([[0, 0, 0, 0]]), torch.tensor([[0, 1, 1, 1]]))
    assert overlap.dice(0) == pytest.approx(2 * 1 / (2 + 4))  # not the mean of 2/3 and 0
    assert overlap.iou(0) == pytest.approx(1 / 5)


def test_what_neither_holds_is_unknown_and_what_one_holds_is_zero():
    overlap = PatientOverlap(3)
    overlap.add(torch.tensor([[1, 0, 2]]), torch.tensor([[1, 0, 0]]), with_distance=True)
    assert [overlap.dice(0), overlap.dice(1)] == [1, 0]
    assert all(math.isnan(value) for value in (overlap.dice(2), overlap.iou(2), overlap.hausdorff95(1)))
    assert overlap.mean_dice() == 0.5
    assert math.isnan(PatientOverlap(2).mean_dice())
