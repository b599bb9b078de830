from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from scripts.data.contract import Dataset
from scripts.data.slices import SliceDataset
from scripts.handlers.sample_grid import SampleGrid
from scripts.inferers.mask_to_image import MaskToImageInferer, NoisyMaskToImageInferer

CLASSES = ["A", "B", "C"]


def load_arrays(item):
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


class ByClass(nn.Module):
    """Images of one grey per class: -1, 0 and 1."""

    def forward(self, mask, class_index=None):
        return (class_index - 1.0)[:, None, None, None].expand(-1, 1, 8, 8)


@pytest.fixture
def slices(tmp_path: Path) -> SliceDataset:
    """Twelve slices of class A and one of class C; all images are 0.5."""
    np.save(tmp_path / "label.npy", np.ones((1, 8, 8, 12)))
    np.save(tmp_path / "image.npy", np.full((1, 8, 8, 12), 0.5))
    np.save(tmp_path / "plane_label.npy", np.ones((1, 8, 8)))
    np.save(tmp_path / "plane.npy", np.full((1, 8, 8), 0.5))
    items = [
        {"image": str(tmp_path / "image.npy"), "label": str(tmp_path / "label.npy"), "class_index": 0},
        {"image": str(tmp_path / "plane.npy"), "label": str(tmp_path / "plane_label.npy"), "class_index": 2},
    ]
    return SliceDataset(items, load_arrays, tmp_path / "cache")


def engine(epoch: int, **more) -> SimpleNamespace:
    state = {"epoch": epoch, "max_epochs": 7, "device": torch.device("cpu"), **more}
    return SimpleNamespace(state=SimpleNamespace(**state))


def grid(slices: SliceDataset, folder: Path, interval: int = 3) -> SampleGrid:
    description = Dataset(folder, "set", ["T1"], ["background", "tumour"], CLASSES)
    return SampleGrid(ByClass(), MaskToImageInferer(2), slices, description, folder, interval)


def test_each_column_shows_image_mask_and_every_class(slices, tmp_path):
    grid(slices, tmp_path)(engine(3))
    picture = np.asarray(Image.open(tmp_path / "pictures" / "epoch_0003.png").convert("L"), dtype=int)
    left = picture.shape[1] - 8 * 98
    for column in (0, 7):
        middles = [picture[98 * row + 48, left + 98 * column + 48] for row in range(5)]
        assert middles[0] == 191  # the image: 0.5
        assert middles[2:] == [0, 128, 255]
    assert any((tmp_path / "tensorboard").iterdir())


def test_every_class_that_there_is_has_a_column(slices, tmp_path):
    shown = grid(slices, tmp_path)._positions()
    assert set(slices.class_indices[shown]) == {0, 2}
    assert len(shown) == len(set(shown)) == 8


def test_pictures_come_by_interval_and_at_the_end(slices, tmp_path):
    handler = grid(slices, tmp_path)
    for epoch in range(1, 8):
        handler(engine(epoch))
    names = sorted(file.name for file in (tmp_path / "pictures").iterdir())
    assert names == ["epoch_0003.png", "epoch_0006.png", "epoch_0007.png"]
    grid(slices, tmp_path / "other")(engine(3, rank=1))
    assert not (tmp_path / "other").exists()


class BySeed(nn.Module):
    """Images of one grey per seed: -1, 0 ..."""

    def draw_noise(self, seeds):
        return [torch.tensor(list(seeds)) - 1.0]

    def forward(self, mask, noise):
        return noise[0][:, None, None, None].expand(-1, 1, 8, 8)


def test_a_generator_with_noise_shows_draws_instead_of_classes(slices, tmp_path):
    description = Dataset(tmp_path, "set", ["T1"], ["background", "tumour"], CLASSES)
    handler = SampleGrid(BySeed(), NoisyMaskToImageInferer(2), slices, description, tmp_path, draws=2)
    columns, rows = handler._cells(torch.device("cpu"))
    assert rows == ["real T1", "mask", "draw 1 T1", "draw 2 T1"]
    assert [int(cell.max()) for cell in columns[0][2:]] == [0, 128]
