from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from scripts.handlers.burn_in import BurnIn


def test_rates_rise_by_the_fourth_power_and_schedules_see_them_as_they_are() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.8)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [1], gamma=0.1)
    used, between = [], []

    def step(engine: Engine, batch: Any) -> None:
        used.append(optimizer.param_groups[0]["lr"])
        optimizer.step()

    engine = Engine(step)
    BurnIn(optimizer, 4).attach(engine)
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: between.append(optimizer.param_groups[0]["lr"]))
    engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: schedule.step())
    engine.run(range(3), max_epochs=2)
    assert used == pytest.approx([0.8 / 256, 0.8 * 16 / 256, 0.8 * 81 / 256, 0.08, 0.08, 0.08])
    assert between == pytest.approx([0.8, 0.08])


def test_no_iteration_is_refused() -> None:
    with pytest.raises(ValueError, match="burn_in_iterations is -1, expected 1 or more"):
        BurnIn(torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1), -1)
