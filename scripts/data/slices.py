"""Slices of volumes and plane images as one data set, indexed by rules, read from the cache."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from monai.transforms import Randomizable
from torch.utils.data import Dataset
from tqdm import tqdm

from scripts.data.cache import VolumeCache, describe
from scripts.data.contract import DatasetError, Item, patient_of, source_patient, source_patients
from scripts.data.donors import LesionDonors
from scripts.transforms.augmentation import Augmentation
from scripts.transforms.carving import carve, paste

SliceRule = Callable[[np.ndarray, np.ndarray], np.ndarray]
AUGMENTED_SLICES = ("both", "real", "none")
PASTING, AUGMENTING = 1, 2  # of the draws of (seed, epoch, index), those that paste lesions, and of `augmentation`


@dataclass(frozen=True)
class LesionRule:
    """Keeps slices with at least `minimum_pixels` of lesion, whatever its label (labels 1..`last_label`)."""

    minimum_pixels: int = 1
    last_label: int = 254

    def __call__(self, image: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Image (Z, C, X, Y) and label (Z, X, Y), both without padding, to a mask (Z,) of the slices to keep."""
        lesion = (label > 0) & (label <= self.last_label)
        return lesion.sum(axis=(1, 2)) >= self.minimum_pixels


@dataclass(frozen=True)
class BrightRule:
    """Keeps slices where more than `share` of the pixels of `channel` exceed `threshold` (in [-1, 1]).

    The defaults are those of Larsson et al. 2022, section 3, who count before they pad.
    """

    channel: int = 0
    threshold: float = 50 / 255 * 2 - 1
    share: float = 0.15

    def __call__(self, image: np.ndarray, label: np.ndarray) -> np.ndarray:
        """Image (Z, C, X, Y) and label (Z, X, Y), both without padding, to a mask (Z,) of the slices to keep."""
        return (image[:, self.channel] > self.threshold).mean(axis=(1, 2)) > self.share


