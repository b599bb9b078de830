from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from scripts.metrics.sharpness import fourier_mean, laplacian_variance

BOTH = pytest.mark.parametrize("measure", [laplacian_variance, fourier_mean])


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (17, 24))


def test_laplacian_variance_equals_scipys_away_from_the_border(image: np.ndarray) -> None:
    # SciPy pads: only its inner values have all four neighbours in the image.
    assert laplacian_variance(image) == pytest.approx(ndimage.laplace(image)[1:-1, 1:-1].var())
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    assert laplacian_variance(image) == pytest.approx(ndimage.convolve(image, kernel)[1:-1, 1:-1].var())


def test_laplacian_variance_by_hand() -> None:
    image = np.zeros((3, 4))
    image[1, 1] = 1  # inner pixels (1, 1) and (1, 2): -4 and 1
    assert laplacian_variance(image) == pytest.approx(2.5**2)


def test_laplacian_variance_of_a_wave() -> None:
    # An eigenfunction: the Laplacian of cos(wx) is (2 cos w - 2) cos(wx); 40 inner columns are five whole periods.
    w = 2 * np.pi / 8
    image = np.broadcast_to(0.7 * np.cos(w * np.arange(42) + 0.3), (9, 42))
    assert laplacian_variance(image) == pytest.approx((2 - 2 * np.cos(w)) ** 2 * 0.7**2 / 2)


def test_fourier_mean_equals_the_transforms_definition(image: np.ndarray) -> None:
    def matrix(n: int) -> np.ndarray:
        return np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) / np.sqrt(n)

    spectrum = np.abs(matrix(17) @ image @ matrix(24).T).ravel()
    assert fourier_mean(image) == pytest.approx(spectrum[1:].mean())


def test_fourier_mean_of_a_wave() -> None:
    # Two coefficients of a sqrt(XY) / 2 each, at the frequency and its negative.
    image = np.broadcast_to(0.5 * np.cos(2 * np.pi * 3 * np.arange(32) / 32), (16, 32))
    assert fourier_mean(image) == pytest.approx(0.5 * np.sqrt(16 * 32) / (16 * 32 - 1))


@pytest.mark.parametrize("size", [32, 128])
def test_fourier_mean_of_noise_does_not_depend_on_the_size(size: int) -> None:
    noise = np.random.default_rng(1).normal(0, 0.2, (size, size))
    assert fourier_mean(noise) == pytest.approx(0.2 * np.sqrt(np.pi) / 2, rel=0.03)


@BOTH
def test_brightness_does_not_count(measure, image: np.ndarray) -> None:
    assert measure(np.full((8, 8), 0.9)) == pytest.approx(0, abs=1e-12)
    assert measure(image + 0.5) == pytest.approx(measure(image))


@BOTH
def test_blurring_lowers_both(measure, image: np.ndarray) -> None:
    scores = [measure(ndimage.gaussian_filter(image, sigma)) for sigma in (0, 0.5, 1, 2)]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] < 0.2 * scores[0]


@BOTH
def test_channels_are_averaged(measure, image: np.ndarray) -> None:
    channels = torch.tensor(np.stack([image, 0.1 * image]), dtype=torch.float32)
    assert measure(channels) == pytest.approx((measure(image) + measure(0.1 * image)) / 2, rel=1e-5)


@BOTH
@pytest.mark.parametrize("bad", [np.zeros(9), np.zeros((2, 9)), np.zeros((1, 1, 9, 9)), np.zeros((0, 9, 9))])
def test_other_shapes_are_refused(measure, bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="shape"):
        measure(bad)


@BOTH
def test_nan_is_refused(measure) -> None:
    with pytest.raises(ValueError, match="NaN"):
        measure(np.full((4, 4), np.nan))
