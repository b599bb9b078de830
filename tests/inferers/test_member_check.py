from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from scripts.data.slices import SliceDataset
from scripts.inferers.member_check import check_members
from scripts.inferers.noise import EnsembleInferer


def load_arrays(item):
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


class Grey(nn.Module):
    """Images of one grey: the latent's first number times the spread; an annotation channel of noise is beside it."""

    def __init__(self, spread: float) -> None:
        super().__init__()
        self.spread = spread

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float) -> torch.Tensor:
        grey = (self.spread * z[:, :1, None, None]).expand(-1, 1, resolution, resolution)
        return torch.cat([grey, torch.rand_like(grey)], dim=1)


@pytest.fixture
def slices(tmp_path: Path) -> SliceDataset:
    """Real images of greys -0.2 to 0.2."""
    image = np.broadcast_to(np.linspace(-0.2, 0.2, 9), (1, 32, 32, 9))
    np.save(tmp_path / "image.npy", image)
    np.save(tmp_path / "label.npy", np.ones((1, 32, 32, 9)))
    return SliceDataset(
        [{"image": str(tmp_path / "image.npy"), "label": str(tmp_path / "label.npy")}], load_arrays, tmp_path / "cache"
    )


def test_a_collapsed_member_is_named(slices, tmp_path, caplog):
    members = [Grey(0.15), Grey(0.001)]
    with caplog.at_level(logging.WARNING):
        check_members(
            EnsembleInferer(4, 32),
            members,
            slices,
            files=["a.pt", "b.pt"],
            image_channels=1,
            device=torch.device("cpu"),
            output=tmp_path / "members.json",
        )
    found = json.loads((tmp_path / "members.json").read_text())["members"]
    assert [member["collapsed"] for member in found] == [False, True]
    assert found[0]["diversity"] == pytest.approx(150 * found[1]["diversity"], rel=0.1)
    assert "Member 1 (b.pt) has collapsed" in caplog.text
    assert "Member 0" not in caplog.text
