"""Volumes with label maps, beside real ones if asked for: the Decathlon's form and nnU-Net's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from scripts.data.contract import (
    SPLITS,
    Dataset,
    DatasetError,
    Item,
    read_dataset,
    source_patient,
    write_dataset,
    write_json,
)
from scripts.data.splits import check_synthetic_sources, check_trained_on, held_out_patients, select_items
from scripts.exports.entries import NOTICE, Entry, Picture, Selection, check_same_names, name_entries, show_progress

INTENSITIES = "float32: the generator's values in [-1, 1]; real images beside them were brought to the same scale"
RealImages = dict[str, list[Entry]]  # real images with label maps, by split


@dataclass(frozen=True)
class Folds:
    """Real images to train on or validate, those never trained on, and the content of `splits_final.json`."""

    training: list[Entry]
    test: list[Entry]
    splits: list[dict[str, list[str]]]


def split_real(folder: str, selection: Selection, *, fold: int | None = None) -> RealImages:
    """Real images, split as one fold or the file's lists see them, for which nothing in the synthetic sets leaks.

    `fold` is that of the generator's training; None for the lists of the file.

    Raises:
        DatasetError: other channels, labels or classes, an unknown fold, no training image, or a synthetic set whose
            generator learned from a held-out patient or does not say from whom.
    """
    dataset = _open_real(folder, selection)
    for synthetic in selection.sets:
        _check_leaks(synthetic, dataset, fold)
    held_out = held_out_patients(dataset, fold)
    training = select_items(dataset, "training", fold)
    names = {id(entry.item): entry for entry in name_entries(dataset.items, dataset)}
    splits: RealImages = {split: [] for split in SPLITS}
    splits["training"] = [names[id(item)] for item in training]
    for item in dataset.items:
        if item["label"] and item["patient"] in held_out:
            splits[held_out[item["patient"]]].append(names[id(item)])
    return splits


def plan_folds(folder: str, selection: Selection) -> Folds:
    """Folds of real and synthetic images for nnU-Net.

    Where the real items have folds, nnU-Net's fold k validates those of fold k and trains on the other real images;
    items without a fold are its test images. Else there is one fold: the file's training and validation lists.
    A synthetic set trains in fold k only if this bundle would train on it with `--fold k`, so its generator learned
    from no patient of fold k (validated here) or k + 1 (which may have chosen when to stop it).

    Raises:
        DatasetError: whatever `split_real` refuses, a patient in two folds, or a set that fits no fold.
    """
    dataset = _open_real(folder, selection)
    entries = [entry for entry in name_entries(dataset.items, dataset) if entry.item["label"]]
    training = [entry for entry in entries if entry.item.get("fold") is not None]
    folds = sorted({entry.item["fold"] for entry in training})
    if not folds:
        real = split_real(folder, selection)
        train = [entry.name for entry in (*real["training"], *selection.entries)]
        validated = [entry.name for entry in real["validation"]]
        return Folds(real["training"] + real["validation"], real["test"], [{"train": train, "val": validated}])
    homes: dict[str, Any] = {}
    for entry in entries:
        patient, fold = entry.item["patient"], entry.item.get("fold")
        if homes.setdefault(patient, fold) != fold:
            raise DatasetError(f"{dataset.root}: patient {patient!r} is in two folds. Prepare the data set again.")
    fitting = {fold: _fitting_entries(selection, dataset, fold) for fold in folds}
    _check_all_fit(selection, dataset, fitting)
    splits = []
    for fold in folds:
        others = [entry.name for entry in training if entry.item["fold"] != fold]
        validated = [entry.name for entry in training if entry.item["fold"] == fold]
        splits.append({"train": [*others, *(entry.name for entry in fitting[fold])], "val": validated})
    test = [entry for entry in entries if entry.item.get("fold") is None]
    for entry in test:
        if entry.item["patient"] in selection.trained_on:
            raise DatasetError(
                f"{dataset.root}: patient {entry.item['patient']!r} has no fold and would be tested on, but "
                "a generator was trained on this patient. Train it with --fold, or leave --real out."
            )
    return Folds(training, test, splits)


def write_decathlon(folder: Path, selection: Selection, *, real: RealImages | None = None) -> None:
    """Writes `imagesTr`, `labelsTr` and `dataset.json` into an empty folder; synthetic images are for training.

    Images are (X, Y, Z) or, of several channels, (X, Y, Z, C), float32. Test images of `real`, which is split as one
    fold sees it, lie in `imagesTs` and `labelsTs`.
    """
    grids = Grids()
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    split_of = {} if real is None else {entry.name: split for split in SPLITS for entry in real[split]}
    listed = [] if real is None else [entry for split in SPLITS for entry in real[split]]
    for entry in show_progress([*listed, *selection.entries]):
        split = split_of.get(entry.name, "training")
        part = "Ts" if split == "test" else "Tr"
        files = {key: folder / f"{key}s{part}" / f"{entry.name}.nii.gz" for key in ("image", "label")}
        for file in files.values():
            file.parent.mkdir(exist_ok=True)
        picture = entry.read()
        affine = grids.place(entry, picture)
        image = np.moveaxis(picture.image, 0, -1)  # (X, Y, Z, C)
        _write_nifti(files["image"], image[..., 0] if image.shape[-1] == 1 else image, affine, entry)
        _write_nifti(files["label"], picture.label, affine, entry)
        about = {key: entry.item[key] for key in ("patient", "class")}
        if entry.item.get("synthetic"):
            about["synthetic"] = {key: value for key, value in entry.provenance.items() if key not in about}
        splits[split].append({**{key: str(file) for key, file in files.items()}, **about})
    described = selection.description
    dataset = replace(
        described,
        name=f"{described.name.removesuffix(', synthetic')}, {'' if real is None else 'real and '}synthetic",
        splits=splits,
        trained_on=selection.trained_on,
        intensity_range=[-1.0, 1.0],
        label_values={},
    )
    extra = {
        "description": NOTICE if real is None else f"Real images, and some that are marked 'synthetic'. {NOTICE}",
        "tensorImageSize": "3D" if described.channel_count == 1 else "4D",
        "numTraining": len(splits["training"]),
        "numTest": len(splits["test"]),
    }
    write_dataset(folder, dataset, **extra)
    write_json(folder / "synthetic.json", selection.summary(INTENSITIES))


def write_nnunet(folder: Path, selection: Selection, *, dataset_id: int, folds: Folds | None = None) -> None:
    """Writes into an empty folder `nnUNet_raw/DatasetNNN_name`, and the folds there and in `nnUNet_preprocessed`.

    One file per channel, `imagesTr/<case>_0000.nii.gz` (X, Y, Z) float32, and label maps `labelsTr/<case>.nii.gz`.
    Without `folds` there are no real images, and nnU-Net has nobody to validate on. `dataset_id` is 1 to 999.
    """
    described = selection.description
    name = f"{described.name.removesuffix(', synthetic')} {'' if folds is None else 'real and '}synthetic"
    case_folder = f"Dataset{dataset_id:03d}_{re.sub('[^0-9a-zA-Z]+', '_', name).strip('_')}"
    raw = folder / "nnUNet_raw" / case_folder
    training = [*([] if folds is None else folds.training), *selection.entries]
    test = [] if folds is None else folds.test
    grids, trained = Grids(), {entry.name for entry in training}
    for entry in show_progress([*test, *training]):
        part = "Tr" if entry.name in trained else "Ts"
        for kind in ("images", "labels"):
            (raw / f"{kind}{part}").mkdir(parents=True, exist_ok=True)
        picture = entry.read()
        affine = grids.place(entry, picture)
        for number, channel in enumerate(picture.image):
            _write_nifti(raw / f"images{part}" / f"{entry.name}_{number:04d}.nii.gz", channel, affine, entry)
        _write_nifti(raw / f"labels{part}" / f"{entry.name}.nii.gz", picture.label, affine, entry)
    labels = ["background", *described.labels[1:]]  # nnU-Net refuses another name for 0
    content = {
        "name": name,
        "description": f"Cases whose names begin with synthetic_ are: {NOTICE}",
        "channel_names": {str(n): channel for n, channel in enumerate(described.modality)},
        "labels": {label: n for n, label in enumerate(labels)},
        "numTraining": len(training),
        "file_ending": ".nii.gz",
        "trained_on": selection.trained_on,
    }
    write_json(raw / "dataset.json", content)
    write_json(raw / "synthetic.json", selection.summary(INTENSITIES))
    if folds is not None:
        for root in ("nnUNet_raw", "nnUNet_preprocessed"):
            write_json(folder / root / case_folder / "splits_final.json", folds.splits)


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


def _write_nifti(file: Path, array: np.ndarray | None, affine: np.ndarray, entry: Entry) -> None:
    """Writes (X, Y, Z[, C]) as it is, a synthetic one marked in the header's field `descrip`."""
    assert array is not None, "the caller chose images with label maps"
    volume = nib.Nifti1Image(array, affine)
    volume.header.set_xyzt_units("mm")
    volume.header["descrip"] = entry.mark if entry.item.get("synthetic") else ""
    nib.save(volume, file)


