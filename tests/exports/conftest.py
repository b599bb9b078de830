"""Small synthetic sets with masks or boxes, and the real data set that they were made from."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scripts.data.contract import Dataset, write_dataset
from tests.exports.sets import BOXES, NAMES, X, Y, provenance, write_set


@pytest.fixture
def masked(tmp_path: Path) -> Path:
    """Three images of two channels, from patients p3 and p4; its generator knows p3, p4 and p5: fold 0 of 5."""
    items = [{"class": "A", "synthetic": provenance(n, f"p{3 + n % 2}")} for n in range(3)]
    return write_set(tmp_path / "masked", items, trained_on=["p3", "p4", "p5"], channels=2)


@pytest.fixture
def boxed(tmp_path: Path) -> Path:
    """Two images of one channel: one with two boxes, one without."""
    items = [{"boxes": BOXES, "box_classes": [0, 1]}, {"boxes": [], "box_classes": []}]
    items = [{"class": None, "synthetic": provenance(n, "p3"), **item} for n, item in enumerate(items)]
    return write_set(tmp_path / "boxed", items, trained_on=["p3"], channels=1)


@pytest.fixture
def real(tmp_path: Path) -> Path:
    """Volumes of patients p1 .. p5 in folds 0 .. 4, twice as fine as the synthetic images; `u` has no label map."""
    folder = tmp_path / "real"
    folder.mkdir()
    affine = np.diag([-0.5, -0.6, 3.0, 1.0])
    items = []
    for n in range(6):
        patient = "u" if n == 5 else f"p{n + 1}"
        image = np.arange(2 * X * 2 * Y * 3 * 2, dtype=np.float32).reshape(2 * X, 2 * Y, 3, 2)
        files = {key: str(folder / f"{patient}_{key}.nii.gz") for key in ("image", "label")}
        nib.save(nib.Nifti1Image(image, affine), files["image"])
        label = np.zeros((2 * X, 2 * Y, 3), np.uint8)
        label[3:6, 4:9, 1] = 1
        nib.save(nib.Nifti1Image(label, affine), files["label"])
        item = {**files, "patient": patient, "class": "A", "fold": n}
        items.append({"image": files["image"], "patient": "u", "class": None} if n == 5 else item)
    splits = {"test": [items[0], items[5]], "validation": [items[1]], "training": items[2:5]}
    write_dataset(folder, Dataset(folder, "brains", **NAMES, splits=splits))
    return folder
