"""The Medical Segmentation Decathlon's form: `imagesTr`, `labelsTr`, `dataset.json`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from scripts.data.contract import SPLITS, Item, write_dataset, write_json
from scripts.exports.entries import NOTICE, Entry, Selection, show_progress
from scripts.exports.files import write_nifti
from scripts.exports.real import Grids, RealImages

INTENSITIES = "float32: the generator's values in [-1, 1]; real images beside them were brought to the same scale"


def write_decathlon(folder: Path, selection: Selection, *, real: RealImages | None = None) -> None:
    """Writes images (X, Y, Z) or, of several channels, (X, Y, Z, C), and label maps; synthetic ones are for training.

    Args:
        folder: exists and is empty.
        selection: with label maps.
        real: split as one fold sees them; their test images lie in `imagesTs` and `labelsTs`.
    """
    grids = Grids()
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    listed = [] if real is None else [(split, entry) for split in SPLITS for entry in real.splits[split]]
    listed += [("training", entry) for entry in selection.entries]
    split_of = {entry.name: split for split, entry in listed}
    for entry in show_progress((entry for _, entry in listed), len(listed)):
        split = split_of[entry.name]
        splits[split].append(_write(folder, entry, "Ts" if split == "test" else "Tr", grids))
    real_and = "" if real is None else "real and "
    dataset = replace(
        selection.description,
        name=f"{selection.description.name.removesuffix(', synthetic')}, {real_and}synthetic",
        splits=splits,
        trained_on=selection.trained_on,
        intensity_range=[-1.0, 1.0],
        label_values={},
    )
    counts = {"numTraining": len(splits["training"]), "numTest": len(splits["test"])}
    about = NOTICE if real is None else f"Real images, and some that are marked 'synthetic'. {NOTICE}"
    write_dataset(
        folder, dataset, description=about, tensorImageSize="3D" if len(dataset.modality) == 1 else "4D", **counts
    )
    write_json(folder / "synthetic.json", selection.summary(INTENSITIES))


def _write(folder: Path, entry: Entry, suffix: str, grids: Grids) -> Item:
    picture = entry.read()
    synthetic = bool(entry.item.get("synthetic"))
    affine = grids.place(entry, picture)
    mark = entry.mark if synthetic else ""
    files = {key: folder / f"{key}s{suffix}" / f"{entry.name}.nii.gz" for key in ("image", "label")}
    for file in files.values():
        file.parent.mkdir(exist_ok=True)
    image = np.moveaxis(picture.image, 0, -1)  # (X, Y, Z, C)
    write_nifti(files["image"], image[..., 0] if image.shape[-1] == 1 else image, affine, mark)
    assert picture.label is not None, "the caller chose images with label maps"
    write_nifti(files["label"], picture.label, affine, mark)
    written = {key: str(file) for key, file in files.items()}
    if not synthetic:
        return {**written, "patient": entry.item["patient"], "class": entry.item["class"]}
    known = entry.provenance
    patient, name = known.pop("patient"), known.pop("class")
    return {**written, "patient": patient, "class": name, "synthetic": known}
