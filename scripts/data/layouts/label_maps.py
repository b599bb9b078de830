"""Label maps that a layout makes: of a picture's several mask files, or of the outlines of its lesions."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scripts.data.atomic import replacing
from scripts.data.contract import DatasetError, Item, case_name

logger = logging.getLogger(__name__)

FOLDER = "label_maps"  # beside dataset.json


def merge_label_files(items: Iterable[Item], root: Path, output: Path, *, threshold_masks: bool = False) -> None:
    """Replaces each `label` of several files by one label map in `output/label_maps`.

    A list is merged: a pixel has the value that any of the files has there. Of a dictionary of label -> file, any value
    but 0 in a file is its label. Where files overlap the later one counts, and a line says how many pixels. Files that
    differ in size, or that `contents.read_values` refuses, are a DatasetError.
    """
    from scripts.data.layouts.contents import read_values  # loads MONAI: not at --help

    overlapping = 0
    for item in items:
        files = item.get("label")
        if isinstance(files, list) and len(files) < 2:
            item["label"] = files[0] if files else None
        if not isinstance(item.get("label"), (list, dict)):
            continue
        numbered: list[tuple[int | None, str]] = list(files.items()) if isinstance(files, dict) else []
        numbered = numbered or [(None, file) for file in item["label"]]
        merged: Any = None
        for label, file in numbered:
            found = read_values(file, threshold_masks=threshold_masks)  # (1, X, Y[, Z])
            values = np.asarray(found)[0].astype(np.int64) if label is None else (np.asarray(found)[0] != 0) * label
            if merged is None:
                merged, affine = np.zeros_like(values), found.affine
            if values.shape != merged.shape:
                raise DatasetError(f"{file} differs in size from {numbered[0][1]}. Replace the one that is wrong.")
            overlapping += int(((merged != values) & (merged > 0) & (values > 0)).sum())
            merged = np.where(values > 0, values, merged)
        item["label"] = str(write_label_map(output, case_name(item, root), merged, np.asarray(affine)))
    if overlapping:
        logger.info(f"{overlapping} pixels are in several mask files with different labels; the later file counts.")


def write_label_map(output: Path, name: str, labels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Writes labels (X, Y) as PNG, or (X, Y, Z) as NIfTI with the affine, into `output/label_maps`; returns the file.

    `name` is the picture's path without suffix; `/` becomes `__`.
    """
    if labels.min() < 0 or labels.max() > 255:
        raise DatasetError(f"{name}: label values from {labels.min()} to {labels.max()}, expected 0 to 255 in masks.")
    return write_labels(output / FOLDER / name.replace("/", "__"), labels.astype(np.uint8), affine)


def write_labels(file: Path, labels: np.ndarray, affine: np.ndarray | None = None) -> Path:
    """Writes uint8 labels (X, Y) as `file`.png, or (X, Y, Z) as `file`.nii.gz, whole or not at all."""
    import nibabel as nib
    from PIL import Image

    whole = file.with_name(f"{file.name}{'.png' if labels.ndim == 2 else '.nii.gz'}")
    with replacing(whole) as temporary:
        if labels.ndim == 2:
            Image.fromarray(np.ascontiguousarray(labels.T)).save(temporary)
        else:
            nib.Nifti1Image(labels, affine).to_filename(temporary)
    return whole


def fill_polygon(corners: Sequence[float], plane: tuple[int, int]) -> np.ndarray:
    """The pixels (X, Y) of `plane` whose middles lie inside a polygon x0, y0, x1, y1 ..., by the even-odd rule.

    Corners are in pixels, the upper left corner of the picture being 0, 0.
    """
    x, y = np.asarray(corners, float).reshape(-1, 2).T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    middles = np.arange(plane[0]) + 0.5
    filled = np.zeros(plane, bool)
    for row in range(plane[1]):
        crossed = (y <= row + 0.5) != (next_y <= row + 0.5)
        share = (row + 0.5 - y[crossed]) / (next_y - y)[crossed]
        at = x[crossed] + share * (next_x - x)[crossed]
        filled[:, row] = (middles[:, None] > at).sum(axis=1) % 2 == 1
    return filled


def fill_runs(counts: str | Sequence[int], plane: tuple[int, int]) -> np.ndarray:
    """The pixels (X, Y) of COCO's run lengths: of zeros and ones in turn, column by column; a text is compressed.

    Runs that do not fill the plane are a ValueError.
    """
    runs = _decompress(counts) if isinstance(counts, str) else [int(run) for run in counts]
    if sum(runs) != plane[0] * plane[1] or any(run < 0 for run in runs):
        raise ValueError(f"run lengths of {sum(runs)} pixels, the image has {plane[0] * plane[1]}")
    return np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(plane)


def _decompress(text: str) -> list[int]:
    """COCO's compressed runs: numbers of five bits a character from "0", from the third on less the last but one."""
    runs: list[int] = []
    number = shift = 0
    for character in text:
        code = ord(character) - 48
        number |= (code & 31) << shift
        shift += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number = shift = 0
    return runs
