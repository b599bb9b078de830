"""Brain-like MR of the phantom: gliomas in four modalities, metastases in T1Gd, four centres with their own look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from scripts.data.phantom_anatomy import Anatomy, Mass, build_anatomy
from scripts.data.phantom_fields import Array, Grid, draw_smooth_noise, measure_ellipsoid, pool, soften

MODALITIES = ("FLAIR", "T1", "T1Gd", "T2")
LABELS = ("background", "necrotic or non-enhancing core", "oedema", "enhancing rim")
HIGH_GRADE_SHARE = 0.6
METASTASES_SHARE = 0.4  # of the high grades
_FULL_SCALE = 1000  # stored value of intensity 1

# Relative signal of CSF, grey, white, core, oedema, rim, white matter hyperintensity and vessels.
_SIGNAL = np.array(
    [
        [0.10, 0.56, 0.44, 0.36, 0.78, 0.62, 0.76, 0.15],  # FLAIR
        [0.15, 0.50, 0.72, 0.30, 0.46, 0.47, 0.58, 0.20],  # T1
        [0.16, 0.52, 0.74, 0.31, 0.47, 0.96, 0.60, 0.92],  # T1Gd
        [1.00, 0.58, 0.42, 0.86, 0.76, 0.60, 0.68, 0.20],  # T2
    ],
    dtype=np.float32,
)
_LOW_GRADE_CORE = np.array([0.64, 0.34, 0.36, 0.90], dtype=np.float32)


@dataclass(frozen=True)
class Centre:
    """How one hospital's scanner renders the same tissue."""

    gain: tuple[float, float, float, float]  # per modality, signal -> gain * signal ** gamma
    gamma: tuple[float, float, float, float]
    noise: float  # standard deviation of the complex noise, in units of the gain (Rician in the magnitude)
    bias: float  # standard deviation of the logarithm of the smooth bias field
    blur: float  # standard deviation (mm) of the in-plane point spread


CENTRES = {
    "A": Centre((1.0, 1.0, 1.0, 1.0), (1.0, 1.0, 1.0, 1.0), noise=0.015, bias=0.10, blur=0.0),
    "B": Centre((0.6, 1.3, 1.2, 0.8), (1.3, 0.85, 0.9, 1.25), noise=0.025, bias=0.18, blur=0.9),
    "C": Centre((1.5, 0.7, 0.6, 1.4), (0.75, 1.3, 1.35, 0.8), noise=0.035, bias=0.14, blur=1.2),
    "D": Centre((0.8, 0.9, 1.6, 0.5), (0.6, 0.7, 0.65, 1.5), noise=0.045, bias=0.25, blur=1.6),
}


@dataclass(frozen=True)
class Lesion:
    """One tumour focus: an ellipsoid whose surface is warped later."""

    centre: tuple[float, float, float]  # head-frame position (mm)
    radius: float  # of the solid part (mm)
    stretch: tuple[float, float, float]  # factors on the radius along its axes
    angle: float  # turn about z (rad)
    rim: float  # thickness (mm) of what surrounds the core; in a low grade most of the radius
    margin: float  # reach (mm) of oedema beyond the solid part


def draw_mr_patient(
    rng: np.random.Generator, grid: Grid, *, centre: str
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], str]:
    """Draws one patient of a centre (a key of `CENTRES`) on a grid without oversampling.

    Returns:
        image (X, Y, Z, 4), modalities in the order of `MODALITIES`, 0 outside the brain and 1 or more inside;
        label (X, Y, Z) in 0..3, in the order of `LABELS`; grade, "high" or "low".
    """
    grade = "high" if rng.uniform() < HIGH_GRADE_SHARE else "low"
    image, tissue = _draw_head(rng, grid, _draw_lesions(rng, grid, grade), grade, CENTRES[centre])
    tumour = tissue[..., 3:6]
    competitors = np.concatenate([tissue.sum(axis=-1, keepdims=True) - tumour.sum(axis=-1, keepdims=True), tumour], -1)
    label = np.where(_is_inside(tissue), competitors.argmax(axis=-1), 0).astype(np.int16)
    return image, label, grade


