"""What is exported: images of synthetic sets, read one by one, and what is said of each wherever it goes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from scripts.data.boxes import find_boxes
from scripts.data.contract import Dataset, DatasetError, Item, find_box_faults, image_files, read_dataset, stem
from scripts.data.features import MANIFEST
from scripts.data.memorised import is_memorised
from scripts.handlers.synthetic_writer import LPS_IDENTITY
from scripts.transforms.geometry import CanonicalOrientationd
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import LoadItemd

NOTICE = "SYNTHETIC: made by a generator, of no patient. For research only."
Boxes = list[tuple[list[int], int]]  # pairs of box (x0, y0, x1, y1) and class


@dataclass(frozen=True)
class Picture:
    """An image that was read: `image` (C, X, Y, Z) float32 in [-1, 1], `label` (X, Y, Z) uint8 or None.

    (X, Y) is a slice, see `CanonicalOrientationd`. `affine` (4, 4) is NIfTI's, in mm; of a picture without patient axes
    pixels are 1 mm.
    """

    image: np.ndarray
    label: np.ndarray | None
    affine: np.ndarray

    @property
    def plane(self) -> np.ndarray:
        """The image of one slice, (C, X, Y)."""
        return self.image[..., 0]


@dataclass(frozen=True)
class Entry:
    """An image that is not read yet: its unique `name`, its `item`, and the data set that it is from."""

    name: str
    item: Item
    dataset: Dataset

    def read(self) -> Picture:
        """The image and its label map; DatasetError where a file breaks the contract, or a box is not in the image."""
        keys = ["image", "label"] if self.item["label"] else ["image"]
        data: Any = LoadItemd.of(self.dataset, keys)(self.item)  # type: ignore[arg-type]
        data = CanonicalOrientationd(keys, self.dataset.slice_axis)(data)
        data = ToSignedRanged("image", self.dataset.intensity_range)(data)
        plane = data["image"].ndim == 3
        arrays = {key: np.asarray(data[key])[..., None] if plane else np.asarray(data[key]) for key in keys}
        for check, details in find_box_faults(self.item, arrays["image"].shape[1:3], self.dataset.foreground_count):
            raise DatasetError(f"{image_files(self.item)[0]}: {check}: {details}. Correct the item in dataset.json.")
        label = arrays["label"][0].astype(np.uint8) if "label" in arrays else None
        affine = LPS_IDENTITY if plane else np.asarray(data["image"].affine, dtype=float)
        return Picture(arrays["image"].astype(np.float32), label, affine)

    def find_boxes(self, picture: Picture) -> Boxes:
        """The item's boxes, else those of the lesions in its label map, with their classes (k is label k + 1)."""
        if picture.label is None:
            return list(zip(self.item["boxes"], self.item.get("box_classes") or [], strict=True))
        boxes, classes = find_boxes(picture.label[..., 0].astype(np.int64))
        return list(zip(boxes.tolist(), classes.tolist(), strict=True))

    @property
    def provenance(self) -> dict[str, Any]:
        """Where the image comes from, without the folders of this machine."""
        known = dict(self.item["synthetic"])
        known |= {key: Path(known[key]).name for key in ("source", "anatomy") if known.get(key)}
        return {"patient": self.item["patient"], "class": self.item["class"], **known}

    @property
    def mark(self) -> str:
        """Up to 79 ASCII characters for a file's header: who made it and that it is of no patient."""
        system = str(self.item["synthetic"].get("system", "a generator"))
        return f"SYNTHETIC by {system}, of no patient".encode("ascii", "replace").decode()[:79]


