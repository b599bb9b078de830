from __future__ import annotations

import pytest
import torch
from ignite.engine import Events
from monai.engines.utils import IterationEvents

from scripts.engines.trainer import StepTrainer


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


def test_a_batch_too_small_for_batch_normalisation_is_one_line():
    def step(engine, batch):
        torch.nn.BatchNorm2d(2)(batch)
        return {"loss": 0.0}

    batches = [torch.zeros(1, 2, 1, 1)]
    trainer = StepTrainer(step=step, train_data_loader=batches, device=torch.device("cpu"), max_epochs=1)
    with pytest.raises(ValueError, match="Pass --batch_size 2 or more, or a larger --image_size_pixels"):
        trainer.run()
