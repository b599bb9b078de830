"""Skull stripping by thresholds and morphology: no network, no atlas, no file to download."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import MetaTensor
from monai.transforms import MapTransform
from scipy import ndimage

from scripts.transforms.outline import fill_slices, keep_largest

logger = logging.getLogger(__name__)

FIELD_OF_VIEW = 240.0  # mm; the longer side of a plane image whose file gives no pixel size
EROSIONS = (2.0, 4.0, 6.0, 8.0)  # mm, tried in turn
HEAD_CLOSING = 3.0  # mm; makes a broken scalp a ring
BRAIN_CLOSING = 15.0  # mm; spans sulci, the falx and dark lesions at the rim
SHELL, SHELLS = 2.0, 10  # mm, and number: layers of the head from outside in, whose outer half holds the scalp
LEAST_GAP = 0.1  # of the scalp's mean level, by which some layer beneath it is darker; stripped brains have less
SURFACE = 3.0  # mm of the head's outside; the brain lies deeper, beneath scalp and bone
LEAST_PART = 0.05  # of the largest part: a hemisphere is kept, an eye is not
LEAST_DEPTH = 0.5  # of the head's greatest depth, that a part of the brain reaches
MOST_CONTACT = 0.2  # share of the surface's tissue that a brain may include by small bridges
HEAD_LEVEL = 0.7  # times Otsu's threshold
TISSUE_LEVELS = (0.85, 1.0)  # times Otsu's threshold, tried in turn: too much is kept rather than too little
BINS = 128  # of the histogram for Otsu's threshold
LOST_LESION = 0.1  # share of an item's lesion from which on a loss is logged


class StripSkulld(MapTransform):
    """Sets what lies outside the brain to -1 in MR images of the head in [-1, 1]; label maps are left alone.

    Classical morphology, see `find_brain`: no look at the label, nothing learned. Images without a skull stay as they
    are: stripped ones, those where the brain can't be told from the scalp, and blank ones. So do synthetic items
    (`synthetic`), whose generator learned from images that were stripped already, or not. Where more than a tenth of an
    item's lesion lies outside the brain found, a warning says so.

    Sizes are in mm. A volume's affine gives its pixels'; a plane image's does where it isn't 1 (a PNG's is 1 and says
    nothing), else its longer side counts as 240 mm, the usual field of view of a head.

    Limits: MR only, for on CT the skull is as bright as the brain and touches it. Slices through the face may keep eyes
    or muscles; near the vertex the scalp may stay, or gyri between wide sulci go. T2 has the thinnest gap, as
    cerebrospinal fluid is bright. Lesions in skull or dura are removed with it.

    Args:
        keys: images (C, X, Y[, Z]) in [-1, 1], after `ToSignedRanged`; `label` (1, X, Y[, Z]) is that of a lesion.
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        stripped: dict[Hashable, Any] = dict(data)
        if stripped.get("synthetic"):
            return stripped
        for key in self.key_iterator(stripped):
            image = stripped[key]
            brain = torch.as_tensor(find_brain(np.asarray(image, dtype=np.float32), _find_spacing(image)))
            stripped[key] = torch.where(brain.to(image.device), image, torch.full_like(image, -1.0))
            if isinstance(label := stripped.get("label"), torch.Tensor):
                _warn_of_loss(np.asarray(label)[0] > 0, brain.numpy(), image)
        return stripped