def _open_real(folder: str, selection: Selection) -> Dataset:
    dataset = read_dataset(str(folder))
    if any(item.get("synthetic") for item in dataset.items):
        raise DatasetError(f"{dataset.root} has synthetic images, expected real ones. Name real ones with --real.")
    check_same_names(selection.description, dataset)
    return dataset


def _check_leaks(synthetic: Dataset, real: Dataset, fold: int | None) -> None:
    """Raises DatasetError for a synthetic set that owes something to a held-out patient, or says nothing of that."""
    check_trained_on(synthetic.trained_on, synthetic.root, real, fold)
    check_synthetic_sources(synthetic.items, real, fold)


def _fitting_entries(selection: Selection, dataset: Dataset, fold: int) -> list[Entry]:
    """Synthetic images that may train in a fold."""
    fitting = []
    for synthetic in selection.sets:
        try:
            _check_leaks(synthetic, dataset, fold)
        except DatasetError:  # for this fold only; `_check_all_fit` sees to those that fit none
            continue
        fitting += [entry for entry in selection.entries if entry.dataset is synthetic]
    return fitting


def _check_all_fit(selection: Selection, dataset: Dataset, fitting: Mapping[int, list[Entry]]) -> None:
    used = {id(entry.dataset) for entries in fitting.values() for entry in entries}
    for synthetic in selection.sets:
        if id(synthetic) in used:
            continue
        if synthetic.trained_on:
            raise DatasetError(
                f"{synthetic.root}: its generator was trained on patients that every fold of {dataset.root} holds out, "
                "so no fold could be validated honestly with it. Train a generator with --fold, or leave --real out."
            )
        _check_leaks(synthetic, dataset, min(fitting))  # says that nobody knows whom it was trained on
