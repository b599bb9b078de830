"""Head anatomy of the phantom: outline, folded cortex, ventricles and deep grey matter as soft maps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scripts.data.phantom_fields import (
    Array,
    Grid,
    draw_smooth_noise,
    measure_ellipsoid,
    measure_polyline,
    soften,
    turn,
)


@dataclass(frozen=True)
class Mass:
    """Something that pushes tissue away: centre (mm, head frame), radius (mm), push (mm) at about one radius."""

    centre: tuple[float, float, float]
    radius: float
    push: float


@dataclass(frozen=True)
class Anatomy:
    """Soft maps of one head on the fine grid, each (X, Y, Z); signed distances (mm) are positive inside."""

    points: tuple[Array, Array, Array]  # head-frame coordinates (mm) of every voxel: left, back, up
    hull: Array  # signed distance to the smooth envelope of the brain; the skull follows it
    depth: Array  # signed distance to the brain's surface, which has notches at both poles
    ventricle_depth: Array  # signed distance to the ventricles' walls
    sulcus_depth: Array  # signed distance to the walls of sulci and fissures
    midline: Array  # distance (mm) to the interhemispheric fissure
    csf: Array  # this and the next two are memberships in [0, 1] that add up to 1 in the brain and 0 outside
    grey: Array
    white: Array


def build_anatomy(rng: np.random.Generator, grid: Grid, masses: Sequence[Mass] = ()) -> Anatomy:
    """Draws a head on the fine grid, whose inner structures the masses shift."""
    points = _pose(rng, grid)
    hull, depth, radius = _measure_outline(rng, grid, points)
    inner = _displace(rng, grid, points, masses)
    x, y, z = inner
    age = rng.uniform(0, 1)  # widens ventricles and sulci
    midline = np.hypot(x, np.maximum(0, np.minimum.reduce([y + 38, 44 - y, 31 - z])))
    sulcus = _measure_sulci(rng, grid, depth, radius) + 0.25 + 0.5 * age
    fissures = np.maximum(0.7 + 0.6 * age - midline, _measure_sylvian(inner) + 0.8 * age)
    sulcus_depth = np.maximum(sulcus, fissures)
    ventricle_depth = _measure_ventricles(inner, 0.65 + 0.6 * age + rng.uniform(0, 0.15))

    brain = soften(depth)
    ventricle = soften(ventricle_depth)
    csf = np.maximum(soften(np.maximum(sulcus_depth, 0.6 - depth)), ventricle)
    thickness = 3.6 + 0.5 * draw_smooth_noise(rng, grid, 25.0)
    cortex = soften(thickness - np.minimum(depth - 0.6, -sulcus_depth))
    grey = np.maximum(cortex, _build_deep_grey(inner)) * (1 - csf)
    maps = (csf * brain, grey * brain, (1 - csf - grey) * brain)
    return Anatomy(points, hull, depth, ventricle_depth, sulcus_depth, midline, *maps)


def _pose(rng: np.random.Generator, grid: Grid) -> tuple[Array, Array, Array]:
    """Voxel coordinates in the head's own frame: turned by a few degrees and moved by a few millimetres."""
    x, y, z = np.meshgrid(*grid.axes, indexing="ij")
    x, y = turn(x - rng.uniform(-3, 3), y - rng.uniform(-3, 3), rng.normal(0, math.radians(4)))
    y, z = turn(y, z, rng.normal(0, math.radians(2)))
    return x, y, z


def _measure_outline(
    rng: np.random.Generator, grid: Grid, points: tuple[Array, Array, Array]
) -> tuple[Array, Array, Array]:
    """Signed depths (mm) under the smooth envelope and under the brain's surface; normalised radius (1 = surface)."""
    half_width, half_length, half_height = (size * rng.uniform(0.94, 1.05) for size in (60.0, 75.0, 68.0))
    x, y, z = (p + 1.6 * draw_smooth_noise(rng, grid, 40.0) for p in points)
    x = x / (1 + rng.uniform(0.05, 0.12) * np.clip(y / half_length, -1.2, 1.2))  # narrower in front
    scaled = (x / half_width, y / half_length, z / half_height)
    squares = [axis**2 for axis in scaled]
    # part ellipsoid, part box: temporal and frontal lobes are blunt
    fourth = np.sqrt(np.sqrt(squares[0] ** 2 + squares[1] ** 2 + squares[2] ** 2))
    radius = 0.75 * np.sqrt(squares[0] + squares[1] + squares[2]) + 0.25 * fourth + 1e-6
    slope = np.sqrt((scaled[0] / half_width) ** 2 + (scaled[1] / half_length) ** 2 + (scaled[2] / half_height) ** 2)
    hull = (1 - radius) * radius / (slope + 1e-6)
    notch = 3.5 * np.exp(-((x / 3.0) ** 2)) * (np.abs(scaled[1]) > 0.6)  # both poles of the midline
    return hull, hull - notch, radius