def draw_metastases_patient(
    rng: np.random.Generator, grid: Grid, *, centre: str
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16]]:
    """Draws one patient with 2 to 9 metastases of 5 to 20 mm, many of them small, in contrast-enhanced T1.

    Small ones enhance throughout, larger ones have a dark core; vessels are as bright and no metastases.

    Returns:
        image (X, Y, Z), T1Gd, 0 outside the brain and 1 or more inside; label (X, Y, Z), 1 where a metastasis, core and
        rim, fills most of the voxel: at 16 or 32 pixels per side that leaves the smallest out.
    """
    lesions: list[Lesion] = []
    for _ in range(int(rng.integers(2, 10))):
        radius = 2.5 * 4 ** rng.uniform()
        rim, margin = rng.uniform(4.0, 6.0), rng.uniform(0.0, 5.0)
        lesions.append(_draw_focus(rng, grid, lesions, radius, rim=rim, margin=margin))
    image, tissue = _draw_head(rng, grid, lesions, "high", CENTRES[centre])
    label = _is_inside(tissue) & (2 * (tissue[..., 3] + tissue[..., 5]) > tissue.sum(axis=-1))
    return image[..., MODALITIES.index("T1Gd")], label.astype(np.int16)


def _draw_head(
    rng: np.random.Generator, grid: Grid, lesions: list[Lesion], grade: str, centre: Centre
) -> tuple[npt.NDArray[np.int16], Array]:
    """Stored image (X, Y, Z, 4) of a head with these lesions, and its tissue fractions (X, Y, Z, 8)."""
    fine = Grid(grid.size, grid.slices, fine=2)
    masses = [Mass(lesion.centre, lesion.radius + 4, 0.22 * lesion.radius) for lesion in lesions]
    anatomy = build_anatomy(rng, fine, masses)
    core, oedema, rim = _build_tumour(rng, fine, anatomy, lesions, grade)
    hyperintense, vessel = _build_distractors(rng, fine, anatomy)
    healthy = 1 - core - oedema - rim
    brain = soften(anatomy.depth)
    maps = [
        anatomy.csf * (1 - vessel) * healthy,
        anatomy.grey * healthy,
        anatomy.white * (1 - hyperintense) * healthy,
        core * brain,
        oedema * brain,
        rim * brain,
        anatomy.white * hyperintense * healthy,
        anatomy.csf * vessel * healthy,
    ]
    tissue = np.stack([pool(m, fine.fine) for m in maps], axis=-1)  # (X, Y, Z, 8)
    image = _acquire(rng, grid, tissue, grade, centre)
    stored = np.clip(np.rint(image * _FULL_SCALE), 1, np.iinfo(np.int16).max)
    return np.where(_is_inside(tissue)[..., None], stored, 0).astype(np.int16), tissue


def _is_inside(tissue: Array) -> npt.NDArray[np.bool_]:
    return tissue.sum(axis=-1) > 0.5


def _draw_lesions(rng: np.random.Generator, grid: Grid, grade: str) -> list[Lesion]:
    """Tumour foci: one glioma, in part of the high grades 3 to 7 small metastases instead."""
    metastases = grade == "high" and rng.uniform() < METASTASES_SHARE
    lesions: list[Lesion] = []
    for _ in range(int(rng.integers(3, 8)) if metastases else 1):
        radius = rng.uniform(5.0, 8.5) if metastases else rng.uniform(12.0, 19.0)
        if metastases:
            rim, margin = rng.uniform(2.5, 3.5), rng.uniform(2.0, 7.0)
        elif grade == "high":
            rim, margin = rng.uniform(3.0, 5.5), rng.uniform(5.0, 12.0)
        else:
            rim, margin = radius * rng.uniform(0.5, 0.75), rng.uniform(0.0, 3.0)
        lesions.append(_draw_focus(rng, grid, lesions, radius, rim=rim, margin=margin))
    return lesions


def _draw_focus(
    rng: np.random.Generator, grid: Grid, others: list[Lesion], radius: float, *, rim: float, margin: float
) -> Lesion:
    """A focus of this size (mm), its shape and place drawn."""
    stretch = (rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.25), rng.uniform(0.8, 1.1))
    centre = _draw_position(rng, grid, others, radius)
    return Lesion(centre, radius, stretch, rng.uniform(0, math.pi), rim, margin)


def _draw_position(
    rng: np.random.Generator, grid: Grid, others: list[Lesion], radius: float
) -> tuple[float, float, float]:
    """A place (mm) in one hemisphere, on a slice, and where it can be had, away from the other foci."""
    for _ in range(20):
        z = grid.nearest_slice_mm(rng.uniform(-6, 36))
        reach = rng.uniform(0.38, 0.72) * math.sqrt(1 - (z / 68) ** 2)
        direction = rng.uniform(0, 2 * math.pi)
        x, y = 57 * reach * math.cos(direction), 71 * reach * math.sin(direction)
        x = math.copysign(max(abs(x), 14.0), x)
        if all(math.dist((x, y, z), o.centre) > 1.6 * (radius + o.radius) for o in others):
            break
    return x, y, z


