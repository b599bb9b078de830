"""Real images beside synthetic ones: which of these may train where, and how large their pixels are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scripts.data.contract import SPLITS, Dataset, DatasetError, read_dataset, source_patient
from scripts.data.splits import check_synthetic_sources, check_trained_on, held_out_patients, select_items
from scripts.exports.entries import Entry, Picture, Selection, check_same_names, name_entries


@dataclass(frozen=True)
class RealImages:
    """Real images with label maps, by split, as one fold or the file's lists see them."""

    dataset: Dataset
    splits: dict[str, list[Entry]]


def split_real(folder: str, selection: Selection, *, fold: int | None = None) -> RealImages:
    """Real images for which nothing in the synthetic sets leaks.

    Args:
        folder: of the real data set.
        selection: synthetic sets with the same channels, labels and classes.
        fold: of the cross-validation, as in the generator's training; None for the lists of the file.

    Raises:
        DatasetError: different names, an unknown fold, no training image, or a synthetic set whose generator learned
            from a held-out patient or does not say from whom.
    """
    dataset = open_real(folder, selection)
    for synthetic in selection.sets:
        check_leaks(synthetic, dataset, fold)
    held_out = held_out_patients(dataset, fold)
    training = select_items(dataset, "training", fold)
    names = {id(entry.item): entry for entry in name_entries(dataset.items, dataset)}
    splits: dict[str, list[Entry]] = {split: [] for split in SPLITS}
    splits["training"] = [names[id(item)] for item in training]
    for item in dataset.items:
        if item["label"] and item["patient"] in held_out:
            splits[held_out[item["patient"]]].append(names[id(item)])
    return RealImages(dataset, splits)


def open_real(folder: str, selection: Selection) -> Dataset:
    """The real data set that synthetic sets are exported with.

    Raises:
        DatasetError: it is synthetic itself, or names other channels, labels or classes.
    """
    dataset = read_dataset(str(folder))
    if any(item.get("synthetic") for item in dataset.items):
        raise DatasetError(
            f"{dataset.root} has synthetic images, expected real ones. Name the real data set by --real."
        )
    check_same_names(selection.description, dataset)
    return dataset


def check_leaks(synthetic: Dataset, real: Dataset, fold: int | None) -> None:
    """Raises DatasetError for a synthetic set that owes something to a held-out patient, or says nothing of that."""
    check_trained_on(synthetic.trained_on, synthetic.root, real, fold)
    check_synthetic_sources(synthetic.items, real, fold)


class Grids:
    """How large the pixels are: of real images as their files say, of synthetic ones as those that they were made like.

    A generator sees slices shrunk to squares, see `FitInPlaned`; its images cover as much of the patient with fewer
    pixels, which therefore are larger. Without real images beside them they keep the 1 mm of their files.
    """

    def __init__(self) -> None:
        self._seen: dict[str, np.ndarray] = {}  # patient -> mm per pixel of x, y, z, and pixels of the longer side

    def place(self, entry: Entry, picture: Picture) -> np.ndarray:
        """The affine (4, 4) to write an image with; real images must come before synthetic ones."""
        if not entry.item.get("synthetic"):
            spacing = np.linalg.norm(picture.affine[:3, :3], axis=0)
            self._seen[entry.item["patient"]] = np.array([*spacing, max(picture.image.shape[1:3])])
            return picture.affine
        if not self._seen:
            return picture.affine
        known = self._seen.get(source_patient(entry.item))
        if known is None:
            known = np.median(list(self._seen.values()), axis=0)
        spacing = known[:3].copy()
        spacing[:2] *= max(1.0, known[3] / max(picture.image.shape[1:3]))
        spacing[2] = spacing.max()  # nnU-Net cuts slices across the axis with the largest pixels
        return np.diag([-spacing[0], -spacing[1], spacing[2], 1.0])
