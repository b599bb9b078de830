"""Reading the items of a data set and noting, for each, all that is wrong or remarkable about its files."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from monai.data import MetaTensor
from tqdm import tqdm

from scripts.data.contract import Dataset, Item, find_box_faults, image_files
from scripts.data.likeness import Likeness, describe_likeness
from scripts.transforms.geometry import FOREMOST, CanonicalOrientationd, find_slice_axis
from scripts.transforms.loading import LoadItemd
from scripts.transforms.reading import CHANGED, PLACED

RAW_RANGE = 300  # a CT picture that was windowed to 8 bits spans less, raw CT numbers more
AIR = -900  # Hounsfield units from here downwards are air, which MR has not
SHADES = 0.02  # of the intensity range, between the darkest and the brightest pixel: less is no picture
WINDOW_REMEDY = "prepare with --intensity_range, such as -100,200 for soft tissue, or write it into dataset.json"
BEYOND = "intensities far outside intensity_range"


@dataclass(frozen=True)
class Finding:
    """One observation on one thing; the report counts those of one check and shows the first."""

    severity: str
    check: str
    example: str


@dataclass
class Inspection:
    """What reading one item told: findings, and if the image could be read its shape (C, X, Y[, Z]), (X, Y) a slice."""

    item: Item
    findings: list[Finding] = field(default_factory=list)
    shape: tuple[int, ...] | None = None
    labels: frozenset[int] = frozenset()
    likeness: Likeness | None = None
    lesion_slices: int = 0
    slice_axis: str | None = None  # of a volume in a coordinate system, across which it is cut

    @property
    def slices(self) -> int:
        return 0 if self.shape is None else self.shape[3] if len(self.shape) == 4 else 1

    def add(self, severity: str, check: str, example: str) -> None:
        self.findings.append(Finding(severity, check, example))


def inspect_items(dataset: Dataset) -> list[Inspection]:
    """Reads all items, several at a time."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        read = pool.map(lambda item: inspect_item(item, dataset), dataset.items)
        return list(tqdm(read, desc="Reading", total=len(dataset.items), unit="item", mininterval=0.5))
    finally:
        pool.shutdown(cancel_futures=True)  # Ctrl-C ends now, not after the last file


def inspect_item(item: Item, dataset: Dataset) -> Inspection:
    """Reads an item's files as training does, and checks what can be seen from them alone."""
    inspection = Inspection(item)
    keys = ("image", "label") if item["label"] else ("image",)
    read = LoadItemd.of(dataset, keys).read(item, keys)
    for check, message in read.faults:
        inspection.add("error", check, message)
    if not item["label"]:
        check = "no label map, left out" if item.get("boxes") is None else "boxes but no label map"
        inspection.add("info", check, shown_name(item, dataset))
    if read.image is not None:
        turned = CanonicalOrientationd("image", dataset.slice_axis)({"image": read.image})["image"]
        inspection.shape = tuple(turned.shape)
        _check_channels(inspection, np.asarray(read.image), dataset)
        _check_units(inspection, np.asarray(read.image), dataset)
        _check_grid(inspection, read.image, turned, dataset)
        if not item.get("synthetic"):
            inspection.likeness = describe_likeness(np.asarray(read.image))
    if read.label is not None:
        name = shown_name({"image": item["label"]}, dataset)
        inspection.labels = frozenset(int(value) for value in np.unique(read.label))
        if not (read.label > 0).any():
            inspection.add("info", "empty label map", name)
        if changed := read.label.meta.get(CHANGED, 0):
            example = f"{name}: {changed} of {read.label.numel()} pixels"
            inspection.add("warning", "pixels taken to the nearest label", example)
    if inspection.shape is not None and item.get("boxes") is not None:
        _check_boxes(inspection, inspection.shape, dataset)
    if read.label is not None and not read.faults:
        turned = CanonicalOrientationd("label", dataset.slice_axis)({"label": read.label})["label"]
        lesion = np.asarray(turned)[0] > 0  # (X, Y[, Z])
        inspection.lesion_slices = int(np.atleast_1d(lesion.any(axis=(0, 1))).sum())
    return inspection


