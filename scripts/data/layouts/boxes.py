"""What the layouts of box annotations share: boxes in whole pixels, and the description of a data set of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.layouts.options import parse_names

BACKGROUND = "background"


def to_pixels(box: Sequence[float], plane: tuple[int, int], where: str) -> list[int]:
    """A box (x0, y0, x1, y1), half-open, with its sides on the nearest edges of pixels, one pixel apart or more.

    `box` is in pixels with fractions, `plane` are the image's pixels (X, Y), `where` is file and line, for errors.

    Raises:
        DatasetError: no numbers, width or height not above 0, or outside the image by half a pixel or more.
    """
    if not all(math.isfinite(value) for value in box) or not (box[0] < box[2] and box[1] < box[3]):
        raise DatasetError(f"{where}: the box {_show(box)} has no size. Correct or remove it.")
    sides = []
    for low, high, size in ((box[0], box[2], plane[0]), (box[1], box[3], plane[1])):
        first, last = math.floor(low + 0.5), math.floor(high + 0.5)
        if first == last:
            first = math.floor((low + high) / 2)
            last = first + 1
        if first < 0 or last > size:
            raise DatasetError(
                f"{where}: the box {_show(box)} (x0, y0, x1, y1) lies outside the image of {plane[0]}x{plane[1]} "
                "pixels. Correct it, or check that the file is for this image."
            )
        sides.append((first, last))
    return [sides[0][0], sides[1][0], sides[0][1], sides[1][1]]


def make_item(image: Path, boxes: Sequence[tuple[Sequence[float], int]]) -> Item:
    """An item of an image with pairs of box and box class."""
    found = {"boxes": [list(box) for box, _ in boxes], "box_classes": [number for _, number in boxes]}
    return {"image": str(image), "label": None, "class": None, **found}


def is_background(name: str) -> bool:
    """Whether a class is none of lesions, `background` or `__background__`; it may be listed, but have no box."""
    return name.strip("_ ").casefold() == BACKGROUND


def make_boxed_dataset(
    source: Path, splits: Mapping[str, list[Item]], types: Sequence[str], *, modality: Any
) -> Dataset:
    """A data set whose labels are the background and the box classes: box class k is label k + 1."""
    from scripts.data.layouts.contents import complete_description  # loads MONAI: not at --help

    items = [item for listed in splits.values() for item in listed]
    if not any(item["boxes"] for item in items):
        raise DatasetError(f"{source}: none of the {len(items)} images has a box. Name the folder that holds both.")
    if any(map(is_background, types)) or len(set(types)) < len(types):
        raise DatasetError(f"{source}: the box classes are {list(types)}, expected different names of lesions.")
    found = complete_description(items, labels=[BACKGROUND, *types], label_values=None, modality=modality)
    return Dataset(source, source.name, splits=dict(splits), **found)


def parse_types(labels: Any) -> list[str]:
    """The box classes of the option --labels, which names the background first, and one class or more."""
    names = parse_names(labels, "labels")
    if len(names) < 2 or names[0] != BACKGROUND:
        raise DatasetError(f'--labels is {labels!r}, expected the background and the lesions: "background,metastasis".')
    return names[1:]


def read_plane(image: Path) -> tuple[int, int]:
    """Pixels (X, Y) of an image file."""
    from scripts.data.boxes import read_plane as read_plane_of_item  # loads MONAI: not at --help

    return read_plane_of_item({"image": str(image)})


def _show(box: Sequence[float]) -> str:
    return f"({', '.join(f'{value:g}' for value in box)})"