@dataclass(frozen=True)
class Selection:
    """The synthetic sets that are exported together; their names of channels, labels and classes are the same."""

    sets: list[Dataset]
    entries: list[Entry]

    @property
    def description(self) -> Dataset:
        return self.sets[0]

    @property
    def has_masks(self) -> bool:
        """Whether the images have label maps; else they have boxes."""
        return self.entries[0].item["label"] is not None

    @property
    def trained_on(self) -> list[str]:
        """Patients that some generator learned from."""
        return sorted({patient for dataset in self.sets for patient in dataset.trained_on})

    def summary(self, intensities: str) -> dict[str, Any]:
        """The content of `synthetic.json`, which lies in every export; `intensities` says what numbers mean."""
        return {
            "notice": NOTICE,
            "name": self.description.name,
            "intensities": intensities,
            "channels": self.description.modality,
            "labels": self.description.labels,
            "trained_on": self.trained_on,
            "memorisation": [{"set": each.root.name, **each.memorisation} for each in self.sets],
            "images": {entry.name: entry.provenance for entry in self.entries},
        }


def select_synthetic(folders: Sequence[str], *, allow_memorised: Any = None) -> Selection:
    """Opens synthetic sets; images get the names `synthetic_<file>`, of several sets `synthetic_<n>_<file>`.

    Raises:
        DatasetError: no set, one of features, an item without provenance, sets with other channels, labels or
            classes than the first, label maps in one and boxes in another, or a set that repeats training images and is
            not among `allow_memorised`, see `is_memorised`.
    """
    if not folders:
        raise DatasetError("No synthetic set is named. Give its folder, or several: `export SET [SET ...]`.")
    sets = [_open_set(Path(str(folder)).expanduser()) for folder in folders]
    for dataset in sets:
        is_memorised(dataset.root, dataset.memorisation, allow_memorised)
    for dataset in sets[1:]:
        check_same_names(dataset, sets[0])
    entries = []
    for number, dataset in enumerate(sets):
        prefix = "synthetic_" if len(sets) == 1 else f"synthetic_{number}_"
        entries += name_entries(dataset.items, dataset, prefix=prefix)
    if len({entry.item["label"] is None for entry in entries}) > 1:
        raise DatasetError("Some images have label maps and others boxes in their place. Export the sets one by one.")
    return Selection(sets, entries)


def name_entries(items: Sequence[Item], dataset: Dataset, *, prefix: str = "") -> list[Entry]:
    """Entries with different names of letters, digits, `.`, `_` and `-`, made of the names of their files."""
    names = [re.sub(r"[^\w.-]", "_", stem(image_files(item)[0]), flags=re.ASCII) for item in items]
    counts = Counter(names)
    unique = [name if counts[name] == 1 else f"{name}_{n:06d}" for n, name in enumerate(names)]
    return [Entry(prefix + name, item, dataset) for name, item in zip(unique, items, strict=True)]


def check_same_names(dataset: Dataset, other: Dataset) -> None:
    """Raises DatasetError where two data sets differ in the names of channels, labels or classes."""
    for key in ("modality", "labels", "classes"):
        ours, theirs = getattr(dataset, key), getattr(other, key)
        if ours != theirs:
            raise DatasetError(f"{dataset.root}: {key} {ours} differ from {theirs} of {other.root}. Export them apart.")


def show_progress(entries: Sequence[Entry]) -> Iterator[Entry]:
    """The entries, with a bar on stderr once they take longer than two seconds."""
    yield from tqdm(entries, desc="Exporting", unit="image", delay=2, mininterval=2)


def _open_set(folder: Path) -> Dataset:
    if not (folder / "dataset.json").exists() and (folder / MANIFEST).exists():
        raise DatasetError(f"{folder} holds features, which no format can take. Read its features.npy with NumPy.")
    dataset = read_dataset(folder)
    for item in dataset.items:
        if not item.get("synthetic"):
            raise DatasetError(
                f"{folder}: {image_files(item)[0]} has no 'synthetic' provenance, expected a synthetic set. Name real "
                "images with --real."
            )
        if item["label"] is None and item.get("boxes") is None:
            raise DatasetError(f"{folder}: {image_files(item)[0]} has neither label map nor boxes. Synthesise again.")
    return dataset
