"""How the synthetic sets of these tests are made and read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from scripts.data.contract import Dataset, write_dataset
from scripts.handlers.synthetic_writer import LPS_IDENTITY

X, Y = 12, 10
NAMES: dict[str, Any] = {"modality": ["FLAIR", "T1"], "labels": ["background", "core", "rim"], "classes": ["A", "B"]}
BOXES = [[1, 2, 4, 8], [6, 0, 12, 3]]


def provenance(n: int, patient: str) -> dict[str, Any]:
    known = {"system": "redgan", "seed": 3, "generator": "generator.pt", "generator_sha256": "ab" * 32}
    return {**known, "asked_class": "A", "source": f"/secret/{patient}.nii.gz#{n}", "source_patient": patient}


def make_label() -> np.ndarray:
    """(X, Y): a lesion of 6 core and 2 rim pixels, one of 3 rim pixels that touch at corners."""
    label = np.zeros((X, Y), np.uint8)
    label[1:4, 2:4] = 1
    label[4, 2:4] = 2
    label[[8, 9, 10], [5, 6, 7]] = 2
    return label


def write_set(folder: Path, items: list[dict[str, Any]], *, trained_on: list[str], channels: int) -> Path:
    """Writes what `SyntheticSetWriter` writes, with images of noise over the whole range."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for n, item in enumerate(items):
        image = rng.uniform(-1, 1, (X, Y, 1, channels)).astype(np.float32)
        image[0, 0], image[-1, -1] = -1, 1
        item["image"] = str(folder / "images" / f"{n:06d}_A.nii.gz")
        nib.save(nib.Nifti1Image(image, LPS_IDENTITY), item["image"])
        if "boxes" not in item:
            item["label"] = str(folder / "labels" / f"{n:06d}_A.nii.gz")
            nib.save(nib.Nifti1Image(make_label()[..., None], LPS_IDENTITY), item["label"])
        item["patient"] = f"synthetic-{n:06d}_A"
    names = {**NAMES, "modality": NAMES["modality"][:channels]}
    dataset = Dataset(folder, "brains, synthetic", **names, splits={"training": items}, trained_on=trained_on)
    write_dataset(folder, dataset)
    return folder


def images_of(folder: Path) -> dict[str, np.ndarray]:
    """The images of a written set (C, X, Y) by the name that exports give them, read with nibabel."""
    files = sorted((folder / "images").glob("*.nii.gz"))
    return {
        f"synthetic_{file.name[:-7]}": np.moveaxis(np.asarray(nib.load(file).dataobj, np.float32)[:, :, 0], -1, 0)
        for file in files
    }
