"""Grids, random fields and soft shapes in millimetres: what the phantom is drawn with.

Everything is defined in millimetres on a fixed field of view, and random fields are drawn on lattices of fixed
physical spacing, so the same generator state gives the same picture at every image size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating[Any]]  # float32 in fact: half the time of float64, and finer than the stored int16

FIELD_OF_VIEW_MM = 192.0  # in plane, left to right and front to back
COVERAGE_MM = 60.0  # bottom to top, thalami to centrum semiovale
CENTRE_Z_MM = 14.0  # height of the middle of the stack above the centre of the brain
_SPLINE_STD = 0.479**1.5  # standard deviation of a cubic B-spline sum of white noise in three dimensions


@dataclass(frozen=True)
class Grid:
    """Voxel centres of a stack of axial slices; x to the left, y to the back, z up (LPS)."""

    size: int  # pixels per side of a slice
    slices: int
    fine: int = 1  # in-plane oversampling, for partial volume (1 = none)

    @property
    def spacing(self) -> tuple[float, float, float]:
        """Voxel size (mm) before oversampling."""
        return FIELD_OF_VIEW_MM / self.size, FIELD_OF_VIEW_MM / self.size, COVERAGE_MM / self.slices

    @property
    def shape(self) -> tuple[int, int, int]:
        """(X, Y, Z) with oversampling."""
        return self.size * self.fine, self.size * self.fine, self.slices

    @cached_property
    def axes(self) -> tuple[Array, Array, Array]:
        """Coordinates (mm) along x, y and z; the origin is the centre of the brain."""
        plane = (np.arange(self.size * self.fine) + 0.5) * self.spacing[0] / self.fine - FIELD_OF_VIEW_MM / 2
        height = (np.arange(self.slices) + 0.5) * self.spacing[2] - COVERAGE_MM / 2 + CENTRE_Z_MM
        return plane.astype(np.float32), plane.astype(np.float32), height.astype(np.float32)

    def nearest_slice_mm(self, z: float) -> float:
        """Height (mm) of the slice nearest to `z`, so that a small lesion is never lost between two slices."""
        heights = self.axes[2]
        return float(heights[np.argmin(np.abs(heights - z))])


def draw_smooth_noise(rng: np.random.Generator, grid: Grid, scale: float) -> Array:
    """A smooth Gaussian field (X, Y, Z), mean 0, variance about 1: cubic B-splines on a lattice of white noise.

    Sums of four terms per axis rather than a matrix product: no dependence on the number of BLAS threads. The number
    of draws depends on `scale` alone: the spacing of the lattice (mm), about the correlation length.
    """
    extents = (FIELD_OF_VIEW_MM, FIELD_OF_VIEW_MM, COVERAGE_MM)
    knots = [int(np.ceil(extent / scale)) + 4 for extent in extents]
    field = rng.standard_normal(knots, dtype=np.float32) / np.float32(_SPLINE_STD)
    for axis in (2, 0, 1):
        centre = CENTRE_Z_MM if axis == 2 else 0.0
        position = (grid.axes[axis] - centre + extents[axis] / 2) / scale
        knot = np.floor(position).astype(int)
        t = position - knot
        weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3)
        shape = [-1 if other == axis else 1 for other in range(3)]
        shares = [(w / 6).astype(np.float32).reshape(shape) for w in weights]
        terms = [field.take(knot + k, axis=axis) * share for k, share in enumerate(shares)]
        field = terms[0] + terms[1] + terms[2] + terms[3]
    return field


def soften(distance: Array, width: float = 0.7) -> Array:
    """Membership from a signed distance (mm, positive inside): a logistic edge of about `width` mm."""
    return 1 / (1 + np.exp(-np.clip(distance / width * 2, -40, 40)))


def pool(fine: Array, factor: int) -> Array:
    """Average blocks of `factor` x `factor` pixels in plane: (X*f, Y*f, Z) -> (X, Y, Z)."""
    x, y, z = fine.shape
    return fine.reshape(x // factor, factor, y // factor, factor, z).mean(axis=(1, 3))


def turn(x: Array, y: Array, angle: float) -> tuple[Array, Array]:
    """Coordinates in axes turned by `angle` (rad)."""
    return x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)


def measure_polyline(points: Sequence[Array], line: Sequence[Sequence[float]], radii: Sequence[float]) -> Array:
    """Signed distance (mm, positive inside) to a tube around a polyline, of a radius (mm) at each vertex (mm)."""
    best: Array | None = None
    for start, end, r0, r1 in zip(line[:-1], line[1:], radii[:-1], radii[1:], strict=True):
        direction = [b - a for a, b in zip(start, end, strict=True)]
        offsets = [p - a for p, a in zip(points, start, strict=True)]
        t = sum(o * d for o, d in zip(offsets, direction, strict=True)) / sum(d * d for d in direction)
        t = np.clip(t, 0, 1)
        squared = sum((o - t * d) ** 2 for o, d in zip(offsets, direction, strict=True))
        signed = r0 + (r1 - r0) * t - np.sqrt(squared)
        best = signed if best is None else np.maximum(best, signed)
    assert best is not None
    return best


def measure_ellipsoid(
    points: Sequence[Array], centre: Sequence[float], semi_axes: Sequence[float], angle: float = 0.0
) -> Array:
    """Normalised radius (0 at the centre, 1 on the surface) of an ellipsoid turned by `angle` (rad) about z."""
    x, y, z = (p - c for p, c in zip(points, centre, strict=True))
    x, y = turn(x, y, angle)
    return np.sqrt(sum((t / s) ** 2 for t, s in zip((x, y, z), semi_axes, strict=True)))