def _check_channels(inspection: Inspection, image: np.ndarray, dataset: Dataset) -> None:
    """Constant and repeated channels of an image (C, X, Y[, Z])."""
    name = shown_name(inspection.item, dataset)
    equal: dict[bytes, list[str]] = defaultdict(list)
    for n, channel in enumerate(image):
        title = dataset.modality[n] if n < dataset.channel_count else str(n)
        equal[channel.tobytes()].append(title)
        if channel.min() == channel.max():
            inspection.add("warning", "constant channel", f"{name}: {title} is {channel.flat[0]:g} everywhere")
    for group in equal.values():
        if len(group) > 1:
            inspection.add("warning", f"repeated channel: {' = '.join(group)}", name)


def _check_grid(inspection: Inspection, image: MetaTensor, turned: MetaTensor, dataset: Dataset) -> None:
    """Where a volume's slices lie, and whether their pixels are square."""
    name = shown_name(inspection.item, dataset)
    if image.ndim < 4 or inspection.item.get("synthetic"):
        return
    if not image.meta[PLACED]:
        inspection.add("info", "no coordinate system, axes taken as they are", name)
        return
    inspection.slice_axis = find_slice_axis(image.affine, image.shape[1:], dataset.slice_axis)
    x, y, _ = np.linalg.norm(np.asarray(turned.affine)[:3, :3], axis=0)
    if max(x, y) > FOREMOST * min(x, y):
        example = f"{name}: {x:.3g} x {y:.3g} mm; networks see them as square, so that lesions look stretched"
        inspection.add("warning", "pixels of slices are not square", example)


def is_ct(title: str) -> bool:
    """Whether a channel's name says CT: `CT`, `CBCT`, `NCCT_head` ..."""
    return bool({"CT", "CBCT", "NCCT", "CECT", "LDCT", "HRCT", "CTA"} & set(re.split("[^A-Z]+", title.upper())))


def _check_units(inspection: Inspection, image: np.ndarray, dataset: Dataset) -> None:
    """Values (C, X, Y[, Z]) must suit the declared range, and CT in volumes hold Hounsfield units: air is -1000."""
    if inspection.item.get("synthetic") or not np.isfinite(image).all():
        return
    name = shown_name(inspection.item, dataset)
    for title, channel in zip(dataset.modality, image, strict=False):
        low, high = float(channel.min()), float(channel.max())
        example = f"{name}: {title} has values from {low:g} to {high:g}"
        if dataset.intensity_range is None:
            if image.ndim == 4 and low <= AIR and not is_ct(title):
                inspection.add("warning", "looks like CT without intensity_range", f"{example}; {WINDOW_REMEDY}")
            continue
        if image.ndim == 4 and is_ct(title) and low >= 0 and high - low > RAW_RANGE:
            inspection.add("warning", "no negative values: rescale probably not applied", example)
            continue
        bottom, top = dataset.intensity_range
        seen = float(np.clip(high, bottom, top)) - float(np.clip(low, bottom, top))
        far_above = float(np.median(channel)) > top + (top - bottom)
        if low < high and (far_above or seen < SHADES * (top - bottom)):
            inspection.add("warning", BEYOND, f"{example}, intensity_range is {bottom:g} to {top:g}")


def _check_boxes(inspection: Inspection, shape: tuple[int, ...], dataset: Dataset) -> None:
    """Boxes (x0, y0, x1, y1) inside an image of `shape` (C, X, Y[, 1]), and a class for each."""
    item, name = inspection.item, shown_name(inspection.item, dataset)
    if inspection.slices > 1:
        inspection.add("error", "boxes of a volume", f"{name}: {inspection.slices} slices, give a label map instead")
        return
    faults = find_box_faults(item, shape[1:3], dataset.foreground_count)
    for check, details in faults:
        inspection.add("error", check, f"{name}: {details}")
    if not faults:
        inspection.labels |= {number + 1 for number in item.get("box_classes") or []}
    if not item["label"]:
        inspection.lesion_slices = int(bool(item["boxes"]))


def shown_name(item: Item, dataset: Dataset) -> str:
    """The first image's path, without the folder of the data set where it lies there."""
    path = Path(image_files(item)[0])
    return str(path.relative_to(dataset.root)) if path.is_relative_to(dataset.root) else str(path)


def shown_size(shape: Iterable[int]) -> str:
    return "x".join(map(str, shape))
