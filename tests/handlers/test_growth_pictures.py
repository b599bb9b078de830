from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

from scripts.data.contract import Dataset
from scripts.data.growth import GrowthSchedule
from scripts.handlers.growth_pictures import GrowthPictures
from scripts.transforms.annotation import AnnotationChannels

SCHEDULE = GrowthSchedule(image_size=8, images_per_phase=4, total_images=None, batch_sizes={4: 2, 8: 2})


class Grey(nn.Module):
    """White images with label 1 everywhere."""

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float) -> torch.Tensor:
        return torch.ones(len(z), 2, resolution, resolution)


def test_a_picture_of_each_resolution_remains(tmp_path):
    description = Dataset(tmp_path, "set", ["T1"], ["background", "tumour"])
    pictures = GrowthPictures(
        Grey(), SCHEDULE, description, tmp_path, annotation=AnnotationChannels(1), latent_dim=3, count=2
    )
    for iteration in (2, 4, 6):
        pictures(SimpleNamespace(state=SimpleNamespace(iteration=iteration, device=torch.device("cpu"))))
    files = sorted((tmp_path / "pictures").iterdir())
    assert [file.name for file in files] == ["growth.png", "resolution_0004.png", "resolution_0008.png"]
    picture = np.asarray(Image.open(files[2]))
    left = picture.shape[1] - 2 * 98
    assert picture[48, left + 48].tolist() == [255, 255, 255]
    assert picture[98 + 48, left + 48].tolist() == [230, 159, 0]  # the first label's colour
    growth = np.asarray(Image.open(files[0]))
    assert growth.shape[:2] == (18 + 2 * 98, 8 * 4 + 12 + 4 * 98)  # a row per resolution, two latents of two channels
    pictures(SimpleNamespace(state=SimpleNamespace(iteration=1, device=torch.device("cpu"), rank=1)))


class Conditioned(nn.Module):
    """A black image, white where the condition is."""

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float, condition: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_max_pool2d(condition, resolution) * 2 - 1


def test_a_condition_is_shown_as_the_annotation(tmp_path):
    description = Dataset(tmp_path, "set", ["T1"], ["background", "tumour"])
    condition = torch.zeros(2, 1, 8, 8)
    condition[:, :, 4:] = 1  # the right half, x first
    pictures = GrowthPictures(
        Conditioned(), SCHEDULE, description, tmp_path, condition=condition, latent_dim=3, count=2
    )
    pictures(SimpleNamespace(state=SimpleNamespace(iteration=6, device=torch.device("cpu"))))
    picture = np.asarray(Image.open(tmp_path / "pictures" / "resolution_0008.png"))
    left = picture.shape[1] - 2 * 98
    assert picture[48, left + 20].tolist() == [0, 0, 0]
    assert picture[48, left + 80].tolist() == [255, 255, 255]
    assert picture[98 + 48, left + 80].tolist() == [230, 159, 0]
