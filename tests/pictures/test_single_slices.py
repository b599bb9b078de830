from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from scripts.data.contract import Dataset
from scripts.pictures.single_slices import Slice, load_slice


def dataset(folder: Path, **options: Any) -> Dataset:
    return Dataset(folder, "d", ["T1"], ["background", "tumour"], **options)


def plain(image: np.ndarray, label: np.ndarray, boxes: np.ndarray | None = None) -> Slice:
    return Slice(MetaTensor(torch.tensor(image)), MetaTensor(torch.tensor(label)), boxes)


def test_of_a_volume_the_slice_with_most_lesion(tmp_path: Path) -> None:
    image, label = np.zeros((8, 8, 3), np.float32), np.zeros((8, 8, 3), np.uint8)
    image[..., 1], image[..., 2] = 1, 2  # 0, 1, 2 become -1, 0, 1
    label[2:4, 2:4, 0], label[2:6, 2:5, 1], label[7, 7, 2] = 1, 1, 1
    for name, array in (("image", image), ("label", label)):
        nib.save(nib.Nifti1Image(array, np.diag([-1, -1, 1, 1])), tmp_path / f"{name}.nii")
    item = {"image": str(tmp_path / "image.nii"), "label": str(tmp_path / "label.nii")}
    shown = load_slice(dataset(tmp_path), item).fit(8)
    np.testing.assert_allclose(shown.image, np.zeros((1, 8, 8)), atol=1e-6)
    np.testing.assert_array_equal(shown.label[0], label[..., 1])
    assert load_slice(dataset(tmp_path), item, 2).label.sum() == 1  # the slice that is asked for


def test_an_item_with_boxes_needs_no_label(tmp_path: Path) -> None:
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(tmp_path / "a.png")
    item = {"image": str(tmp_path / "a.png"), "label": None, "boxes": [[1, 2, 3, 6]]}
    view = load_slice(dataset(tmp_path, intensity_range=[0, 63]), item)
    assert view.has_lesion
    assert view.side == 8
    assert view.find_boxes().tolist() == [[1, 2, 3, 6]]
    assert not load_slice(dataset(tmp_path), {**item, "boxes": []}).has_lesion


def test_an_image_stored_as_one_slice_keeps_its_boxes(tmp_path: Path) -> None:
    image = np.zeros((8, 8, 1, 1), np.float32)  # as synthetic images are written
    nib.save(nib.Nifti1Image(image, np.diag([-1, -1, 1, 1])), tmp_path / "image.nii")
    item = {"image": str(tmp_path / "image.nii"), "label": None, "boxes": [[1, 2, 3, 6]]}
    view = load_slice(dataset(tmp_path), item)
    assert view.image.shape == (1, 8, 8)
    assert view.find_boxes().tolist() == [[1, 2, 3, 6]]


def test_boxes_shrink_and_move_with_the_slice() -> None:
    view = plain(np.zeros((1, 32, 16)), np.zeros((1, 32, 16)), np.array([[8.0, 4.0, 16.0, 12.0]])).fit(16)
    # x: 32 -> 16; y: 16 -> 8 with 4 pixels before
    assert view.image.shape == (1, 16, 16)
    assert view.find_boxes().tolist() == [[4, 6, 8, 10]]


def test_boxes_of_a_label_lie_around_its_parts() -> None:
    label = np.zeros((1, 8, 8))
    label[0, 1:3, 2], label[0, 3, 3], label[0, 6:, 5:7] = 1, 1, 1  # the first part touches at a corner
    found = plain(np.zeros((1, 8, 8)), label).find_boxes()
    assert sorted(found.tolist()) == [[1, 2, 4, 4], [6, 5, 8, 7]]
    assert plain(np.zeros((1, 4, 4)), np.zeros((1, 4, 4))).find_boxes().shape == (0, 4)


@pytest.mark.parametrize("boxes", [None, np.zeros((0, 4))])
def test_a_slice_without_lesion(boxes: np.ndarray | None) -> None:
    assert not plain(np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), boxes).has_lesion
