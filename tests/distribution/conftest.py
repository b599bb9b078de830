"""A bundle around a tiny segmenter."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from scripts.data.contract import Dataset
from scripts.distribution.bundle import NAME, write_bundle
from scripts.networks.resnet_unet import ResNetUNet
from tests.known_weights import write_known

WIDTHS = {"encoder_widths": [8, 8, 16, 16], "decoder_widths": [16, 8, 8, 8, 8]}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained segmenter of the phantom's images at 32 pixels, and what training would write beside it."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "mine.pt"
    labels = ["background", "core", "oedema", "rim"]
    images = Dataset(file.parent, "phantom", ["FLAIR", "T1", "T1Gd", "T2"], labels, ["A", "B", "C", "D"])
    known = {"network": ResNetUNet(4, 3, **WIDTHS), "images": images, "settings": {"image_size_pixels": 32}}
    return write_known(file, ["phantom_0001"], **known).file


@pytest.fixture(scope="session")
def made(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the made folder and zip; read only."""
    output = tmp_path_factory.mktemp("dist")
    write_bundle(str(weights), output_dir=str(output))
    return output


@pytest.fixture(scope="session")
def bundle(made: Path) -> Path:
    return made / NAME