def find_brain(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Where the brain is in an MR image with or without skull.

    1. Head: mean of the channels against Otsu's threshold, closed by 3 mm, holes filled, largest component.
    2. Tissue: each channel over its median in the head's inner half, cut at 1 so that bright scalp and lesions don't
       move thresholds; their mean against Otsu's threshold within the head.
    3. Skull: layers of 2 mm from the head's surface inwards. Bone makes one of them at least a tenth darker than one
       outside it. Where none is, the image is stripped already, or its skull can't be told from the brain.
    4. Brain: tissue eroded by 2, 4, 6 or 8 mm; its large, deep components; dilated again within the tissue, closed by
       15 mm, holes filled. The first erosion counts that parts it from the tissue at the head's surface; where none
       does, no skull can be cut off.

    Shapes: (C, X, Y[, Z]) in [-1, 1], and the spacing of X, Y[, Z] in mm -> (X, Y[, Z]), True where no skull was found.
    """
    everything = np.ones(image.shape[1:], dtype=bool)
    levels = (image + 1) / 2
    mean = levels.mean(axis=0)
    if mean.min() == mean.max():
        return everything
    bright = np.minimum(mean, np.median(mean[mean > _find_threshold(mean)]))
    outline = _close(bright > HEAD_LEVEL * _find_threshold(bright), spacing, HEAD_CLOSING)
    head = keep_largest(fill_slices(outline))
    window = _bounding_box(head)
    found = _part_from_skull(levels[(slice(None), *window)], head[window], spacing)
    if found is None:
        return everything
    brain = np.zeros_like(everything)
    brain[window] = found
    return brain


def _part_from_skull(levels: np.ndarray, head: np.ndarray, spacing: Sequence[float]) -> np.ndarray | None:
    """The brain (X, Y[, Z]) in a head, from levels (C, X, Y[, Z]) in [0, 1]; None where no erosion parts them."""
    if head.all():
        return None  # its surface isn't in the image
    depth = _distance_to(~head, spacing)
    inner = depth > depth.max() / 2
    middle = np.maximum(np.median(levels[:, inner], axis=1), 1e-6).reshape(-1, *[1] * head.ndim)
    relative = np.minimum(levels / middle, 1).mean(axis=0)
    if relative[head].min() == relative[head].max():
        return None
    if not _has_gap(relative[head], depth[head]):
        return None
    threshold = _find_threshold(relative[head])
    for level in TISSUE_LEVELS:
        tissue = head & (relative > level * threshold)
        brain = _part_from_surface(tissue, depth, spacing)
        if brain is not None:
            return fill_slices(head & _close(brain, spacing, BRAIN_CLOSING))
    return None


def _has_gap(levels: np.ndarray, depth: np.ndarray) -> bool:
    """Whether the head's pixels, `depth` mm from its outside, grow darker beneath its surface, as bone does."""
    shell = np.minimum(depth / SHELL, SHELLS).astype(np.int64)  # all that is deeper falls into one more
    pixels = np.bincount(shell, minlength=SHELLS + 1)[:SHELLS]
    means = np.bincount(shell, levels, minlength=SHELLS + 1)[:SHELLS] / np.maximum(pixels, 1)
    scalp = int(means[: SHELLS // 2].argmax())
    beneath = means[scalp:][pixels[scalp:] > 0]
    return bool(beneath.min(initial=means[scalp]) < (1 - LEAST_GAP) * means[scalp])


def _part_from_surface(tissue: np.ndarray, depth: np.ndarray, spacing: Sequence[float]) -> np.ndarray | None:
    """The tissue (X, Y[, Z]) that an erosion parts from that at the head's surface, `depth` mm deep; else None."""
    surface = tissue & (depth <= SURFACE)
    tissue_depth = _distance_to(~tissue, spacing)
    for erosion in EROSIONS:
        core = _keep_large_and_deep(tissue_depth > erosion, depth)
        if not core.any():
            return None
        part = tissue & (_distance_to(core, spacing) <= erosion + 1)  # 1 mm more, for the rim that was cut
        if (surface & part).sum() < MOST_CONTACT * surface.sum():
            return part
    return None


def _keep_large_and_deep(parts: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Components of a mask that reach into the head and aren't small beside the largest that does."""
    labels, _ = ndimage.label(parts)
    sizes = np.bincount(labels.ravel())
    deep = np.zeros(len(sizes), dtype=bool)
    deep[labels[parts & (depth >= LEAST_DEPTH * depth.max())]] = True
    largest = sizes[deep].max(initial=0)
    return (deep & (sizes >= LEAST_PART * largest))[labels]


def _bounding_box(mask: np.ndarray) -> tuple[slice, ...]:
    """Around a mask with a pixel of room, where the image has it: background there is the head's surface too."""
    indices = np.nonzero(mask)
    return tuple(slice(max(0, int(index.min()) - 1), int(index.max()) + 2) for index in indices)


def _find_threshold(values: np.ndarray) -> float:
    """Otsu's threshold (IEEE Transactions on Systems, Man, and Cybernetics 9, 1979): the end of one of 128 bins."""
    counts, edges = np.histogram(values, bins=BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below, total = counts.cumsum(), counts.sum()
    moment = (counts * centres).cumsum()
    # Equation 18, the variance between the two classes, times the squared number of values.
    spread = (moment[-1] * below - total * moment) ** 2 / np.maximum(below * (total - below), 1)
    return float(edges[1 + int(spread.argmax())])


def _distance_to(mask: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """Distance in mm to the nearest pixel of a mask, 0 within it; infinite where it is empty."""
    if not mask.any():
        return np.full(mask.shape, np.inf, dtype=np.float32)
    return ndimage.distance_transform_edt(~mask, sampling=spacing).astype(np.float32)


def _close(mask: np.ndarray, spacing: Sequence[float], radius: float) -> np.ndarray:
    """A mask after dilation by `radius` mm and erosion by as much, with room for both around it."""
    room = [(int(radius / size) + 2,) * 2 for size in spacing]
    dilated = _distance_to(np.pad(mask, room), spacing) <= radius
    closed = _distance_to(~dilated, spacing) > radius
    return closed[tuple(slice(before, -after) for before, after in room)] | mask


def _find_spacing(image: torch.Tensor) -> list[float]:
    """Size of a pixel along X, Y[, Z] in mm, by the rule of `StripSkulld`."""
    dimensions = image.ndim - 1
    spacing = [1.0] * dimensions
    if isinstance(image, MetaTensor):
        spacing = [float(size) for size in image.pixdim[:dimensions]]
    if dimensions == 2 and np.allclose(spacing, 1):
        return [FIELD_OF_VIEW / max(image.shape[1:])] * 2
    return spacing


def _warn_of_loss(lesion: np.ndarray, brain: np.ndarray, image: torch.Tensor) -> None:
    lost = float((lesion & ~brain).sum() / max(1, lesion.sum()))
    if lost > LOST_LESION:
        name = image.meta.get("filename_or_obj", "An image") if isinstance(image, MetaTensor) else "An image"
        logger.warning(f"{name}: {lost:.0%} of the lesion lies outside the brain that skull stripping found.")