def _build_tumour(
    rng: np.random.Generator, fine: Grid, anatomy: Anatomy, lesions: list[Lesion], grade: str
) -> tuple[Array, Array, Array]:
    """Memberships of core, oedema and enhancing rim, each (X, Y, Z); they add up to at most 1."""
    coarse, finer = draw_smooth_noise(rng, fine, 12.0), draw_smooth_noise(rng, fine, 6.0)
    solid = core = spread = np.full(fine.shape, -100.0, dtype=np.float32)
    # oedema runs along white matter, in fingers, and spares the cortex
    barrier = 5.0 * anatomy.grey + 9.0 * anatomy.csf
    for lesion in lesions:
        semi_axes = [lesion.radius * s for s in lesion.stretch]
        radius = measure_ellipsoid(anatomy.points, lesion.centre, semi_axes, lesion.angle)
        surface = lesion.radius * (1 - radius + 0.13 * coarse + 0.07 * finer)
        solid = np.maximum(solid, surface)
        core = np.maximum(core, surface - lesion.rim * (1 + 0.3 * finer))
        spread = np.maximum(spread, surface + lesion.margin * (1 + 0.4 * coarse) - barrier)
    in_solid = soften(solid)
    in_core = soften(core) * in_solid
    in_oedema = np.maximum(soften(spread), in_solid)
    if grade == "low":  # nothing enhances
        return in_core, in_oedema - in_core, np.zeros_like(in_core)
    return in_core, in_oedema - in_solid, in_solid - in_core


def _build_distractors(rng: np.random.Generator, fine: Grid, anatomy: Anatomy) -> tuple[Array, Array]:
    """Bright things that are no tumour: white matter hyperintensities (share of white) and vessels (share of CSF)."""
    load = rng.uniform(0, 1) ** 2
    near_ventricle = np.exp(-np.maximum(0, -anatomy.ventricle_depth) / 3.0)
    spots = soften(draw_smooth_noise(rng, fine, 5.0) - 3.0 + 0.9 * load, 0.3)
    hyperintense = np.clip(load * near_ventricle + spots, 0, 1)
    veins = soften(draw_smooth_noise(rng, fine, 6.0) - 1.2, 0.3) * (anatomy.ventricle_depth < -3)
    sinus = soften(2.5 - anatomy.midline) * soften(4.5 - anatomy.hull)
    return hyperintense, np.maximum(veins, sinus)


def _acquire(rng: np.random.Generator, grid: Grid, tissue: Array, grade: str, centre: Centre) -> Array:
    """Magnitude images (X, Y, Z, 4) of tissue fractions (X, Y, Z, 8): contrast, bias field, blur, Rician noise."""
    signal = _SIGNAL * (1 + 0.04 * rng.standard_normal(_SIGNAL.shape, dtype=np.float32))
    if grade == "low":
        signal[:, 3] = _LOW_GRADE_CORE
    strength = rng.uniform(0.45, 1.0)  # faint lesions look like grey matter
    signal[:, 4] = signal[:, 1] + strength * (signal[:, 4] - signal[:, 1])
    ring = rng.uniform(0.6, 1.0)
    signal[2, 5] = signal[2, 2] + ring * (signal[2, 5] - signal[2, 2])
    uneven = 1 + (0.03 + 0.12 * tissue[..., 3:6].sum(axis=-1)) * draw_smooth_noise(rng, grid, 7.0)
    shared = draw_smooth_noise(rng, grid, 70.0)
    images = []
    for modality, (gain, gamma) in enumerate(zip(centre.gain, centre.gamma, strict=True)):
        image = np.maximum(np.einsum("xyzt,t->xyz", tissue, signal[modality]) * uneven, 0) ** gamma
        bias = np.exp(centre.bias * (0.8 * shared + 0.6 * draw_smooth_noise(rng, grid, 70.0)))
        blur = centre.blur / grid.spacing[0]
        image = ndimage.gaussian_filter(image * bias, (blur, blur, 0)) if blur else image * bias
        noise = centre.noise * rng.standard_normal((2, *grid.shape), dtype=np.float32)
        images.append(gain * np.hypot(image + noise[0], noise[1]))
    return np.stack(images, axis=-1)
