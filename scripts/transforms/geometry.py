"""Canonical axes and one square slice size, both undone by their inverses."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import InvertibleTransform, MapTransform
from torch.nn import functional

from scripts.data.contract import SLICE_AXES
from scripts.transforms.reading import find_codes, turn

CODES = {"sagittal": "PIL", "coronal": "LIP", "axial": "LPS"}  # axes of the slice as radiologists view it, then across
AXES = {"L": "sagittal", "R": "sagittal", "P": "coronal", "A": "coronal", "I": "axial", "S": "axial"}
FOREMOST = 1.05  # by what factor one spacing must exceed the others for slices to lie across its axis


class CanonicalOrientationd(MapTransform, InvertibleTransform):
    """Turns volumes (C, X, Y, Z) so that (X, Y) is a slice as radiologists view it, and Z runs across the slices.

    Axes are LPS where slices are axial, LIP where coronal, PIL where sagittal; see `find_slice_axis` for which. Plane
    images (C, X, Y) have no patient axes and pass unchanged. The inverse restores the file's axes.

    Args:
        keys: volumes and plane images.
        slice_axis: "sagittal", "coronal" or "axial"; None: across the axis of the largest spacing.
    """

    def __init__(self, keys: KeysCollection, slice_axis: str | None = None) -> None:
        super().__init__(keys)
        if slice_axis not in (*SLICE_AXES, None):
            raise ValueError(f"slice_axis is {slice_axis!r}, expected one of {', '.join(SLICE_AXES)}, or None.")
        self.slice_axis = slice_axis

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        turned = dict(data)
        for key in self.key_iterator(turned):
            if turned[key].ndim == 4:
                before = turned[key]
                axis = find_slice_axis(before.affine, before.shape[1:], self.slice_axis)
                turned[key] = turn(before, CODES[axis])
                self.push_transform(turned[key], extra_info={"codes": find_codes(before.affine)})
        return turned

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        restored = dict(data)
        for key in self.key_iterator(restored):
            if restored[key].ndim == 4:
                codes = self.pop_transform(restored[key])["extra_info"]["codes"]
                restored[key] = turn(restored[key], codes)
        return restored


def find_slice_axis(affine: Any, shape: Sequence[int], slice_axis: str | None = None) -> str:
    """Across which of the patient's axes a volume is cut: "sagittal", "coronal" or "axial".

    Args:
        affine: (4, 4) from voxels to RAS, in mm.
        shape: voxels (X, Y, Z).
        slice_axis: what the data set asks for; None: the axis whose spacing is the largest, by 5 % at least; of equal
            ones axial. In any case a volume of a single slice is that slice.
    """
    spacing = np.linalg.norm(np.asarray(affine)[:3, :3], axis=0)
    places = _name_axes(affine)
    single = [axis for axis, side in zip(places, shape, strict=True) if side == 1]
    if len(single) == 1:
        return single[0]
    if slice_axis is not None:
        return slice_axis
    largest = int(np.argmax(spacing))
    others = np.delete(spacing, largest).max()
    return places[largest] if spacing[largest] > FOREMOST * others else "axial"


def find_plane(affine: Any, shape: Sequence[int], slice_axis: str | None = None) -> tuple[int, int]:
    """Pixels (X, Y) of a slice of a volume, for arguments see `find_slice_axis`."""
    sides = dict(zip(_name_axes(affine), shape, strict=True))
    x, y = (sides[AXES[letter]] for letter in CODES[find_slice_axis(affine, shape, slice_axis)][:2])
    return int(x), int(y)


def _name_axes(affine: Any) -> list[str]:
    """The patient's axis along which each axis of a volume runs."""
    return [AXES[letter] for letter in find_codes(affine)]


