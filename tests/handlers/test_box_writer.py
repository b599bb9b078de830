from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator
from monai.transforms import Compose
from PIL import Image
from torch import nn

from scripts.data.contract import DatasetError, read_dataset
from scripts.data.training import images_to_label
from scripts.handlers.box_writer import BoxWriter, read_truth
from scripts.inferers.detection import DetectionInferer, SliceDetectionInferer
from scripts.pictures.grids import LABEL_COLOURS
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import LoadItemd


class BrightFinder(nn.Module):
    """Raw maps of YOLOv3 that say where the bright pixels of each image are, with a score of about .88."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("anchors", torch.full((9, 2), 8.0))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        maps = [torch.full((len(x), 3, 6, x.shape[2] // s, x.shape[3] // s), -30.0) for s in (8, 16, 32)]
        for n, image in enumerate(x[:, 0]):
            if not (image > 0).any():
                continue
            columns, rows = (image > 0).nonzero(as_tuple=True)
            low = torch.stack([columns.min(), rows.min()]).double()
            high = torch.stack([columns.max(), rows.max()]).double() + 1
            place = (low + high) / 2 / 8
            cell = place.floor()
            raw = [*torch.logit(place - cell, eps=1e-12), *torch.log((high - low) / 8), 2.0, 30.0]
            maps[0][n, 0, :, int(cell[0]), int(cell[1])] = torch.tensor(raw, dtype=torch.float32)
        return maps


def write_picture(file: Path, size: tuple[int, int], box: tuple[int, int, int, int] | None) -> None:
    """A black picture of `size` (X, Y) with a white box; a faint pixel keeps its range."""
    picture = np.zeros(size[::-1], np.uint8)
    if box is not None:
        picture[box[1] : box[3], box[0] : box[2]] = 255
    Image.fromarray(picture).save(file)


def write_description(folder: Path, test: list[Any]) -> Path:
    content = {
        "modality": {"0": "T1"},
        "labels": {"0": "background", "1": "tumour"},
        "intensity_range": [0, 255],
        "test": test,
    }
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


def detect(folder: Path, size: int = 32, **options: Any) -> dict[str, Any]:
    """Runs the chain of the config with the finder for a detector; returns `boxes.json`."""
    description = read_dataset(folder)
    data = images_to_label(folder, "test")
    steps = [
        LoadItemd("image", channel_count=1, foreground_count=1),
        CanonicalOrientationd("image"),
        ToSignedRanged("image", [0, 255]),
        FitInPlaned("image", size),
    ]
    writer = BoxWriter(data, description, folder / "out", classes=["tumour"], score_threshold=0.001, **options)
    SupervisedEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(Dataset(data, Compose(steps)), batch_size=1),
        network=BrightFinder(),
        inferer=SliceDetectionInferer(DetectionInferer(), slice_batch=2),
        val_handlers=[writer],
        decollate=False,
    ).run()
    assert sorted(file.name for file in (folder / "out").iterdir() if file.name.startswith(".")) == []
    return json.loads((folder / "out" / "boxes.json").read_text())


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((64, 128), (16, 40, 32, 84)),  # shrunk by 4, padded by 8 at the left
        ((96, 32), (30, 0, 48, 32)),  # shrunk to 32 x 11, so by 3 and by 2.91, and padded by 10 at the top
        ((20, 12), (3, 1, 9, 12)),  # padded alone
    ],
)
def test_boxes_come_back_to_the_pixels_of_pictures_that_are_no_squares(
    tmp_path: Path, size: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    write_picture(tmp_path / "one.png", size, box)
    found = detect(write_description(tmp_path, ["one.png"]))
    (image,) = found["images"]
    assert (image["name"], image["z"], image["size"]) == ("one", None, list(size))
    assert image["file"] == str(tmp_path / "one.png")
    np.testing.assert_allclose(image["boxes"], [box], atol=0.01)
    assert image["scores"] == pytest.approx([1 / (1 + np.exp(-2))], abs=1e-5)
    assert image["box_classes"] == ["tumour"]
    assert found["score_threshold"] == 0.001
    assert found["classes"] == ["tumour"]


def test_nothing_found_is_an_entry_without_boxes(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (40, 32), None)
    write_picture(tmp_path / "b.png", (32, 32), (8, 8, 16, 24))
    first, second = detect(write_description(tmp_path, ["a.png", "b.png"]))["images"]
    assert (first["boxes"], first["scores"], first["box_classes"]) == ([], [], [])
    assert second["name"] == "b"
    np.testing.assert_allclose(second["boxes"], [[8, 8, 16, 24]], atol=0.01)


def test_each_slice_of_a_volume_is_an_image_in_canonical_axes(tmp_path: Path) -> None:
    volume = np.zeros((64, 32, 3), np.float32)
    volume[8:24, 4:12, 2] = 255
    nib.save(nib.Nifti1Image(volume, np.eye(4)), tmp_path / "v.nii.gz")  # RAS+: LPS turns x and y round
    images = detect(write_description(tmp_path, ["v.nii.gz"]))["images"]
    assert [(image["z"], len(image["boxes"])) for image in images] == [(0, 0), (1, 0), (2, 1)]
    np.testing.assert_allclose(images[2]["boxes"], [[40, 20, 56, 28]], atol=0.01)
    picture = np.asarray(Image.open(tmp_path / "out" / "pictures" / "v.png"))
    assert (picture == LABEL_COLOURS[0]).all(axis=2)[:192].any()  # of the slice with the lesion


def test_pictures_are_spread_evenly_and_show_high_scores_alone(tmp_path: Path) -> None:
    for n in range(5):
        write_picture(tmp_path / f"{n}.png", (32, 32), (8, 8, 16, 24))
    folder = write_description(tmp_path, [f"{n}.png" for n in range(5)])
    detect(folder, most_pictures=3, shown_threshold=0.9)
    pictures = sorted((folder / "out" / "pictures").iterdir())
    assert [file.name for file in pictures] == ["0.png", "2.png", "4.png"]
    assert not (np.asarray(Image.open(pictures[0]))[:384] == LABEL_COLOURS[0]).all(axis=2).any()


def test_a_run_that_stops_leaves_the_old_file(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (32, 32), (8, 8, 16, 24))
    folder = write_description(tmp_path, ["a.png"])
    before = detect(folder, most_pictures=0)
    write_description(tmp_path, ["a.png", "missing.png"])
    with pytest.raises(RuntimeError):  # of MONAI's Dataset, for the DatasetError of LoadItemd
        detect(folder, most_pictures=0)
    assert json.loads((folder / "out" / "boxes.json").read_text()) == before


def test_true_boxes_are_the_items_or_its_labels(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (40, 20), (8, 4, 16, 12))
    label = np.zeros((20, 40), np.uint8)
    label[4:12, 8:16] = 1
    Image.fromarray(label).save(tmp_path / "label.png")
    boxed = {"image": "a.png", "boxes": [[1, 2, 3, 4]], "box_classes": [0]}
    for name in ("b.png", "c.png"):
        (tmp_path / name).write_bytes((tmp_path / "a.png").read_bytes())
    labelled = {"image": "b.png", "label": "label.png"}
    description = read_dataset(write_description(tmp_path, [boxed, labelled, {"image": "c.png"}]))
    (image, first), (_, second), (_, third) = (
        read_truth(item, description, z=0) for item in description.splits["test"]
    )
    assert image.shape == (1, 40, 20)
    assert [None if true is None else true[0].tolist() for true in (first, second, third)] == [
        [[1, 2, 3, 4]],
        [[8, 4, 16, 12]],
        None,
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shown_channel": 1}, r"shown_channel is 1, expected 0\.\.0 \(T1\)"),
        ({"shown_threshold": 2.0}, r"shown_threshold is 2\.0, expected a score in \[0, 1\]"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_picture(tmp_path / "a.png", (32, 32), None)
    with pytest.raises(DatasetError, match=message):
        detect(write_description(tmp_path, ["a.png"]), **options)
