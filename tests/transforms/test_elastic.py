"""Elastic distortion against SciPy and closed forms, and the affine part of the Feature AC-GAN's Table 1."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, map_coordinates

from scripts.transforms.elastic import RandElasticd, displace, smooth_noise


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.mark.parametrize("sigma", [0.8, 6.4, 24.0])
def test_smoothing_is_that_of_scipy(sigma: float) -> None:
    planes = noise(2, 40, 56)
    expected = gaussian_filter(planes.numpy().astype(float), (0, sigma, sigma), mode="constant")
    np.testing.assert_allclose(smooth_noise(planes, sigma), expected, atol=1e-6)


def test_a_constant_field_shifts() -> None:
    image = noise(2, 12, 20)
    field = torch.tensor([3.0, -2.0])[:, None, None].expand(2, 12, 20)
    for mode in ("bilinear", "nearest"):
        moved = displace(image, field, mode=mode)
        torch.testing.assert_close(moved[:, :-3, 2:], image[:, 3:, :-2], atol=1e-5, rtol=0)
        torch.testing.assert_close(moved[:, -3:, 5], image[:, -1:, 3].expand(2, 3), atol=1e-5, rtol=0)  # the edge


def test_half_a_pixel_is_the_mean_of_two() -> None:
    image = noise(1, 8, 8)
    moved = displace(image, torch.tensor([0.0, 0.5])[:, None, None].expand(2, 8, 8), mode="bilinear")
    torch.testing.assert_close(moved[..., :-1], (image[..., :-1] + image[..., 1:]) / 2, atol=1e-5, rtol=0)


def test_displacement_is_that_of_scipy() -> None:
    image, field = noise(1, 30, 30), smooth_noise(noise(2, 30, 30, seed=1), 3.0) * 40
    points = np.stack(np.meshgrid(np.arange(30), np.arange(30), indexing="ij")) + field.numpy()
    expected = map_coordinates(image[0].numpy(), points, order=1, mode="nearest")
    np.testing.assert_allclose(displace(image, field, mode="bilinear")[0], expected, atol=1e-4)


def test_alpha_0_changes_nothing() -> None:
    data = {"image": noise(3, 32, 32), "label": torch.randint(0, 5, (1, 32, 32))}
    same = RandElasticd(["image", "label"], alpha=0)(dict(data))
    torch.testing.assert_close(same["image"], data["image"], atol=1e-5, rtol=0)
    assert torch.equal(same["label"], data["label"])


@pytest.mark.parametrize(("size", "draws"), [(64, 400), (240, 100)])
def test_displacements_have_the_same_share_of_the_side_at_any_size(size: int, draws: int) -> None:
    transform = RandElasticd("image").set_random_state(0)
    inner = slice(2 * size // 5, -2 * size // 5)  # 96 of 240 pixels, four sigma, from the zeros around
    squares = []
    for _ in range(draws):
        transform.randomize(torch.empty(1, size, size))
        squares.append(transform.displacement[:, inner, inner].square().mean().item())
    spread = math.sqrt(1 / 3) * 720 / (2 * math.sqrt(math.pi) * 24)  # of white noise through a Gaussian
    assert spread == pytest.approx(4.886, abs=1e-3)
    assert math.sqrt(np.mean(squares)) / size == pytest.approx(spread / 240, rel=0.1)


def test_label_moves_with_the_image_and_keeps_its_values() -> None:
    label = torch.zeros(1, 64, 64, dtype=torch.int64)
    label[:, 20:40, 25:45] = 7
    transform = RandElasticd(["image", "label"]).set_random_state(3)
    made = transform({"image": label.float(), "label": label})
    assert made["label"].dtype == torch.int64
    assert set(made["label"].unique().tolist()) == {0, 7}
    assert ((made["image"] > 3.5) != (made["label"] == 7)).float().mean() < 0.01
    assert not torch.equal(made["label"], label)


def test_the_seed_decides() -> None:
    image = noise(1, 32, 32)
    transform = RandElasticd("image")
    first, second, other = (transform.set_random_state(seed)({"image": image})["image"] for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="alpha is -1 and sigma 24"):
        RandElasticd("image", alpha=-1)
    with pytest.raises(ValueError, match="sigma 0"):
        RandElasticd("image", sigma=0)