class FitInPlaned(MapTransform, InvertibleTransform):
    """Makes slices image_size x image_size: larger ones shrink with their aspect kept, smaller ones are padded.

    This is a letterbox with an exact inverse: its own for arrays, and for boxes `fit_boxes` and `restore_boxes` of
    `scripts.data.boxes`. Nothing is enlarged, since that would add no detail, and no axis but the slice's two is
    touched. The affine is left as it was, since the inverse restores the grid that it belongs to. Images are averaged
    over area and padded with -1 (the background after `ToSignedRanged`); label maps take the nearest value and are
    padded with 0.

    Args:
        keys: arrays (C, X, Y[, Z]); the key "label" is treated as a label map.
        image_size: side of the square slice, in pixels.
    """

    def __init__(self, keys: KeysCollection, image_size: int) -> None:
        super().__init__(keys)
        if image_size < 1:
            raise ValueError(f"image_size is {image_size}, expected a positive number of pixels.")
        self.image_size = int(image_size)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, **{key: self._fit(data[key], is_label=key == "label") for key in self.key_iterator(data)}}

    def _fit(self, array: MetaTensor, *, is_label: bool) -> MetaTensor:
        plane = list(array.shape[1:3])
        resized, before = fit_plane(plane, self.image_size)
        pad = [before[1], self.image_size - resized[1] - before[1], before[0], self.image_size - resized[0] - before[0]]

        slices = _slices_first(array.as_tensor())  # (Z, C, X, Y)
        if resized != plane:
            slices = functional.interpolate(slices, resized, mode="nearest-exact" if is_label else "area")
        slices = functional.pad(slices, pad, value=0 if is_label else -1)  # (Z, C, S, S)
        fitted = MetaTensor(
            _slices_last(slices, array.ndim), meta=array.meta, applied_operations=list(array.applied_operations)
        )
        mode = "nearest" if is_label else "area"
        self.push_transform(fitted, extra_info={"plane": plane, "resized": resized, "before": before, "mode": mode})
        return fitted

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, **{key: self._restore(data[key]) for key in self.key_iterator(data)}}

    def _restore(self, array: MetaTensor) -> MetaTensor:
        info = self.pop_transform(array)["extra_info"]
        (x, y), (width, height) = info["before"], info["resized"]
        slices = _slices_first(array.as_tensor())[..., x : x + width, y : y + height]
        if info["plane"] != info["resized"]:  # `Invertd(nearest_interp=True)` has rewritten the mode for label maps
            mode = "nearest-exact" if info["mode"] == "nearest" else "bilinear"
            slices = functional.interpolate(slices.float(), list(info["plane"]), mode=mode).to(slices.dtype)
        return MetaTensor(
            _slices_last(slices, array.ndim), meta=array.meta, applied_operations=list(array.applied_operations)
        )


def find_unpadded(array: Any) -> tuple[slice, slice]:
    """Which pixels along X and Y of a square that `FitInPlaned` made are the image's; all, where it made none."""
    for operation in getattr(array, "applied_operations", ()):
        if operation["class"] == FitInPlaned.__name__:
            info = operation["extra_info"]
            x, y = (slice(start, start + side) for start, side in zip(info["before"], info["resized"], strict=True))
            return x, y
    return slice(None), slice(None)


def fit_plane(plane: Sequence[int], image_size: int) -> tuple[list[int], list[int]]:
    """What `FitInPlaned` does to a plane (X, Y): its size once shrunk, and the padding before it, both in pixels."""
    scale = min(1.0, image_size / max(plane))
    resized = [max(1, round(side * scale)) for side in plane]
    return resized, [(image_size - side) // 2 for side in resized]


def _slices_first(array: torch.Tensor) -> torch.Tensor:
    """(C, X, Y) -> (1, C, X, Y); (C, X, Y, Z) -> (Z, C, X, Y)."""
    return array[None] if array.ndim == 3 else array.permute(3, 0, 1, 2)


def _slices_last(slices: torch.Tensor, dimensions: int) -> torch.Tensor:
    return slices[0] if dimensions == 3 else slices.permute(1, 2, 3, 0)
