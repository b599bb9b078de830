"""The one trainer: it runs a step object on each batch, and everything else is a handler."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from ignite.engine import Events
from monai.engines import Trainer
from monai.engines.utils import IterationEvents
from torch import nn

SINGLE_VALUE = "Expected more than 1 value per channel"  # torch's words
Step = Callable[[Any, dict[str, Any]], dict[str, Any]]


class DivergedError(ValueError):
    """A training whose losses or weights are not finite any more; the message says since when."""


class StepTrainer(Trainer):
    """Runs `step(engine, batch)` per iteration and keeps `[what it returns]` as `engine.state.output`.

    The list of one is the form of MONAI's own trainers, from which `--tracking mlflow` takes the loss.

    The step returns its scalars as floats under their names, the one to watch as `loss`. A scalar that is not finite
    ends the training at once, a weight that is not finite at the end of its epoch, before any handler exports it.

    Args:
        step: the order of updates of one iteration, such as `RedGANStep`.
        train_data_loader: batches, dictionaries of tensors.
        train_handlers: attached in this order.
        kwargs: of `monai.engines.Trainer`: device, max_epochs, postprocessing, key_metric ...

    Raises:
        ValueError: while training, a batch of one image that is too small for batch normalisation.
    """

    def __init__(
        self, *, step: Step, train_data_loader: Any, train_handlers: Sequence[Any] | None = None, **kwargs: Any
    ) -> None:
        self.step = step
        super().__init__(data_loader=train_data_loader, decollate=False, **kwargs)
        self.add_event_handler(Events.EPOCH_COMPLETED, self._check_weights)
        for handler in train_handlers or ():
            handler.attach(self)

    def _check_weights(self, engine: Any) -> None:
        networks = {name: part for name, part in vars(self.step).items() if isinstance(part, nn.Module)}
        for name, network in networks.items():
            if not all(parameter.isfinite().all() for parameter in network.parameters()):
                raise DivergedError(f"The {name} has weights that are not finite {_advise(engine)}")

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> dict[str, Any]:
        try:
            scalars = self.step(engine, batchdata)
        except ValueError as error:
            if SINGLE_VALUE not in str(error):
                raise
            raise ValueError(
                "Batch normalisation needs more than one value per channel, but the last layers see one pixel of one "
                "image. Pass --batch_size 2 or more, or a larger --image_size_pixels."
            ) from error
        for name, value in scalars.items():
            if not math.isfinite(value):
                raise DivergedError(f"The training's {name} is {value} {_advise(engine)}")
        engine.state.output = [scalars]
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output


def _advise(engine: Any) -> str:
    iteration = (engine.state.iteration - 1) % engine.state.epoch_length + 1
    return (
        f"in epoch {engine.state.epoch}, iteration {iteration} of {engine.state.epoch_length}: it has diverged, and "
        "nothing of this epoch was exported. Train anew with a lower learning rate (or --mixed_precision False)."
    )
