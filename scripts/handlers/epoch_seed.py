"""Randomness as a function of (seed, epoch), so that a resumed run needs no saved random states."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events


class EpochSeed:
    """Seeds Python, NumPy and PyTorch at each epoch's start, and tells data sets and samplers which epoch it is.

    Under DDP each rank draws its own numbers.

    Args:
        seed: of the whole run.
        followers: objects with `set_epoch`, such as a `SliceDataset` and a `SeededSampler`.
    """

    def __init__(self, seed: int, followers: list[Any] | None = None) -> None:
        self.seed = seed
        self.followers = followers or []

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:
        epoch = engine.state.epoch
        for follower in self.followers:
            follower.set_epoch(epoch)
        draw = np.random.SeedSequence([self.seed, epoch, getattr(engine.state, "rank", 0)]).generate_state(1)
        random.seed(int(draw[0]))
        np.random.seed(int(draw[0]))
        torch.manual_seed(int(draw[0]))
