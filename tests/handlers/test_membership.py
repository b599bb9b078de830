from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from scripts.handlers.membership import MembershipInference


class Slices:
    """Constant images of these levels, one of each patient; of training ones those that `of_items` gives count."""

    def __init__(self, levels: list[float]) -> None:
        self.data = levels

    def of_items(self, items: list[float]) -> Slices:
        return Slices(items)

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, n: int) -> dict[str, Any]:
        return {"image": torch.full((1, 4, 4), self.data[n])}

    def summary(self, n: int) -> dict[str, Any]:
        return {"patient": f"p{n}"}


class Brightness:
    """A step whose discriminator scores by brightness, and notes how it was called."""

    def __init__(self) -> None:
        self.discriminator = nn.Dropout().train()
        self.trained: set[bool] = set()

    def score(self, batch: dict[str, Any], device: torch.device) -> torch.Tensor:
        self.trained.add(self.discriminator.training)
        return batch["image"].mean(dim=(1, 2, 3)).to(device)


def test_the_auc_of_training_over_held_out_images_is_written_and_nothing_changes(tmp_path):
    step, file = Brightness(), tmp_path / "membership.json"
    engine: Any = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu"), rank=0))
    state = torch.get_rng_state()
    training, held_out = Slices([3.0, 1.0, 4.0]), Slices([2.0, 0.0])
    MembershipInference(step, training, held_out, file)(engine)  # type: ignore[arg-type]
    said = json.loads(file.read_text())
    assert (said["value"], said["n"]) == (pytest.approx(5 / 6), 5)
    assert step.trained == {False}
    assert step.discriminator.training
    assert torch.equal(torch.get_rng_state(), state)


def test_without_held_out_images_nothing_is_written(tmp_path):
    file = tmp_path / "membership.json"
    MembershipInference(Brightness(), Slices([1.0]), None, file)(SimpleNamespace())  # type: ignore[arg-type]
    assert not file.exists()
