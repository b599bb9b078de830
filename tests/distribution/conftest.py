"""A bundle around a tiny segmenter."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from scripts.distribution.bundle import NAME, write_bundle
from scripts.networks.resnet_unet import ResNetUNet

WIDTHS = {"encoder_widths": [8, 8, 16, 16], "decoder_widths": [16, 8, 8, 8, 8]}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained segmenter of the phantom's images at 32 pixels, and what training would write beside it."""
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "mine.pt"
    torch.save(ResNetUNet(4, 3, **WIDTHS).state_dict(), file)
    about = {
        "trained_on": ["phantom_0001"],
        "validated_on": [],
        "modality": ["FLAIR", "T1", "T1Gd", "T2"],
        "labels": ["background", "core", "oedema", "rim"],
        "classes": ["A", "B", "C", "D"],
        "label_values": {},
        "intensity_range": None,
        "image_size_pixels": 32,
        **WIDTHS,
    }
    file.with_suffix(".json").write_text(json.dumps(about))
    return file


@pytest.fixture(scope="session")
def made(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that holds the made folder and zip; read only."""
    output = tmp_path_factory.mktemp("dist")
    write_bundle(str(weights), output_dir=str(output))
    return output


@pytest.fixture(scope="session")
def bundle(made: Path) -> Path:
    return made / NAME
