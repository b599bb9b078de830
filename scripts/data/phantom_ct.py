"""Head-CT-like haemorrhage of the phantom: five types of bleeding in Hounsfield units."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from scripts.data.phantom_anatomy import Anatomy, Mass, build_anatomy
from scripts.data.phantom_fields import Array, Grid, draw_smooth_noise, measure_ellipsoid, pool, soften, turn

TYPES = ("IPH", "IVH", "SAH", "EDH", "SDH")  # in the order of their labels, 1 to 5
_PLACES = ("intraparenchymal", "intraventricular", "subarachnoid", "epidural", "subdural")
LABELS = ("background", *(f"{place} haemorrhage" for place in _PLACES))
# Hounsfield units
AIR, FAT, SKIN, TABLE, DIPLOE = -1000, -80, 45, 1150, 550
CSF, GREY, WHITE, OEDEMA, FALX, CALCIUM = 6, 38, 29, 20, 48, 160
_BLOOD = {"IPH": (62, 76), "IVH": (58, 70), "SAH": (56, 66), "EDH": (62, 76), "SDH": (56, 72)}
# What often comes with each type, and how often.
_COMPANION = {
    "IPH": ("IVH", 0.35),
    "IVH": ("IPH", 0.25),
    "SAH": ("IVH", 0.3),
    "EDH": ("SAH", 0.25),
    "SDH": ("SAH", 0.35),
}


def draw_ct_patient(
    rng: np.random.Generator, grid: Grid, *, main: str
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Draws one patient on a grid without oversampling.

    Args:
        main: the type with the largest volume, one of `TYPES`; a smaller second one may come with it.

    Returns:
        image (X, Y, Z) in HU, label (X, Y, Z) in 0..5, in the order of `LABELS`.
    """
    fine = Grid(grid.size, grid.slices, fine=2)
    side = float(rng.choice([-1, 1]))
    z = grid.nearest_slice_mm(rng.uniform(0, 30))
    position, size = _draw_focus(rng, main, side, z)
    anatomy = build_anatomy(rng, fine, [Mass(position, size + 6, 0.3 * size)] if main in ("IPH", "EDH", "SDH") else [])
    maps = {main: _build_blood(rng, fine, anatomy, main, position, size)}
    companion, chance = _COMPANION[main]
    if rng.uniform() < chance:
        where, extent = _draw_focus(rng, companion, side, z)
        second = _build_blood(rng, fine, anatomy, companion, where, 0.6 * extent) * (1 - maps[main])
        if second.sum() < 0.7 * maps[main].sum():
            maps[companion] = second
    blood = np.stack([pool(maps[t], fine.fine) if t in maps else np.zeros(grid.shape, np.float32) for t in TYPES], -1)
    label = np.where(blood.sum(axis=-1) > 0.5, blood.argmax(axis=-1) + 1, 0).astype(np.int16)
    density = _build_density(rng, fine, anatomy, maps)
    if "IPH" in maps:  # a dark halo around the clot
        reach = [6.0 * fine.fine / fine.spacing[0]] * 2 + [3.0 / fine.spacing[2]]  # 6 mm in plane, 3 mm across
        halo = np.clip(ndimage.gaussian_filter(maps["IPH"], reach) * 1.6, 0, 1) * (density < 50) * (density > 0)
        density = density + halo * (OEDEMA - density)
    image = pool(density, fine.fine)
    noise = ndimage.gaussian_filter(rng.standard_normal(grid.shape, dtype=np.float32), (0.5, 0.5, 0))
    image = image + rng.uniform(3.5, 6) * noise
    return np.clip(np.rint(image), -1024, 3071).astype(np.int16), label


def _draw_focus(rng: np.random.Generator, kind: str, side: float, z: float) -> tuple[tuple[float, float, float], float]:
    """Position (mm, head frame) and size (mm) of one bleeding."""
    if kind == "IPH":
        deep = rng.uniform() < 0.6  # basal ganglia and thalamus; else lobar
        x, y = (rng.uniform(18, 27), rng.uniform(-8, 12)) if deep else (rng.uniform(26, 38), rng.uniform(-38, 42))
        return (side * x, y, z), rng.uniform(9, 19)
    angle = rng.uniform(-0.75, 0.75)  # 0 = straight to the side
    return (side * 58 * math.cos(angle), 73 * math.sin(angle), z), {
        "IVH": rng.uniform(20, 60),
        "SAH": rng.uniform(28, 45),
        "EDH": rng.uniform(11, 18),
        "SDH": rng.uniform(6, 11),
    }[kind]