def _displace(
    rng: np.random.Generator, grid: Grid, points: tuple[Array, Array, Array], masses: Sequence[Mass]
) -> tuple[Array, Array, Array]:
    """Where the tissue of every voxel would lie without the masses, with a little individual asymmetry."""
    moved = [p + 1.3 * draw_smooth_noise(rng, grid, 30.0) for p in points]
    for mass in masses:
        offsets = [p - c for p, c in zip(points, mass.centre, strict=True)]
        ratio = np.sqrt(sum(o**2 for o in offsets)) / mass.radius
        gain = mass.push / mass.radius * np.exp(0.5 - 0.5 * ratio**2 / 1.7**2)
        moved = [m - gain * o for m, o in zip(moved, offsets, strict=True)]
    return moved[0], moved[1], moved[2]


def _measure_sulci(rng: np.random.Generator, grid: Grid, depth: Array, radius: Array) -> Array:
    """Signed distance (mm, at most 0) to winding lines that run inwards from the surface: zeros of a random field.

    The field is read further out than the voxel lies, so that it changes slowly along the radius.
    """
    field = draw_smooth_noise(rng, grid, 7.0)
    push = 1 / np.sqrt(np.clip(radius, 0.05, 1.05))
    step = grid.spacing[0] / grid.fine
    plane = (np.indices(grid.shape[:2], dtype=np.float32)[:, :, :, None] - (grid.shape[0] - 1) / 2) * push
    height = np.broadcast_to(np.arange(grid.slices), grid.shape)
    folded = ndimage.map_coordinates(field, [*(plane + (grid.shape[0] - 1) / 2), height], order=1, mode="nearest")
    slope = np.hypot(*np.gradient(folded, step, axis=(0, 1)))
    reach = 17.0 + 5.0 * draw_smooth_noise(rng, grid, 14.0)
    return -np.hypot(np.abs(folded) / (slope + 0.05), np.maximum(0, depth - reach))


def _measure_sylvian(inner: tuple[Array, Array, Array]) -> Array:
    """Signed distance (mm) to the lateral fissures and the cleft over the insulae."""
    x, y, z = np.abs(inner[0]), inner[1], np.maximum(0, inner[2] - 12)
    opercular = measure_polyline((x, y, z), [(62, -14, 0), (49, -8, 0), (38, -3, 0)], (1.6, 1.0, 0.9))
    insular = measure_polyline((x, y, z), [(35, -18, 0), (38, -3, 0), (36, 14, 0)], (0.7, 0.9, 0.7))
    return np.maximum(opercular, insular)


def _measure_ventricles(inner: tuple[Array, Array, Array], scale: float) -> Array:
    """Signed distance (mm) to the lateral and third ventricles; `scale` 1 is a middle-aged head."""
    x, y, z = np.abs(inner[0]), inner[1], inner[2]
    horns = [(6, -31, 6), (8, -16, 11), (11, 4, 20), (17, 24, 14), (23, 36, 4), (22, 47, 2)]
    radii = [scale * r for r in (3.6, 4.6, 4.6, 6.2, 4.8, 2.0)]
    lateral = measure_polyline((x, y, z), horns, radii)
    third = measure_polyline((x, y, z), [(0, -8, -12), (0, 8, 0)], (1.8 * scale, 1.8 * scale))
    septum = 0.9 - x  # keeps the two frontal horns apart
    return np.maximum(np.minimum(lateral, -septum), third)


def _build_deep_grey(inner: tuple[Array, Array, Array]) -> Array:
    """Membership of thalami, caudate heads and lentiform nuclei."""
    points = (np.abs(inner[0]), inner[1], inner[2])
    thalamus = measure_ellipsoid(points, (10.5, 9.0, 3.0), (8.0, 13.5, 10.0), 0.35)
    caudate = measure_ellipsoid(points, (13.0, -21.0, 8.0), (5.0, 8.5, 11.0), 0.2)
    lentiform = measure_ellipsoid(points, (25.5, -3.0, 2.0), (5.5, 14.0, 10.0), -0.2)
    nuclei = ((thalamus, 8.0), (caudate, 5.0), (lentiform, 5.5))
    return np.maximum.reduce([0.8 * soften((1 - radius) * smallest, 1.4) for radius, smallest in nuclei])
