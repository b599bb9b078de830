"""Small steps at the start of a training."""

from __future__ import annotations

from typing import Any

import torch
from ignite.engine import Events

POWER = 4


class BurnIn:
    """Multiplies the learning rate by (n / iterations)^4 in iteration n, as Darknet does for YOLOv3 (1000 iterations).

    The rate is put back after each iteration, so schedules and `Plateau` see it as it was, and a resumed training needs
    no state.

    Args:
        optimizer: whose learning rates are lowered.
        iterations: that take part, 1 or more.

    Raises:
        ValueError: fewer than 1 iteration.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, iterations: int) -> None:
        if iterations < 1:
            raise ValueError(f"burn_in_iterations is {iterations}, expected 1 or more, such as 1000, or 0 for none.")
        self.optimizer = optimizer
        self.iterations = iterations
        self.rates: list[float] = []

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self._lower)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._restore)

    def _lower(self, engine: Any) -> None:
        factor = min(1.0, engine.state.iteration / self.iterations) ** POWER
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        for group in self.optimizer.param_groups:
            group["lr"] *= factor

    def _restore(self, engine: Any) -> None:
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate
