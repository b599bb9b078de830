from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from scripts.handlers.moving_average import MovingAverage

BATCH = 2


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.register_buffer("count", torch.zeros(1))


def show(average: MovingAverage, weight: float, iterations: int) -> float:
    """The average after iterations with this weight."""
    engine: Any = SimpleNamespace(state=SimpleNamespace(batch={"image": torch.zeros(BATCH, 1, 4, 4)}))
    nn.init.constant_(average.trained.weight, weight)
    for _ in range(iterations):
        average.trained.count += 1
        average(engine)
    return average.network.weight.item()


def test_after_a_half_life_in_images_it_is_half_way():
    average = MovingAverage(Line(), 100)
    show(average, 0.0, 1000)  # the ramp is over
    assert show(average, 1.0, 100 // BATCH) == pytest.approx(0.5)
    assert show(average, 1.0, 100 // BATCH) == pytest.approx(0.75)


def test_early_the_half_life_is_a_twentieth_of_the_images_shown():
    """b = .5 ** (2 / (n / 20)) after n images: after 40 images .5, then .5 ** (40 / 42)."""
    average = MovingAverage(Line(), 1e9)
    show(average, 0.0, 19)
    assert show(average, 1.0, 1) == pytest.approx(0.5)
    assert show(average, 1.0, 1) == pytest.approx(1 - 0.5 * 0.5 ** (40 / 42))


def test_without_half_life_it_is_the_network_and_buffers_always_are():
    average = MovingAverage(Line(), 0)
    assert show(average, 3.0, 2) == 3
    assert average.network.count.item() == 2
    average.network.count += 1  # as batch statistics of its own do
    assert average.trained.count.item() == 2


def test_a_resumed_average_goes_on_where_it_was():
    average, resumed = MovingAverage(Line(), 100), MovingAverage(Line(), 100)
    show(average, 1.0, 7)
    resumed.load_state_dict(average.state_dict())
    resumed.trained.load_state_dict(average.trained.state_dict())
    assert show(resumed, 5.0, 3) == show(average, 5.0, 3)


def test_a_negative_half_life_is_refused():
    with pytest.raises(ValueError, match="ema_half_life_images is -1, expected 0"):
        MovingAverage(Line(), -1)
