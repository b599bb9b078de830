"""A small study on a phantom, for tests of what it plans."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

CONTENT: dict[str, Any] = {
    "title": "Small",
    "image_size_pixels": 32,
    "folds": [2],
    "seeds": [0, 1],
    "tasks": {
        "segmentation": {"network": "unet", "arms": ["real", "real+classical", "real+redgan"]},
        "detection": {"training": {"max_epochs": 1}, "arms": ["real", "real+cpggan:1"]},
    },
    "systems": {
        "redgan": {"generator": {"max_epochs": 1}},
        "cpggan": {"generator": {"latent_dim": 8}, "image_count": 4, "filter": "contrast"},
    },
    "segmenters": {"unet": {"max_epochs": 1}},
}


@pytest.fixture
def content(tmp_path: Path) -> dict[str, Any]:
    """The content of a study's file."""
    phantom = {"folder": str(tmp_path / "phantom"), "patients": 15, "image_size": 32, "slices": 2}
    return {**copy.deepcopy(CONTENT), "phantom": phantom, "results_dir": str(tmp_path / "results")}
