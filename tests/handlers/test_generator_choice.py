from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scripts.handlers import generator_choice
from scripts.handlers.generator_choice import KeepBestGenerator
from scripts.networks.checkpoints import load_checkpoint
from scripts.networks.knowledge import Knowledge
from scripts.networks.recipe import Recipe


class Scaling(nn.Module):
    """image = weight * condition, whose batch statistics are kept"""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))
        self.norm = nn.BatchNorm2d(1, affine=False)
        self.recipe = Recipe("scripts.networks.one.Line", {})

    def forward(self, condition: torch.Tensor) -> torch.Tensor:
        self.norm(condition)
        return self.weight * condition


class Step:
    """Real images are 2 * condition, so that the best weight is 2."""

    def __init__(self) -> None:
        self.seeds: list[list[int]] = []

    def remake(
        self, generator: nn.Module, batch: dict[str, Any], seeds: Any, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor]:
        self.seeds.append(list(seeds))
        return 2 * batch["condition"], generator(batch["condition"])


def slices(count: int = 20, seed: int = 0) -> list[dict[str, torch.Tensor]]:
    noise = torch.randn(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))
    return [{"condition": image + n} for n, image in enumerate(noise)]


def make_keeper(folder: Path, held_out: Any = None, **options: Any) -> KeepBestGenerator:
    given = {"step": Step(), "training": slices(), "held_out": held_out, "folder": folder, **options}
    return KeepBestGenerator(Scaling(), folder / "generator.pt", Knowledge(["a"], ["b"]), **given)


def train(keeper: KeepBestGenerator, weights: list[float]) -> list[float | None]:
    """The weight in the file after each epoch, at whose end the generator has one of these."""
    held: list[float | None] = []
    for epoch, weight in enumerate(weights, start=1):
        nn.init.constant_(keeper.network.weight, weight)
        state = SimpleNamespace(epoch=epoch, max_epochs=len(weights), metrics={}, device=torch.device("cpu"))
        keeper.judge(SimpleNamespace(state=state))
        held.append(load_checkpoint(keeper.file)["weight"].item() if keeper.file.exists() else None)
    return held


def test_the_generator_nearest_to_the_held_out_slices_is_kept_and_scores_are_listed(tmp_path):
    keeper = make_keeper(tmp_path, slices(5))
    assert train(keeper, [0.5, 1.75, 3.0, 2.2, 1.0]) == [0.5, 1.75, 1.75, pytest.approx(2.2), pytest.approx(2.2)]
    with open(tmp_path / "held_out.csv", newline="") as stream:
        distances = {row["epoch"]: float(row["sliced_wasserstein"]) for row in csv.DictReader(stream)}
    assert sorted(distances, key=distances.get) == ["4", "2", "3", "5", "1"]


def test_without_held_out_slices_the_last_is_kept(tmp_path):
    assert train(make_keeper(tmp_path), [0.5, 2.0, 3.0]) == [0.5, 2.0, 3.0]
    assert not (tmp_path / "held_out.csv").exists()


def test_batch_statistics_are_the_means_over_batches_of_training_slices(tmp_path):
    keeper = make_keeper(tmp_path)
    train(keeper, [1.0])
    assert [len(seeds) for seeds in keeper.step.seeds] == [10, 10]
    halves = torch.stack([each["condition"] for each in slices()]).chunk(2)
    stored = load_checkpoint(keeper.file)
    assert stored["norm.running_mean"].item() == pytest.approx(np.mean([half.mean() for half in halves]), rel=1e-5)
    assert stored["norm.running_var"].item() == pytest.approx(np.mean([half.var() for half in halves]), rel=1e-5)


@pytest.mark.parametrize(
    ("epochs", "options", "rounds"),
    [
        (3, {}, [1, 2, 3]),
        (45, {}, [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 45]),
        (30, {"interval": 3}, [3, 6, 9, 12, 15, 18, 21, 24, 30]),
        (5, {"first_epoch": 4}, [4, 5]),
    ],
)
def test_rounds_are_four_per_doubling_and_one_at_the_end(tmp_path, monkeypatch, epochs, options, rounds):
    monkeypatch.setattr(generator_choice, "measure", lambda *_: 1.0)
    train(make_keeper(tmp_path, slices(5), **options), [1.0] * epochs)
    with open(tmp_path / "held_out.csv", newline="") as stream:
        assert [int(row["epoch"]) for row in csv.DictReader(stream)] == rounds


def test_a_training_that_is_made_longer_forgets_that_it_had_ended(tmp_path):
    keeper = make_keeper(tmp_path, slices(5), interval=2, first_epoch=2)
    assert train(keeper, [2.0]) == [2.0]  # no full image yet
    assert train(keeper, [2.0, 2.0, 1.0]) == [2.0, 2.0, 1.0]  # the first round
    assert train(keeper, [2.0, 2.0, 1.0, 1.5])[-1] == 1.5  # the end, better than that round
    resumed = make_keeper(tmp_path, slices(5), interval=2, first_epoch=2)
    resumed.file.unlink()
    resumed.load_state_dict(keeper.state_dict())
    assert load_checkpoint(resumed.file)["weight"] == 1.5
    assert train(resumed, [2.0, 2.0, 1.0, 1.5, 1.0, 0.5])[3:] == [1.0, 1.0, 1.0]


def test_it_takes_nothing_from_the_trainings_random_state_and_makes_the_same_images_each_time(tmp_path):
    keeper = make_keeper(tmp_path, slices(100))
    before = torch.get_rng_state()
    train(keeper, [1.0, 1.0])
    assert torch.equal(torch.get_rng_state(), before)
    seeds = keeper.step.seeds
    assert seeds[: len(seeds) // 2] == seeds[len(seeds) // 2 :]
    judged = [seed for part in seeds[2 : len(seeds) // 2] for seed in part]
    assert len(judged) == 64
    assert max(np.diff(judged)) <= 2