class SliceDataset(Dataset):
    """2D slices of 3D volumes and 2D images, preprocessed once per volume and read from a memory-mapped cache.

    Each element is a dictionary: `image` float32 (C, S, S) in [-1, 1], `label` int64 (1, S, S), `class_index`,
    `patient`, and `source`, its place as "image file#slice". Random transforms draw from (seed, epoch, index) alone:
    neither the number of workers nor a restart changes them.

    Args:
        data: items of the contract; `{"image": ..., "label": ...}` is enough.
        complete: what makes the items to use of `data`; None uses `data` as it is. MONAI Label puts lists of its own in
            the place of `data`: see `scripts.data.label_server`.
        preprocessing: deterministic transforms of a whole item, cached (see `VolumeCache`).
        cache_dir: the cache's folder.
        rule: which slices to use; None for all.
        augmentation: of a batch of slices at once; None for none.
        transform: transforms of a slice's dictionary after that, random ones too; None for none.
        augmented_slices: which slices `transform` is for: "both", real and synthetic ones, "real" or "none".
        seed: start of the random transforms' draws.
        copy_paste_probability: share of the slices, real and synthetic, into which the lesions of another slice are
            pasted before `transform` (see `scripts.transforms.carving`). They come from a slice of another patient
            where there is one, and a real slice where there is any, chosen by (seed, epoch, index) too. A slice into
            whose head the lesions of none of ten fit stays as it is.

    Raises:
        DatasetError: another word for `augmented_slices`, a probability outside [0, 1], an unreadable or wrong item
            (while the cache is made), no slice that passes the rule, or no lesion to paste.
    """

    def __init__(
        self,
        data: Sequence[Item],
        preprocessing: Callable[[Item], Mapping[str, Any]],
        cache_dir: str | Path,
        *,
        complete: Callable[[list[Item]], list[Item]] | None = None,
        rule: SliceRule | None = None,
        augmentation: Augmentation | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        augmented_slices: str = "both",
        seed: int = 0,
        copy_paste_probability: float = 0.0,
    ) -> None:
        if augmented_slices not in AUGMENTED_SLICES:
            raise DatasetError(
                f"augmented_slices is {augmented_slices!r}, expected one of {', '.join(AUGMENTED_SLICES)}. Pass one of "
                "them: which slices random transforms change."
            )
        self.data = list(data) if complete is None else complete(list(data))
        self.options: dict[str, Any] = {"preprocessing": preprocessing, "cache_dir": cache_dir, "rule": rule}
        self.preprocessing = preprocessing
        self.cache_dir = cache_dir
        self.rule = rule
        self.augmentation = augmentation
        self.transform = transform
        self.augmented_slices = augmented_slices
        self.seed = seed
        self.epoch = 0
        cache = VolumeCache(cache_dir, preprocessing)
        self.entries = _prepare(cache, self.data)
        kept = _find_kept(cache, self.entries, rule)
        self.index = [(volume, z) for volume, mask in enumerate(kept) for z in np.flatnonzero(mask).tolist()]
        if not self.index:
            raise DatasetError(f"None of the {len(self.data)} images has a slice that passes {rule}. Loosen the rule.")
        self.paste_lesions(copy_paste_probability)

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, position: int) -> dict[str, Any]:
        return self.__getitems__([position])[0]

    def __getitems__(self, positions: list[int]) -> list[dict[str, Any]]:
        """The elements of a batch, as PyTorch's loader asks for them."""
        elements = [self._read(position) for position in positions]
        if self.donors is not None:
            pairs = zip(elements, positions, strict=True)
            elements = [self._paste_by_chance(element, position, self.donors) for element, position in pairs]
        if self.augmentation is not None:
            keys, draws = ("image", "label"), [self._draw(position, AUGMENTING) for position in positions]
            image, label = (torch.stack([element[key] for element in elements]) for key in keys)
            for element, *pair in zip(elements, *self.augmentation(image, label, draws), strict=True):
                element |= zip(keys, pair, strict=True)
        return [self._finish(element, position) for element, position in zip(elements, positions, strict=True)]

    def _finish(self, element: dict[str, Any], position: int) -> dict[str, Any]:
        """An element after the transforms that take one at a time."""
        if self.transform is None or not self._is_augmented(self.index[position][0]):
            return element
        if isinstance(self.transform, Randomizable):
            draw = np.random.SeedSequence([self.seed, self.epoch, position])
            self.transform.set_random_state(seed=int(draw.generate_state(1)[0]))
        changed = self.transform(element)
        if "label" in changed:  # which some transforms turn into float32, and loader workers join one type alone
            changed["label"] = changed["label"].to(torch.int64)
        return changed

    def _draw(self, position: int, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, self.epoch, position, purpose])

    def set_epoch(self, epoch: int) -> None:
        """Lets the random transforms draw anew."""
        self.epoch = epoch

    def of_items(self, items: Sequence[Item]) -> Self:
        """Slices of other items, prepared and chosen alike, with nothing random."""
        return type(self)(items, **self.options)

    def paste_lesions(self, probability: float) -> None:
        """From now on as `copy_paste_probability` says."""
        if not isinstance(probability, (int, float)) or not 0 <= probability <= 1:
            raise DatasetError(
                f"copy_paste_probability is {probability!r}, expected a number from 0 to 1, such as 0.5."
            )
        self.copy_paste_probability = probability
        self.donors: LesionDonors | None = None
        if probability:
            patients = [source_patient(self.data[volume]) for volume, _ in self.index]
            synthetic = self.is_synthetic
            self.donors = LesionDonors(self.has_lesion & (~synthetic | synthetic.all()), patients)

    def _read(self, position: int) -> dict[str, Any]:
        """A slice as it is, before anything random."""
        volume, z = self.index[position]
        entry = self.entries[volume]
        return {
            "image": torch.from_numpy(_row(f"{entry}/image.npy", z)).float(),  # (C, S, S)
            "label": torch.from_numpy(_row(f"{entry}/label.npy", z)).long()[None],  # (1, S, S)
            **self.summary(position),
        }

    def _paste_by_chance(self, element: dict[str, Any], position: int, donors: LesionDonors) -> dict[str, Any]:
        generator = self._draw(position, PASTING)
        if generator.random() < self.copy_paste_probability:
            for donor in donors.draw(position, generator):
                pasted = self._paste(element, position, donor, generator)
                if pasted is not None:
                    return pasted
        return element

    def _paste(
        self, element: dict[str, Any], position: int, donor: int, generator: np.random.Generator
    ) -> dict[str, Any] | None:
        """The element of a position with the lesions of another slice, None where they do not fit."""
        given = self._read(donor)
        lesion = given["label"][0].numpy() > 0
        region = carve(lesion, generator)
        pasted = paste(element, given, region, lesion & region)
        return None if pasted is None else pasted[0]

    def _is_augmented(self, volume: int) -> bool:
        synthetic = bool(self.data[volume].get("synthetic"))
        return self.augmented_slices == "both" or (self.augmented_slices == "real" and not synthetic)

    def summary(self, position: int) -> dict[str, Any]:
        """What is known of a slice without reading it: `class_index`, `patient`, `source`."""
        volume, z = self.index[position]
        item = self.data[volume]
        image = item["image"] if isinstance(item["image"], str) else item["image"][0]
        return {
            "class_index": int(item.get("class_index", -1)),
            "patient": patient_of(item),
            "source": f"{image}#{z}",
        }

    @property
    def patients(self) -> list[str]:
        """Whom the slices, or the masks of synthetic ones, come from, each once, sorted."""
        return sorted({patient for volume, _ in self.index for patient in source_patients(self.data[volume])})

    @property
    def known_patients(self) -> list[str]:
        """Whom a network knows that learns from these: `patients`, and those who taught synthetic ones' generators."""
        taught = {patient for item in self.data for patient in item.get("generator_trained_on", ())}
        return sorted(taught.union(self.patients))

    @property
    def memorised_sets(self) -> list[str]:
        """Names of the synthetic sets among these that failed their memorisation audit, sorted."""
        return sorted({item["memorised"] for item in self.data if "memorised" in item})

    @property
    def fingerprint(self) -> str:
        """Changes with the slices, their order, pixels, patients, classes or preprocessing: a resumed run checks it."""
        digest = hashlib.sha256()
        for volume, z in self.index:
            item = self.data[volume]
            about = [source_patients(item), item.get("class_index", -1), bool(item.get("synthetic"))]
            digest.update(f"{self.entries[volume].name}#{z} {about}\n".encode())
        return digest.hexdigest()[:16]

    @property
    def class_indices(self) -> np.ndarray:
        """Class of each slice, (N,) int64, -1 where the item has none."""
        return np.array([self.data[volume].get("class_index", -1) for volume, _ in self.index])

    @property
    def is_synthetic(self) -> np.ndarray:
        """Whether a generator made each slice, (N,) bool."""
        return np.array([bool(self.data[volume].get("synthetic")) for volume, _ in self.index])

    @property
    def has_lesion(self) -> np.ndarray:
        """Whether a lesion, of whatever label and size, is in each slice, (N,) bool."""
        cache = VolumeCache(self.cache_dir, self.preprocessing)
        masks = _find_kept(cache, self.entries, LesionRule())
        return np.array([bool(masks[volume][z]) for volume, z in self.index])

    @property
    def labels_inside(self) -> list[np.ndarray]:
        """The labels above 0 of each slice, each once, rising."""
        labels = (np.unique(_row(f"{self.entries[volume]}/label.npy", z)) for volume, z in self.index)
        return [inside[inside > 0].astype(np.int64) for inside in labels]


