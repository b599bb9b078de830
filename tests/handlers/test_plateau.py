from __future__ import annotations

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader, Dataset

from scripts.data.sampling import SeededSampler
from scripts.handlers.epoch_seed import EpochSeed
from scripts.handlers.plateau import Plateau
from scripts.handlers.training_state import TrainingState
from scripts.networks.knowledge import Knowledge
from scripts.scores.course import Course, CourseEpoch
from scripts.scores.json_files import read_dataclass

RATE = 0.1
SCORES = [0.1, 0.3, 0.2, 0.3, 0.35, 0.35, 0.3, 0.9]  # patience 2: drop after epoch 4, end after epoch 7
NAN = math.nan


class Slices(Dataset):
    """Ten numbers, of which the last four are synthetic."""

    is_synthetic = np.arange(10) >= 6

    def __len__(self) -> int:
        return 10

    def __getitem__(self, position: int) -> float:
        return float(position)


class Run:
    """A training with noise and Adam, whose validator gives the scores of its epochs; `stop` kills it in that epoch."""

    def __init__(self, folder: Path, scores: list[float], *, patience: int | None = 2, interval: int = 1) -> None:
        torch.manual_seed(1)
        self.network = nn.Linear(1, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=RATE)
        self.validator, self.scores, self.interval = Engine(lambda engine, batch: None), scores, interval
        options: dict[str, Any] = {"metric": "dice", "optimizer": self.optimizer, "folder": folder}
        self.plateau = Plateau(self.validator, **options, patience_epochs=patience)
        parts = {"network": self.network, "optimizer": self.optimizer}
        self.state, self.file = (
            TrainingState(folder / "checkpoint.pt", parts, [], Knowledge([])),
            folder / "course.json",
        )
        self.sampler = SeededSampler(range(10), seed=3)
        self.rates: list[float] = []

    def _validate(self, engine: Engine) -> None:
        if engine.state.epoch % self.interval == 0:
            self.validator.state.epoch = engine.state.epoch
            self.validator.state.metrics = {"dice": self.scores[engine.state.epoch - 1]}

    def __call__(self, epochs: int = 8, *, stop: int | None = None) -> Course:
        loader = DataLoader(Slices(), batch_size=4, sampler=self.sampler, drop_last=True)

        def step(engine: Engine, batch: torch.Tensor) -> None:
            if engine.state.epoch == stop and engine.state.iteration % 2 == 0:
                raise KeyboardInterrupt
            self.optimizer.zero_grad()
            (self.network(batch.float()[:, None]) + torch.randn(4, 1)).square().mean().backward()
            self.optimizer.step()
            self.rates.append(self.optimizer.param_groups[0]["lr"])

        engine = Engine(step)
        EpochSeed(7, [self.sampler]).attach(engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._validate)
        self.plateau.attach(engine)
        self.state.attach(engine)
        engine.run(loader, max_epochs=epochs)
        return read_dataclass(self.file, Course)


def test_the_rate_drops_at_the_first_plateau_and_the_training_ends_at_the_second(tmp_path, caplog):
    run = Run(tmp_path, SCORES)
    with caplog.at_level(logging.INFO):
        course = run()
    assert (len(course.epochs), course.rate_dropped, course.stopped) == (7, 4, "plateau")
    assert course.best.epoch == 5
    assert run.rates == pytest.approx([RATE] * 8 + [RATE / 10] * 6)  # two batches in each epoch
    said = [record.message for record in caplog.records if "plateau" in record.message]
    assert said[1] == "Second plateau at epoch 7, no dice above 0.3500 of epoch 5: the training ends"


@pytest.mark.parametrize(
    ("scores", "patience", "interval", "epochs", "stopped"),
    [
        ([0.5] * 8, None, 1, 8, "cap"),
        ([0.5] * 8, 4, 1, 8, "cap"),  # dropped after 5, not yet at its end after 8
        ([0.5] * 8, 1, 1, 5, "plateau"),  # not before half of the epochs
        ([NAN] * 8, 2, 1, 6, "plateau"),  # no score at all
        ([0.1, NAN, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8], 1, 1, 8, "cap"),
        ([0.5] * 8, 2, 2, 6, "plateau"),  # scored after 2, 4 and 6
        ([0.5] * 8, 3, 2, 8, "cap"),  # a plateau is seen where it is scored: dropped after 6
    ],
)
def test_how_long_by_hand(tmp_path, scores, patience, interval, epochs, stopped):
    course = Run(tmp_path, scores, patience=patience, interval=interval)()
    assert (len(course.epochs), course.stopped) == (epochs, stopped)


@pytest.mark.parametrize("stop", range(1, 8))
def test_a_killed_training_ends_with_the_same_weights(tmp_path, stop):
    whole = Run(tmp_path / "whole", SCORES)
    wanted = whole()
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path / "killed", SCORES)(stop=stop)
    resumed = Run(tmp_path / "killed", SCORES)
    assert resumed() == wanted
    assert all(map(torch.equal, resumed.network.parameters(), whole.network.parameters()))


@pytest.mark.parametrize("epochs", [8, 20])
def test_of_a_training_that_has_ended_nothing_is_trained_again(tmp_path, epochs):
    first = Run(tmp_path, SCORES)
    wanted = first()
    again = Run(tmp_path, SCORES)
    assert again(epochs) == wanted
    assert again.rates == []
    assert all(map(torch.equal, again.network.parameters(), first.network.parameters()))


def test_passes_count_the_real_slices_that_were_drawn(tmp_path):
    run = Run(tmp_path, [0.5] * 3, patience=None)
    course, drawn = run(3), 0
    for row in course.epochs:
        run.sampler.set_epoch(row.epoch)
        drawn += sum(index < 6 for index in list(run.sampler)[:8])  # two batches of four, the rest is dropped
        assert row.real_passes == pytest.approx(drawn / 6)


def test_the_best_within_so_many_passes():
    course = Course("dice", [CourseEpoch(n, n / 2, score) for n, score in enumerate([0.2, NAN, 0.4, 0.3], 1)])
    assert math.isnan(course.best_within(0.4))
    assert [course.best_within(passes) for passes in (0.5, 1.0, 1.5, 9.0)] == [0.2, 0.2, 0.4, 0.4]


def test_no_patience_below_one(tmp_path):
    with pytest.raises(ValueError, match="patience_epochs is 0, expected 1 or more, or None"):
        Run(tmp_path, [], patience=0)
