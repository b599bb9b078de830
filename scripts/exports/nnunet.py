"""nnU-Net v2's raw form, with folds that keep synthetic images away from the patients that their generator knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, DatasetError, write_json
from scripts.exports.entries import NOTICE, Entry, Selection, name_entries, show_progress
from scripts.exports.files import write_nifti
from scripts.exports.real import Grids, check_leaks, open_real, split_real

ENDING = ".nii.gz"
INTENSITIES = "float32: the generator's values in [-1, 1]; real images beside them were brought to the same scale"


@dataclass(frozen=True)
class Folds:
    """Real images to train on or validate, those never trained on, and the content of `splits_final.json`."""

    training: list[Entry]
    test: list[Entry]
    splits: list[dict[str, list[str]]]


def plan_folds(folder: str, selection: Selection) -> Folds:
    """Folds of real and synthetic images for nnU-Net.

    Where the real items have folds, nnU-Net's fold k validates those of fold k and trains on the other real images;
    items without a fold are its test images. Else there is one fold: the file's training and validation lists.
    A synthetic set trains in fold k only if this bundle would train on it with `--fold k`, so its generator learned
    from no patient of fold k (validated here) or k + 1 (which may have chosen when to stop it).

    Args:
        folder: of the real data set.
        selection: synthetic sets with its channels, labels and classes.

    Raises:
        DatasetError: whatever `split_real` refuses, a patient in two folds, or a set that fits no fold.
    """
    dataset = open_real(folder, selection)
    entries = [entry for entry in name_entries(dataset.items, dataset) if entry.item["label"]]
    folds = sorted({entry.item["fold"] for entry in entries if entry.item.get("fold") is not None})
    if not folds:
        real = split_real(folder, selection)
        lists = {split: [entry.name for entry in real.splits[split]] for split in ("training", "validation")}
        train = lists["training"] + [entry.name for entry in selection.entries]
        kept = real.splits["training"] + real.splits["validation"]
        return Folds(kept, real.splits["test"], [{"train": train, "val": lists["validation"]}])
    homes: dict[str, Any] = {}
    for entry in entries:
        patient, fold = entry.item["patient"], entry.item.get("fold")
        if homes.setdefault(patient, fold) != fold:
            raise DatasetError(f"{dataset.root}: patient {patient!r} is in two folds. Prepare the data set again.")
    fitting = {fold: _fitting_entries(selection, dataset, fold) for fold in folds}
    _check_all_fit(selection, dataset, fitting)
    training = [entry for entry in entries if entry.item.get("fold") is not None]
    splits = []
    for fold in folds:
        others = [entry.name for entry in training if entry.item["fold"] != fold]
        validated = [entry.name for entry in training if entry.item["fold"] == fold]
        splits.append({"train": [*others, *(entry.name for entry in fitting[fold])], "val": validated})
    test = [entry for entry in entries if entry.item.get("fold") is None]
    _check_test_unknown(selection, dataset, test)
    return Folds(training, test, splits)


def write_nnunet(folder: Path, selection: Selection, *, dataset_id: int, folds: Folds | None = None) -> None:
    """Writes `nnUNet_raw/DatasetNNN_name` and, with real images, the folds there and in `nnUNet_preprocessed`.

    One file per channel, `imagesTr/<case>_0000.nii.gz` (X, Y, Z) float32, and label maps `labelsTr/<case>.nii.gz`.

    Args:
        folder: exists and is empty.
        selection: with label maps.
        dataset_id: 1 to 999.
        folds: None where there are no real images; nnU-Net has nobody to validate on then.
    """
    described = selection.description
    real_and = "" if folds is None else "real and "
    name = f"{described.name.removesuffix(', synthetic')} {real_and}synthetic"
    case_folder = f"Dataset{dataset_id:03d}_{re.sub('[^0-9a-zA-Z]+', '_', name).strip('_')}"
    raw = folder / "nnUNet_raw" / case_folder
    training = [*([] if folds is None else folds.training), *selection.entries]
    test = [] if folds is None else folds.test
    parts = {entry.name: "Tr" for entry in training} | {entry.name: "Ts" for entry in test}
    for part in sorted(set(parts.values())):
        for kind in ("images", "labels"):
            (raw / f"{kind}{part}").mkdir(parents=True)
    grids = Grids()
    listed = [*test, *training]
    for entry in show_progress(listed, len(listed)):
        _write_case(raw, entry, parts[entry.name], grids)
    write_json(raw / "dataset.json", _describe(described, name, len(training), selection))
    write_json(raw / "synthetic.json", selection.summary(INTENSITIES))
    if folds is not None:
        for root in ("nnUNet_raw", "nnUNet_preprocessed"):
            write_json(folder / root / case_folder / "splits_final.json", folds.splits)


def _write_case(raw: Path, entry: Entry, part: str, grids: Grids) -> None:
    picture = entry.read()
    affine = grids.place(entry, picture)
    mark = entry.mark if entry.item.get("synthetic") else ""
    for number, channel in enumerate(picture.image):
        write_nifti(raw / f"images{part}" / f"{entry.name}_{number:04d}{ENDING}", channel, affine, mark)
    assert picture.label is not None, "the caller chose images with label maps"
    write_nifti(raw / f"labels{part}" / f"{entry.name}{ENDING}", picture.label, affine, mark)


def _describe(described: Dataset, name: str, count: int, selection: Selection) -> dict[str, Any]:
    labels = ["background", *described.labels[1:]]  # nnU-Net refuses another name for 0
    return {
        "name": name,
        "description": f"Cases whose names begin with synthetic_ are: {NOTICE}",
        "channel_names": {str(n): channel for n, channel in enumerate(described.modality)},
        "labels": {label: n for n, label in enumerate(labels)},
        "numTraining": count,
        "file_ending": ENDING,
        "trained_on": selection.trained_on,
    }


def _fitting_entries(selection: Selection, dataset: Dataset, fold: int) -> list[Entry]:
    """Synthetic images that may train in a fold."""
    fitting = []
    for synthetic in selection.sets:
        try:
            check_leaks(synthetic, dataset, fold)
        except DatasetError:  # for this fold only; `_check_all_fit` sees to those that fit none
            continue
        fitting += [entry for entry in selection.entries if entry.dataset is synthetic]
    return fitting


def _check_test_unknown(selection: Selection, dataset: Dataset, test: list[Entry]) -> None:
    for entry in test:
        if entry.item["patient"] in selection.trained_on:
            raise DatasetError(
                f"{dataset.root}: patient {entry.item['patient']!r} has no fold and would be tested on, but "
                "a generator was trained on this patient. Train it with --fold, or leave --real out."
            )


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
        check_leaks(synthetic, dataset, min(fitting))  # says that nobody knows whom it was trained on