def _build_blood(
    rng: np.random.Generator, fine: Grid, anatomy: Anatomy, kind: str, position: tuple[float, float, float], size: float
) -> Array:
    """Membership (X, Y, Z) of one bleeding where anatomy lets it spread."""
    x, y, z = anatomy.points
    rough = draw_smooth_noise(rng, fine, 11.0)
    skull = soften(anatomy.hull + 0.6)  # inside the inner table
    if kind == "IPH":
        stretch = [size * rng.uniform(0.75, 1.2) for _ in range(3)]
        radius = measure_ellipsoid(anatomy.points, position, stretch, rng.uniform(0, math.pi))
        return soften(size * (1 - radius + 0.2 * rough)) * soften(anatomy.depth - 2) * soften(-anatomy.ventricle_depth)
    if kind == "IVH":  # sinks to the back of the supine patient's ventricles, or fills one of them
        level = y - 45 + size + 2 * rough
        one_sided = soften(x * math.copysign(1, position[0]) + 1.5) if rng.uniform() < 0.5 else 1
        return soften(anatomy.ventricle_depth + 0.5) * soften(level) * one_sided
    if kind == "SAH":  # follows sulci and fissures
        region = soften(size * (1 - measure_ellipsoid(anatomy.points, position, (size, size, 0.55 * size))), 4)
        spaces = np.maximum(soften(anatomy.sulcus_depth + 1.3), soften(1.8 - anatomy.depth))
        return spaces * region * soften(anatomy.depth + 0.8) * soften(-1.5 - anatomy.ventricle_depth)
    if kind == "EDH":  # a lens: an ellipsoid cut by the inner table
        outward = math.atan2(position[1] / 73**2, position[0] / 58**2)
        lens = (size, 2.1 * size, 1.6 * size)
        return soften(size * (1 - measure_ellipsoid(anatomy.points, position, lens, outward)) + 0.5 * rough) * skull
    # SDH, a crescent: thickness falls off slowly along the skull, never across the falx
    bearing = np.arctan2(y / 73, x / 58)
    ahead, _ = turn(np.cos(bearing), np.sin(bearing), math.atan2(position[1] / 73, position[0] / 58))
    same_side = soften(x * math.copysign(1, position[0]) - 2.5)
    thickness = size * (1 - (1 - ahead) / 0.7) * (1 - ((z - position[2]) / 34) ** 2) + 0.8 * rough
    return soften(thickness - anatomy.hull) * skull * same_side


def _build_density(rng: np.random.Generator, fine: Grid, anatomy: Anatomy, maps: dict[str, Array]) -> Array:
    """Hounsfield units (X, Y, Z) on the fine grid: head, bone, hardening under the skull, blood, calcifications."""
    uneven = draw_smooth_noise(rng, fine, 8.0)
    hull = anatomy.hull
    bone = 6.5 + 1.0 * draw_smooth_noise(rng, fine, 40.0)
    brain = anatomy.csf * CSF + anatomy.grey * GREY + anatomy.white * WHITE
    brain = brain + (1 - anatomy.csf - anatomy.grey - anatomy.white) * CSF
    falx = soften(0.8 - anatomy.midline) * soften(hull)
    density = brain + falx * (FALX - brain) + 1.2 * uneven + 7 * np.exp(-np.maximum(hull, 0) / 5)
    for kind, (low, high) in _BLOOD.items():
        if kind in maps:
            density = density + maps[kind] * (rng.uniform(low, high) + 3.0 * uneven - density)
    for spot in ((0.0, 21.0, 3.0), (18.0, 26.0, 13.0), (-18.0, 26.0, 13.0)):  # pineal gland, choroid plexus
        if rng.uniform() < 0.5:
            calcified = soften(rng.uniform(1.2, 2.6) * (1 - measure_ellipsoid(anatomy.points, spot, (2, 2, 4))), 0.5)
            density = density + calcified * (CALCIUM - density)
    middle = np.exp(-(((hull + 1.2 + bone / 2) / (0.26 * bone)) ** 2))  # spongy between two tables
    skull = TABLE - middle * (TABLE - DIPLOE)
    density = density + soften(-1.2 - hull) * (skull - density)
    scalp = FAT + soften(-hull - bone - 4.5) * (SKIN - FAT)
    density = density + soften(-1.2 - bone - hull) * (scalp - density)
    return density + soften(-8.0 - bone - hull) * (AIR - density)
