from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from scripts.data.slices import SliceDataset
from scripts.inferers.members import check_members, choose_files
from scripts.inferers.noise import EnsembleInferer
from scripts.networks.checkpoints import CheckpointError


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"member_{n}.pt" for n in range(3)]
    for file in files:
        file.write_bytes(file.name.encode())
    order = [hashlib.sha256(files[n].read_bytes()).hexdigest() for n in (2, 0, 1)]
    (tmp_path / "choice.json").write_text(json.dumps({"sha256": order}))
    return files


def test_all_files_without_a_choice(members):
    assert choose_files(members) == [str(file) for file in members]


@pytest.mark.parametrize(("count", "chosen"), [(1, [2]), (2, [2, 0]), (None, [2, 0, 1])])
def test_the_first_of_the_order(members, tmp_path, count, chosen):
    assert choose_files(members, tmp_path / "choice.json", count) == [str(members[n]) for n in chosen]


@pytest.mark.parametrize("count", [0, 4])
def test_a_count_out_of_range_is_refused(members, tmp_path, count):
    with pytest.raises(CheckpointError, match=f"chosen_count is {count}, expected 1 to 3"):
        choose_files(members, tmp_path / "choice.json", count)


def test_a_member_of_another_ensemble_is_refused(members, tmp_path):
    with pytest.raises(CheckpointError, match="none of the 2 generator_files has"):
        choose_files(members[:2], tmp_path / "choice.json", 2)


def test_what_cannot_be_chosen_by(members, tmp_path):
    with pytest.raises(CheckpointError, match="no choice_file to choose by"):
        choose_files(members, None, 2)
    with pytest.raises(CheckpointError, match="Cannot choose by"):
        choose_files(members, tmp_path / "absent.json", 2)
    with pytest.raises(CheckpointError, match="Cannot choose by"):
        choose_files([*members, tmp_path / "absent.pt"], tmp_path / "choice.json", 2)


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
