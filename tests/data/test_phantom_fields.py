"""Fields and shapes against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.interpolate import BSpline

from scripts.data.phantom_fields import (
    Grid,
    draw_smooth_noise,
    measure_ellipsoid,
    measure_polyline,
    pool,
    soften,
)


def test_grid_covers_the_field_of_view() -> None:
    grid = Grid(64, 12, fine=2)
    x, _, z = grid.axes
    assert grid.shape == (128, 128, 12)
    assert (x[0], x[-1]) == (-95.25, 95.25)
    assert z == pytest.approx(14 + 5 * (np.arange(12) - 5.5))
    assert grid.nearest_slice_mm(13.0) == pytest.approx(11.5)


def test_noise_is_the_spline_sum_of_its_lattice() -> None:
    grid = Grid(16, 4)
    lattice = np.random.default_rng(3).standard_normal((14, 14, 7), dtype=np.float32)  # ceil(192 / 20) + 4, ...
    field = lattice / 0.479**1.5
    basis = BSpline.basis_element(np.arange(5.0), extrapolate=False)
    for axis, (points, start) in enumerate(zip(grid.axes, (-96, -96, -16), strict=True)):
        weights = np.nan_to_num(basis((points[:, None] - start) / 20 - np.arange(field.shape[axis]) + 3))
        field = np.moveaxis(np.tensordot(weights, field, axes=(1, axis)), 0, axis)
    assert draw_smooth_noise(np.random.default_rng(3), grid, 20.0) == pytest.approx(field, abs=1e-4)


def test_noise_has_about_unit_variance() -> None:
    values = [draw_smooth_noise(np.random.default_rng(n), Grid(32, 6), 8.0) for n in range(20)]
    assert np.mean(values) == pytest.approx(0, abs=0.05)
    assert np.std(values) == pytest.approx(1, abs=0.05)


def test_noise_is_the_same_field_at_every_size() -> None:
    coarse, fine = (draw_smooth_noise(np.random.default_rng(1), Grid(size, 6), 30.0) for size in (32, 64))
    assert pool(fine, 2) == pytest.approx(coarse, abs=0.05)


def test_pool_averages_blocks() -> None:
    assert pool(np.arange(16.0).reshape(4, 4, 1), 2)[..., 0] == pytest.approx(np.array([[2.5, 4.5], [10.5, 12.5]]))


def test_soften_is_a_half_on_the_edge() -> None:
    assert soften(np.array([-100.0, 0.0, 100.0])) == pytest.approx([0, 0.5, 1])


def test_tube_around_a_polyline() -> None:
    x, y = np.array([0.0, 5.0, 10.0, -3.0]), np.array([0.0, 3.0, 9.0, 4.0])
    signed = measure_polyline((x, y), [(0, 0), (10, 0), (10, 10)], (2.0, 2.0, 2.0))
    assert signed == pytest.approx([2, -1, 2, -3])


def test_turned_ellipsoid_has_radius_one_on_its_surface() -> None:
    points = (np.array([1.0, 1.0 - 3.0]), np.array([2.0 + 6.0, 2.0]), np.array([0.0, 0.0]))
    assert measure_ellipsoid(points, (1, 2, 0), (6, 3, 1), math.pi / 2) == pytest.approx([1, 1])
