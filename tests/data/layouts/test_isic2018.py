"""ISIC 2018 task 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.isic2018 import read_isic2018


def make_isic(root: Path, part: str = "Training", names: tuple[str, ...] = ("ISIC_0000001", "ISIC_0000002")) -> Path:
    images, masks = root / f"ISIC2018_Task1-2_{part}_Input", root / f"ISIC2018_Task1_{part}_GroundTruth"
    for folder in (images, masks):
        folder.mkdir(parents=True)
        (folder / "LICENSE.txt").touch()
    for name in names:
        (images / f"{name}.jpg").touch()
        (images / f"{name}_superpixels.png").touch()
        (masks / f"{name}_segmentation.png").touch()
    (root / "metadata.csv").write_text(
        "isic_id,attribution,diagnosis,lesion_id\nISIC_0000001,x,nevus,IL_7\nISIC_0000002,x,,\nISIC_9,x,melanoma,IL_1\n"
    )
    return root


def test_images_masks_and_diagnoses_are_matched(tmp_path: Path) -> None:
    dataset = read_isic2018(make_isic(tmp_path))
    first, second = dataset.splits["training"]
    assert Path(first["image"]).name == "ISIC_0000001.jpg"
    assert Path(first["label"]).name == "ISIC_0000001_segmentation.png"
    assert (first["class"], first["patient"]) == ("nevus", "IL_7")
    assert (second["class"], second.get("patient"), second["case"]) == (None, None, "ISIC_0000002")
    assert dataset.classes == ["nevus"]  # melanoma has no image here


def test_official_parts_stay_the_split(tmp_path: Path) -> None:
    make_isic(tmp_path)
    make_isic(tmp_path, "Validation", ("ISIC_0000003",))
    make_isic(tmp_path, "Test", ("ISIC_0000004",))
    splits = read_isic2018(tmp_path).splits
    assert {split: len(items) for split, items in splits.items()} == {"training": 2, "validation": 1, "test": 1}


def test_a_test_image_without_mask_is_unlabelled_and_a_training_image_an_error(tmp_path: Path) -> None:
    make_isic(tmp_path)
    make_isic(tmp_path, "Test", ("ISIC_0000004",))
    (tmp_path / "ISIC2018_Task1_Test_GroundTruth" / "ISIC_0000004_segmentation.png").unlink()
    assert read_isic2018(tmp_path).splits["test"][0]["label"] is None
    (tmp_path / "ISIC2018_Task1_Training_GroundTruth" / "ISIC_0000002_segmentation.png").unlink()
    with pytest.raises(DatasetError, match=r"no mask ISIC_0000002_segmentation\.png"):
        read_isic2018(tmp_path)


def test_a_mask_without_image_is_named(tmp_path: Path) -> None:
    (make_isic(tmp_path) / "ISIC2018_Task1-2_Training_Input" / "ISIC_0000001.jpg").unlink()
    with pytest.raises(DatasetError, match=r"no image ISIC_0000001\.jpg"):
        read_isic2018(tmp_path)


def test_metadata_must_be_unambiguous_or_named(tmp_path: Path) -> None:
    make_isic(tmp_path)
    (tmp_path / "other.csv").write_text("image,diagnosis\nISIC_0000001,melanoma\n")
    with pytest.raises(DatasetError, match=r"metadata\.csv, other\.csv; expected one"):
        read_isic2018(tmp_path)
    dataset = read_isic2018(tmp_path, metadata=str(tmp_path / "other.csv"))
    assert dataset.classes == ["melanoma"]


def test_a_file_without_diagnoses_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("image,age\nISIC_0000001,50\n")
    with pytest.raises(DatasetError, match="expected rows with an image column"):
        read_isic2018(make_isic(tmp_path), metadata=str(tmp_path / "other.csv"))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="0 images"):
        read_isic2018(tmp_path)
