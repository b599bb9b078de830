from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from scripts.data.anchors import compute_anchors, mean_best_iou
from scripts.data.contract import DatasetError

SIZES = np.array([[10, 10], [10, 25], [30, 12], [40, 40], [90, 30], [35, 100], [120, 110], [250, 90], [200, 230]])


def boxes_of(sizes: np.ndarray) -> np.ndarray:
    corner = np.random.default_rng(0).uniform(0, 50, sizes.shape)
    return np.concatenate([corner, corner + sizes], axis=1)


def draw_clusters(per_cluster: int = 40) -> np.ndarray:
    spread = np.random.default_rng(1).uniform(0.93, 1.07, (len(SIZES) * per_cluster, 2))
    return SIZES.repeat(per_cluster, axis=0) * spread


def test_known_clusters_are_found() -> None:
    sizes = draw_clusters()
    anchors = compute_anchors(boxes_of(sizes)).numpy()
    means = sizes.reshape(len(SIZES), -1, 2).mean(axis=1)
    expected = means[np.argsort(means.prod(axis=1))]
    np.testing.assert_allclose(anchors, expected, rtol=1e-5)


def test_they_are_fp32_and_rise_in_area() -> None:
    sizes = np.random.default_rng(2).lognormal(3, 0.6, (500, 2))
    anchors = compute_anchors(boxes_of(sizes))
    assert anchors.dtype == torch.float32
    assert anchors.shape == (9, 2)
    assert (anchors.prod(dim=1).diff() > 0).all()


def test_clusters_fit_better_than_boxes_drawn_at_random() -> None:
    random = np.random.default_rng(2)
    sizes = random.lognormal(3, 0.6, (500, 2))
    drawn = [mean_best_iou(sizes, random.choice(sizes, 9)) for _ in range(20)]
    assert mean_best_iou(sizes, compute_anchors(boxes_of(sizes))) > max(drawn)


def test_the_seed_alone_decides() -> None:
    boxes = boxes_of(np.random.default_rng(3).lognormal(3, 0.8, (200, 2)))
    assert torch.equal(compute_anchors(boxes, seed=5), compute_anchors(boxes, seed=5))
    np.random.seed(1)
    assert torch.equal(compute_anchors(boxes, seed=5), compute_anchors(boxes, seed=5))


def test_as_many_sizes_as_anchors_are_the_anchors() -> None:
    anchors = compute_anchors(boxes_of(SIZES.repeat(3, axis=0)))
    assert mean_best_iou(SIZES, anchors) == pytest.approx(1)
    assert anchors[0].tolist() == pytest.approx([10, 10])


def test_few_sizes_are_kept_and_scaled_and_the_log_says_so(caplog: pytest.LogCaptureFixture) -> None:
    boxes = [[0, 0, 16, 8], [5, 5, 21, 13], [0, 0, 100, 100]]
    with caplog.at_level(logging.INFO):
        anchors = compute_anchors(boxes).tolist()
    assert "3 training boxes have 2 distinct sizes, fewer than 9 anchors: 7 anchors are scaled copies" in caplog.text
    assert "mean best IoU with the training boxes 1.000" in caplog.text
    root = 2**0.5
    wide = [(16 * s, 8 * s) for s in (1 / 2, 1 / root, 1, root, 2)]
    square = [(100 * s, 100 * s) for s in (1 / root, 1, root, 2)]
    np.testing.assert_allclose(anchors, wide + square, rtol=1e-6)


def test_copies_do_not_repeat_a_size() -> None:
    anchors = compute_anchors([[0, 0, 8, 8], [0, 0, 16, 16], [0, 0, 32, 32]])
    assert len(anchors.unique(dim=0)) == 9


def test_best_iou_by_hand() -> None:
    assert mean_best_iou([[2, 4], [3, 3]], [[4, 2], [2, 2]]) == pytest.approx((4 / 8 + 6 / 11) / 2)


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([], "There are no boxes, expected at least 1 in the training set"),
        ([[1, 2, 3]], r"shape \(1, 3\), expected \(N, 4\)"),
        ([[0, 0, 4, 4], [4, 0, 2, 9]], r"The box \[4.0, 0.0, 2.0, 9.0\] has no area"),
        ([[0, 0, np.nan, 4]], "has no area"),
    ],
)
def test_wrong_boxes(boxes: list[list[float]], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        compute_anchors(boxes)
