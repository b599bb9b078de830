"""Synthetic sets of several candidate generators, and their images beside real ones for a classifier of the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from scripts.data.contract import DatasetError, Item, source_patient
from scripts.data.slices import SliceDataset
from scripts.data.splits import assign_folds
from scripts.data.training import training_items

PARTS = 2  # halves of the patients for cross-fitting


def candidate_items(
    candidates_dir: str | Path,
    dataset_dir: str | Path,
    *,
    fold: int | None = None,
    patient_fraction: float = 1.0,
    fraction_seed: int = 0,
) -> dict[str, list[Item]]:
    """Items of each candidate's synthetic set, by the name of its folder in `candidates_dir`.

    Args:
        candidates_dir: a folder per candidate, each a synthetic set.
        dataset_dir: the real data set.
        fold, patient_fraction, fraction_seed: of `training_items`, as the generator was trained with.

    Raises:
        DatasetError: no folder with a dataset.json, or what `training_items` refuses.
    """
    folders = sorted(file.parent for file in Path(candidates_dir).glob("*/dataset.json"))
    taken = [folder for folder in folders if folder.name in ("training", "held_out")]
    if taken:
        raise DatasetError(f"{taken[0]}: the name stands for real images. Give the candidate's folder another one.")
    if not folders:
        raise DatasetError(
            f"{candidates_dir} has no folder with a dataset.json. Synthesise there with configs/lcgan_inference.json, "
            "--output_dir being one folder per candidate."
        )
    return {
        folder.name: training_items(
            dataset_dir,
            fold=fold,
            synthetic_dir=folder,
            use_real=False,
            patient_fraction=patient_fraction,
            fraction_seed=fraction_seed,
        )
        for folder in folders
    }


def candidate_slices(
    candidates: Mapping[str, list[Item]],
    preprocessing: Callable[[Item], Mapping[str, Any]],
    cache_dir: str | Path,
) -> dict[str, SliceDataset]:
    """Slices of each candidate's images, see `SliceDataset`."""
    return {name: SliceDataset(items, preprocessing, cache_dir) for name, items in candidates.items()}


def patient_parts(
    dataset_dir: str | Path, *, fold: int | None = None, patient_fraction: float = 1.0, fraction_seed: int = 0
) -> dict[str, int]:
    """Training patients in two parts, 0 and 1: a classifier is trained on one and asked about the other.

    A function of the data and the arguments only (those of `training_items`), so that training and scoring agree.

    Raises:
        DatasetError: a single patient.
    """
    items = training_items(dataset_dir, fold=fold, patient_fraction=patient_fraction, fraction_seed=fraction_seed)
    if len({item["patient"] for item in items}) < PARTS:
        raise DatasetError(
            f"{dataset_dir}: one training patient cannot be parted, so no classifier can be judged on patients that it "
            "was not trained on. Use a larger patient_fraction, or select without the classifier (classifier_files [])."
        )
    return {item["patient"]: item["fold"] for item in assign_folds(items, folds=PARTS)}


def authenticity_items(
    dataset_dir: str | Path,
    candidates_dir: str | Path,
    *,
    part: int,
    held_out: bool,
    fold: int | None = None,
    patient_fraction: float = 1.0,
    fraction_seed: int = 0,
) -> list[Item]:
    """Real images and all candidates' images of one part's patients.

    Args:
        dataset_dir: the real data set.
        candidates_dir: see `candidate_items`.
        part: 0 or 1, the part that is held out of the training.
        held_out: True for the images of that part, False for those of the other.
        fold, patient_fraction, fraction_seed: of `training_items`, as the generator was trained with.
    """
    if part not in range(PARTS):
        raise DatasetError(f"part is {part}, expected 0 or 1.")
    options: dict[str, Any] = {"fold": fold, "patient_fraction": patient_fraction, "fraction_seed": fraction_seed}
    home = patient_parts(dataset_dir, **options)
    items = training_items(dataset_dir, **options)
    for made in candidate_items(candidates_dir, dataset_dir, **options).values():
        items += made
    return [item for item in items if (home[source_patient(item)] == part) is held_out]


class RealOrSynthetic(Dataset):
    """Slices for a classifier: `image` (C, S, S), `label` (1,) float32, 1 for real and 0 for synthetic, and `patient`.

    Args:
        slices: real and synthetic slices.
    """

    def __init__(self, slices: SliceDataset) -> None:
        self.slices = slices

    def __len__(self) -> int:
        return len(self.slices)

    def __getitem__(self, position: int) -> dict[str, Any]:
        element = self.slices[position]
        return {"image": element["image"], "label": torch.tensor([self._real(position)]), "patient": element["patient"]}

    def set_epoch(self, epoch: int) -> None:
        self.slices.set_epoch(epoch)

    @property
    def patients(self) -> list[str]:
        """Whom the slices, or the masks of synthetic ones, come from."""
        return self.slices.patients

    @property
    def known_patients(self) -> list[str]:
        """See `SliceDataset.known_patients`."""
        return self.slices.known_patients

    @property
    def fingerprint(self) -> str:
        """See `SliceDataset.fingerprint`."""
        return self.slices.fingerprint

    @property
    def class_indices(self) -> np.ndarray:
        """1 for each real slice, 0 for each synthetic one, (N,)."""
        return np.array([int(self._real(position)) for position in range(len(self))])

    def _real(self, position: int) -> float:
        volume, _ = self.slices.index[position]
        return float(not self.slices.data[volume].get("synthetic"))
