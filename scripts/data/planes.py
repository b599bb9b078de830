"""The size that images had before they were padded, so that padding can be undone where images are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nibabel as nib

from scripts.data.contract import Item, image_files
from scripts.transforms.geometry import find_plane
from scripts.transforms.pictures import is_picture, read_size


def shared_plane(items: Sequence[Item], image_size: int, slice_axis: str | None = None) -> tuple[int, int] | None:
    """Pixels (X, Y) of a slice, where all images have the same and it was padded to a square, never shrunk.

    Only headers are read. None where sizes differ, some image is larger, all are such squares already, or a format says
    nothing. `image_size` is the side (pixels) of the square that `FitInPlaned` makes, `slice_axis` is as for
    `find_slice_axis`.
    """
    planes = {_plane(image_files(item)[0], slice_axis) for item in items}
    plane = planes.pop() if len(planes) == 1 else None
    if plane is None or max(plane) > image_size or plane == (image_size, image_size):
        return None
    return plane


def padding_before(side: int, image_size: int) -> int:
    """Pixels that `FitInPlaned` puts before a side that it pads."""
    return (image_size - side) // 2


def _plane(file: str, slice_axis: str | None) -> tuple[int, int] | None:
    if is_picture(file):
        return read_size(file)
    if not file.endswith((".nii", ".nii.gz")):
        return None
    volume: Any = nib.load(file)
    shape = volume.shape[:3]
    if len(shape) < 3:
        return int(shape[0]), int(shape[1])
    return find_plane(volume.affine, shape, slice_axis)