def check_classes(dataset: SliceDataset, class_count: int) -> SliceDataset:
    """The data set itself, once every slice is known to have a class in 0..class_count-1 (class_count 0: none needed).

    Raises:
        DatasetError: an item without class, or a class out of range.
    """
    indices = dataset.class_indices
    wrong = np.flatnonzero((indices < 0) | (indices >= class_count))
    if class_count and len(wrong):
        item = dataset.data[dataset.index[wrong[0]][0]]
        raise DatasetError(
            f"{item['image']} has class {item.get('class')!r}, expected one of {class_count} classes. Give each "
            "training item a 'class' of 'classes' in dataset.json, or use the overlay without classes."
        )
    return dataset


def _prepare(cache: VolumeCache, items: Sequence[Item]) -> list[Path]:
    """Cache entries of all items, with one torch thread: images are small, and starting threads costs more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        progress = tqdm(items, desc="Preparing slices", unit="file", disable=len(items) < 50, delay=2, mininterval=2)
        return [cache.entry(item) for item in progress]
    finally:
        torch.set_num_threads(threads)
        cache.index.write()


def _find_kept(cache: VolumeCache, entries: Sequence[Path], rule: SliceRule | None) -> list[np.ndarray]:
    """For each entry the mask (Z,) of the slices to use; remembered in the cache's index."""
    name = "" if rule is None else hashlib.sha256(json.dumps(describe(rule)).encode()).hexdigest()[:16]
    masks = []
    for entry in entries:
        kept = cache.index.kept_slices(entry.name, name)
        if kept is None:
            x, y = (slice(*ends) for ends in np.load(entry / "unpadded.npy"))
            label = np.load(entry / "label.npy", mmap_mode="r")[:, x, y]
            image = np.load(entry / "image.npy", mmap_mode="r")[:, :, x, y]
            kept = np.ones(len(label), dtype=bool) if rule is None else np.asarray(rule(image, label), dtype=bool)
            cache.index.remember_slices(entry.name, name, kept)
        masks.append(kept)
    cache.index.write()
    return masks


def _row(file: str, z: int) -> np.ndarray:
    shape, dtype, start = _find_rows(file)
    count = math.prod(shape)
    return np.fromfile(file, dtype, count, offset=start + z * count * dtype.itemsize).reshape(shape)


@lru_cache(maxsize=2**16)
def _find_rows(file: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Shape and type of an array's rows, and at which byte they begin; an entry's files never change."""
    array = np.load(file, mmap_mode="r")
    return array.shape[1:], array.dtype, array.offset
