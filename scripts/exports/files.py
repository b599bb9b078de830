"""Image files that say of themselves, in their headers, that they are synthetic."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from scripts.data.contract import DatasetError
from scripts.exports.entries import NOTICE, Boxes, Picture

EIGHT_BITS = "8 bits: stored / 127.5 - 1 is the generator's value in [-1, 1]"
SIXTEEN_BITS = "16 bits: stored / 32767.5 - 1 is the generator's value in [-1, 1]"
BOX_COLUMNS = ["image", "x0", "y0", "x1", "y1", "class"]


def write_nifti(file: Path, array: np.ndarray, affine: np.ndarray, mark: str = "") -> None:
    """Writes (X, Y, Z[, C]) as it is, with `mark` in the header's field `descrip`."""
    volume = nib.Nifti1Image(array, affine)
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = mark
    nib.save(volume, file)


def write_png(file: Path, plane: np.ndarray, mark: str = "") -> None:
    """Writes whole numbers (X, Y) or (3, X, Y), uint8 or uint16, as a picture: x to the right, y down.

    With `mark` the file has the text chunks `Title` and `Disclaimer`.
    """
    text = PngInfo()
    if mark:
        text.add_text("Title", mark)
        text.add_text("Disclaimer", NOTICE)
    Image.fromarray(np.ascontiguousarray(plane.T)).save(file, pnginfo=text)  # (Y, X) or (Y, X, 3)


def to_unsigned(image: np.ndarray, dtype: type[np.unsignedinteger[Any]]) -> np.ndarray:
    """Values in [-1, 1] as 0 .. the largest of the type, linearly."""
    return np.rint((image + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def choose_channels(picture: Picture, channels: Sequence[int]) -> np.ndarray:
    """The channels as 8 bits, (X, Y) for one and (3, X, Y) for three."""
    chosen = to_unsigned(picture.plane[list(channels)], np.uint8)
    return chosen[0] if len(channels) == 1 else chosen


def check_channels(channels: Sequence[int] | None, modality: Sequence[str]) -> list[int]:
    """The channels of a picture in a format that has one file per image; None stands for all.

    Raises:
        DatasetError: neither one nor three, or one that the images have not.
    """
    chosen = list(range(len(modality))) if channels is None else list(channels)
    if len(chosen) not in (1, 3) or not all(type(c) is int and 0 <= c < len(modality) for c in chosen):
        listed = ", ".join(f"{n}: {name}" for n, name in enumerate(modality))
        raise DatasetError(
            f"A picture would have the channels {chosen}, expected one (grey) or three (red, green, blue) of {listed}. "
            "Pass --channels 0, or such as --channels 0,1,2; the formats png, dicom, decathlon and nnunet keep all."
        )
    return chosen


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a CSV file, UTF-8, one header line."""
    with open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)


def box_rows(image: str, boxes: Boxes, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of `boxes.csv` for an image."""
    names = BOX_COLUMNS[1:5]
    return [{"image": image, **dict(zip(names, box, strict=True)), "class": labels[k + 1]} for box, k in boxes]
