from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents
from torch import nn

from scripts.engines.trainer import DivergedError, StepTrainer
from scripts.handlers.export import ExportWeights
from scripts.networks.feature_classifier import build_feature_classifier
from scripts.networks.knowledge import Knowledge


def test_the_step_gets_every_batch_and_its_output_is_the_engines():
    batches = [{"x": torch.tensor(n)} for n in range(3)]
    seen, outputs, events = [], [], []

    def step(engine, batch):
        seen.append((engine.state.epoch, int(batch["x"])))
        return {"loss": float(batch["x"])}

    trainer = StepTrainer(step=step, train_data_loader=batches, device=torch.device("cpu"), max_epochs=2)
    trainer.add_event_handler(Events.ITERATION_COMPLETED, lambda engine: outputs.append(engine.state.output))
    trainer.add_event_handler(IterationEvents.MODEL_COMPLETED, lambda engine: events.append(engine.state.iteration))
    trainer.run()
    assert seen == [(epoch, n) for epoch in (1, 2) for n in range(3)]
    assert outputs == [[{"loss": float(n)}] for _, n in seen]  # a list of one, as MONAI's trainers have it
    assert events == [1, 2, 3, 4, 5, 6]


def test_handlers_are_attached():
    class Handler:
        def attach(self, engine):
            engine.add_event_handler(Events.EPOCH_COMPLETED, lambda engine: epochs.append(engine.state.epoch))

    epochs: list[int] = []
    options = {"train_data_loader": [{}], "device": torch.device("cpu"), "max_epochs": 3}
    StepTrainer(step=lambda engine, batch: {"loss": 0.0}, train_handlers=[Handler()], **options).run()
    assert epochs == [1, 2, 3]


class DivergingStep:
    """In the second batch of the second epoch its loss, or a weight of its network, is not finite."""

    def __init__(self, *, loss: float = 0.0, weight: float = 0.0) -> None:
        self.segmenter = build_feature_classifier("linear", [2, 1, 1], 2)
        self.loss, self.weight = loss, weight

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, float]:
        if engine.state.iteration != 5:
            return {"loss": 0.5, "dice": 0.1}
        nn.init.constant_(self.segmenter.linear.weight, self.weight)
        return {"loss": self.loss, "dice": 0.1}


def train(step: DivergingStep, file: Path) -> None:
    """Two epochs of three batches, exported after each."""
    handlers = [ExportWeights(step.segmenter, file, Knowledge([]))]
    options = {"train_data_loader": [{}] * 3, "device": torch.device("cpu"), "max_epochs": 2}
    StepTrainer(step=step, train_handlers=handlers, **options).run()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_ends_the_training_at_once(tmp_path, value):
    step = DivergingStep(loss=value, weight=9)
    message = rf"The training's loss is {value} in epoch 2, iteration 2 of 3: it has diverged, .*lower learning rate"
    with pytest.raises(DivergedError, match=message):
        train(step, tmp_path / "model.pt")
    assert torch.load(tmp_path / "model.pt")["linear.weight"].max() < 9  # of the first epoch


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_end_the_training_before_any_handler(tmp_path, value):
    with pytest.raises(DivergedError, match="The segmenter has weights that are not finite in epoch 2, iteration 3"):
        train(DivergingStep(weight=value), tmp_path / "model.pt")
    assert torch.load(tmp_path / "model.pt")["linear.weight"].isfinite().all()


def test_a_training_that_diverges_at_once_exports_nothing(tmp_path):
    network = DivergingStep().segmenter
    with pytest.raises(DivergedError, match="in epoch 1, iteration 1 of 3"):
        StepTrainer(
            step=lambda engine, batch: {"loss": math.nan},
            train_data_loader=[{}] * 3,
            device=torch.device("cpu"),
            max_epochs=1,
            train_handlers=[ExportWeights(network, tmp_path / "model.pt", Knowledge([]))],
        ).run()
    assert [file.name for file in tmp_path.iterdir() if not file.name.endswith(".lock")] == []


def test_a_batch_too_small_for_batch_normalisation_is_one_line():
    def step(engine, batch):
        torch.nn.BatchNorm2d(2)(batch)
        return {"loss": 0.0}

    batches = [torch.zeros(1, 2, 1, 1)]
    trainer = StepTrainer(step=step, train_data_loader=batches, device=torch.device("cpu"), max_epochs=1)
    with pytest.raises(ValueError, match="Pass --batch_size 2 or more, or a larger --image_size_pixels"):
        trainer.run()
