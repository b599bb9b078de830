from __future__ import annotations

import math

import pytest
import torch

from scripts.metrics.sliced_wasserstein import sliced_wasserstein


def normal(count: int, size: int, seed: int = 0, channels: int = 1) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


def test_equal_sets_in_any_order_of_patches_are_at_0():
    images = normal(8, 64)
    assert sliced_wasserstein(images, images) == 0


def test_twice_the_spread_of_a_gaussian_is_the_mean_of_its_absolute_value_away():
    """The 1-Wasserstein distance of N(0, 1) and N(0, 4) is E|Z| = sqrt(2 / pi), along every direction and level."""
    images = normal(64, 32, channels=2)
    assert sliced_wasserstein(images, 2 * images) == pytest.approx(math.sqrt(2 / math.pi), rel=0.02)


def test_brighter_images_are_away_by_the_mean_step_along_a_direction():
    """Only the last level sees it: c |sum(d)| for unit directions d of 49 pixels, whose mean is c sqrt(2 / pi)."""
    images = normal(64, 16)
    assert sliced_wasserstein(images, images + 3) == pytest.approx(3 * math.sqrt(2 / math.pi), rel=0.15)
    larger = normal(64, 32)
    halves = torch.nn.functional.avg_pool2d(larger, 2)
    expected = 3 / halves.std().item() * math.sqrt(2 / math.pi) / 2  # the mean of two levels, one of them 0
    assert sliced_wasserstein(larger, larger + 3) == pytest.approx(expected, rel=0.15)


def test_independent_samples_of_one_distribution_are_near_and_fewer_patterns_far():
    images, others = normal(32, 32), normal(32, 32, seed=1)
    assert sliced_wasserstein(images, others) < 0.06
    flat = torch.nn.functional.avg_pool2d(others, 5, stride=1, padding=2)
    assert sliced_wasserstein(images, flat) > 0.3


def test_a_constant_image_is_no_division_by_0():
    assert math.isfinite(sliced_wasserstein(torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8)))
