"""From the numbers and colours in a label file to labels: what stands for which, and what is no label at all."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scripts.data.contract import DatasetError, show_colour
from scripts.transforms.pictures import is_picture

NEARLY_WHOLE = 1e-3
LARGEST_GREY = 0xFF  # a larger value in `label_values` is a colour
GREYISH = 32  # most that the channels of a grey pixel differ once compressed


def check_layers(file: str) -> None:
    """Raises DatasetError where an NRRD file (`.seg.nrrd`) holds 3D Slicer's layers: segments that overlap."""
    if not file.lower().endswith((".nrrd", ".nhdr")):
        return
    with Path(file).open("rb") as stream:
        header = stream.read(1 << 20).partition(b"\n\n")[0].replace(b"\r", b"").decode("latin-1")
    dimension = re.search(r"^dimension:\s*(\d+)", header, re.MULTILINE)
    if dimension and int(dimension[1]) > 3:
        raise DatasetError(
            f"{file} has several layers (channels) of segments that overlap, expected one label map. Export a labelmap "
            "from 3D Slicer, or one file per segment: label_0, label_1 ... of layout table."
        )


def has_colours(label_values: Mapping[int, int]) -> bool:
    """Whether values in the files are colours: a code beyond 8 bits can be nothing else in a picture."""
    return any(value > LARGEST_GREY for value in label_values)


def find_values(array: np.ndarray, path: str, *, colours: bool, lossy: bool) -> np.ndarray:
    """The values (1, X, Y[, Z]) in a file of label numbers (1, X, Y[, Z]), or in a picture (3, X, Y).

    A picture holds colour codes 0xRRGGBB where labels are `colours`; else it must be a grey one that was stored in
    colour, with three equal channels, or nearly equal ones where it is lossy.

    Raises:
        DatasetError: several channels but no such picture, or NaN.
    """
    if array.shape[0] == 3 and colours:
        red, green, blue = array.astype(np.int64)
        return (red * 0x10000 + green * 0x100 + blue)[None]
    if array.shape[0] == 3 and is_picture(path):
        array = _find_grey(array, path, lossy=lossy)
    if array.shape[0] != 1:
        raise DatasetError(f"{path}: a label map has one channel, this file has {array.shape[0]}. Store label numbers.")
    if not np.isfinite(array).all():
        raise DatasetError(f"{path}: holds values that are no label numbers. Store whole numbers (0, 1, 2 ...).")
    return array


def round_values(values: np.ndarray, path: str) -> np.ndarray:
    """Values within 1e-3 of a whole number as that number (some public label maps hold 0.99999997 for 1).

    Raises:
        DatasetError: another value.
    """
    rounded = np.rint(values)
    if np.abs(values - rounded).max() > NEARLY_WHOLE:
        raise DatasetError(f"{path}: holds values that are no label numbers. Store whole numbers (0, 1, 2 ...).")
    return rounded


def clean_values(values: np.ndarray, known: Sequence[int], path: str) -> np.ndarray:
    """Each value as the nearest known one, the lower of two equally near.

    Raises:
        DatasetError: a value further outside the known ones than half the distance between these.
    """
    levels = np.unique(known).astype(float)
    middles = (levels[1:] + levels[:-1]) / 2
    reach = (middles[0] - levels[0], levels[-1] - middles[-1]) if len(middles) else (0.5, 0.5)
    low, high = float(values.min()), float(values.max())
    if low < levels[0] - reach[0] or high > levels[-1] + reach[1]:
        shown = ", ".join(f"{level:g}" for level in levels)
        raise DatasetError(
            f"{path} has values from {low:g} to {high:g}, labels have {shown}. Map values with 'label_values' in "
            "dataset.json."
        )
    return levels[np.searchsorted(middles, values)]


def map_values(values: np.ndarray, label_values: Mapping[int, int]) -> np.ndarray:
    """Labels of whole numbers; those that `label_values` does not list stand for themselves."""
    mapped = values.copy()
    for value, target in label_values.items():
        mapped[values == value] = target
    return mapped


def check_colours(codes: np.ndarray, known: Sequence[int], path: str) -> np.ndarray:
    """The colour codes, once each is a known one.

    Raises:
        DatasetError: a colour that is not known.
    """
    unlisted = sorted(set(np.unique(codes).tolist()) - set(known))
    if unlisted:
        others = f" and {len(unlisted) - 1} more that are not" if len(unlisted) > 1 else ", which is not"
        colour = show_colour(unlisted[0])
        raise DatasetError(
            f"{path} holds the colour {colour}{others} in the colour table. Add it there and prepare again, or to "
            f"'label_values' in dataset.json (\"{colour}\": label)."
        )
    return codes


def clean_colours(codes: np.ndarray, known: Sequence[int]) -> np.ndarray:
    """Each colour code as the nearest known one, by the distance of red, green and blue."""
    channels = _split(codes)  # (3, ...)
    distances = [np.square(channels - _split(np.full_like(codes, code))).sum(axis=0) for code in known]
    return np.array(known)[np.argmin(distances, axis=0)]


def _split(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 0xFF, codes & 0xFF])


def _find_grey(array: np.ndarray, path: str, *, lossy: bool) -> np.ndarray:
    """The one channel (1, X, Y) of a grey picture (3, X, Y)."""
    grey = np.median(array, axis=0, keepdims=True)
    different = np.abs(array - grey).max(axis=0) > (GREYISH if lossy else 0)
    if different.any():
        x, y = np.argwhere(different)[0]
        red, green, blue = array[:, x, y].astype(int).tolist()
        colour = show_colour(red * 0x10000 + green * 0x100 + blue)
        raise DatasetError(
            f"{path} holds the colour {colour}, which is not in the colour table. Add it to 'label_values' in "
            f'dataset.json ("{colour}": label).'
        )
    return grey
