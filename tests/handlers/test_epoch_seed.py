from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import torch
from ignite.engine import Engine, Events

from scripts.handlers.epoch_seed import EpochSeed


def draws(seed: int, epochs: int, *, start: int = 0, rank: int = 0) -> list[tuple[float, float, float]]:
    drawn = []

    def step(engine, batch):
        drawn.append((random.random(), np.random.rand(), torch.rand(1).item()))

    engine = Engine(step)
    engine.state.rank = rank
    EpochSeed(seed).attach(engine)
    engine.add_event_handler(Events.STARTED, lambda: setattr(engine.state, "epoch", start))
    engine.run([0, 1], max_epochs=epochs)
    return drawn


def test_a_resumed_run_draws_what_an_uninterrupted_one_draws():
    whole = draws(5, 4)
    torch.rand(3)
    assert draws(5, 4, start=2) == whole[4:]


def test_seeds_epochs_iterations_and_ranks_draw_differently():
    drawn = draws(5, 2) + draws(6, 2) + draws(5, 2, rank=1)
    for numbers in zip(*drawn, strict=True):
        assert len(set(numbers)) == 12


def test_followers_are_told_the_epoch_before_its_first_batch():
    told: list[tuple[str, int]] = []
    follower = SimpleNamespace(set_epoch=lambda epoch: told.append(("epoch", epoch)))

    class Loader:
        def __iter__(self):
            told.append(("order", 0))
            return iter([1, 2])

        def __len__(self):
            return 2

    engine = Engine(lambda engine, batch: told.append(("batch", batch)))
    EpochSeed(0, [follower, follower]).attach(engine)
    engine.run(Loader(), max_epochs=3)
    expected = []
    for epoch in (1, 2, 3):
        expected += [("epoch", epoch), ("epoch", epoch), ("order", 0), ("batch", 1), ("batch", 2)]
    assert told == expected
