"""Elastic distortion against SciPy and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from scripts.transforms.augmentation import Augmentation, RandFlip
from scripts.transforms.elastic import RandElastic, smooth_noise


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("sigma", [0.8, 6.4, 24.0])
def test_smoothing_is_that_of_scipy(sigma: float) -> None:
    planes = noise(2, 40, 56)
    expected = gaussian_filter(planes.numpy().astype(float), (0, sigma, sigma), mode="constant")
    np.testing.assert_allclose(smooth_noise(planes, sigma), expected, atol=1e-6)


class Field(RandElastic):
    """Moves by a given field (2, S, S), in pixels."""

    def __init__(self, field: torch.Tensor) -> None:
        super().__init__()
        self.field = field

    def draw(self, size: int, source: object) -> torch.Tensor:
        return self.field


def distort(move: RandElastic, image: torch.Tensor, label: torch.Tensor | None = None) -> tuple[torch.Tensor, ...]:
    """An image (C, S, S) and a label map (1, S, S), moved."""
    label = torch.zeros_like(image[:1]) if label is None else label
    moved = Augmentation(moves=[move])(image[None], label[None], [np.random.default_rng(3)])
    return tuple(plane[0] for plane in moved)


def test_a_constant_field_shifts() -> None:
    image = noise(1, 12, 12)
    for moved in distort(Field(torch.tensor([3.0, -2.0])[:, None, None].expand(2, 12, 12)), image, image):
        torch.testing.assert_close(moved[:, :-3, 2:], image[:, 3:, :-2], atol=1e-5, rtol=0)
        torch.testing.assert_close(moved[:, -3:, 5], image[:, -1:, 3].expand(1, 3), atol=1e-5, rtol=0)  # the edge


def test_displacement_is_that_of_scipy() -> None:
    image, field = noise(1, 30, 30), smooth_noise(noise(2, 30, 30, seed=1), 3.0) * 40
    points = np.stack(np.meshgrid(np.arange(30), np.arange(30), indexing="ij")) + field.numpy()
    expected = map_coordinates(image[0].numpy(), points, order=1, mode="nearest")
    np.testing.assert_allclose(distort(Field(field), image)[0][0], expected, atol=1e-4)


def test_what_is_distorted_first_and_then_turned() -> None:
    """A field that shifts only the upper half by two pixels, and a mirror image along x of the result."""
    field = torch.zeros(2, 8, 8)
    field[1, :4] = 2
    moves = [Field(field), RandFlip([1.0, 0.0])]
    image = noise(1, 1, 8, 8)
    moved, _ = Augmentation(moves=moves)(image, image, [np.random.default_rng(0)])
    torch.testing.assert_close(moved[0, 0, 4:, :6], image[0, 0, :4, 2:].flip(0), atol=1e-5, rtol=0)
    torch.testing.assert_close(moved[0, 0, :4], image[0, 0, 4:].flip(0), atol=1e-5, rtol=0)


def test_alpha_0_changes_nothing() -> None:
    image, label = noise(3, 32, 32), torch.randint(0, 5, (1, 32, 32))
    same = distort(RandElastic(alpha=0), image, label)
    torch.testing.assert_close(same[0], image, atol=1e-5, rtol=0)
    assert torch.equal(same[1], label)


@pytest.mark.parametrize(("size", "draws"), [(64, 400), (240, 100)])
def test_displacements_have_the_same_share_of_the_side_at_any_size(size: int, draws: int) -> None:
    elastic, generator = RandElastic(), np.random.default_rng(0)
    inner = slice(2 * size // 5, -2 * size // 5)  # 96 of 240 pixels, four sigma, from the zeros around
    squares = []
    for _ in range(draws):
        squares.append(elastic.draw(size, generator)[:, inner, inner].square().mean().item())
    spread = math.sqrt(1 / 3) * 720 / (2 * math.sqrt(math.pi) * 24)  # of white noise through a Gaussian
    assert spread == pytest.approx(4.886, abs=1e-3)
    assert math.sqrt(np.mean(squares)) / size == pytest.approx(spread / 240, rel=0.1)


def test_label_moves_with_the_image_and_keeps_its_values() -> None:
    label = torch.zeros(1, 64, 64, dtype=torch.int64)
    label[:, 20:40, 25:45] = 7
    image, moved = distort(RandElastic(), label.float(), label)
    assert moved.dtype == torch.int64
    assert set(moved.unique().tolist()) == {0, 7}
    assert ((image > 3.5) != (moved == 7)).float().mean() < 0.01
    assert not torch.equal(moved, label)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha is -1 and sigma 24"):
        RandElastic(alpha=-1)
    with pytest.raises(ValueError, match="sigma 0"):
        RandElastic(sigma=0)
