"""The one trainer: it runs a step object on each batch, and everything else is a handler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monai.engines import Trainer
from monai.engines.utils import IterationEvents

SINGLE_VALUE = "Expected more than 1 value per channel"  # torch's words
Step = Callable[[Any, dict[str, Any]], dict[str, Any]]


class StepTrainer(Trainer):
    """Runs `step(engine, batch)` per iteration and keeps `[what it returns]` as `engine.state.output`.

    The list of one is the form of MONAI's own trainers, from which `--tracking mlflow` takes the loss.

    The step returns its scalars as floats under their names, the one to watch as `loss`.

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
        super().__init__(data_loader=train_data_loader, decollate=False, handlers=train_handlers, **kwargs)

    def _iteration(self, engine: Any, batchdata: dict[str, Any]) -> dict[str, Any]:
        try:
            engine.state.output = [self.step(engine, batchdata)]
        except ValueError as error:
            if SINGLE_VALUE not in str(error):
                raise
            raise ValueError(
                "Batch normalisation needs more than one value per channel, but the last layers see one pixel of one "
                "image. Pass --batch_size 2 or more, or a larger --image_size_pixels."
            ) from error
        engine.fire_event(IterationEvents.MODEL_COMPLETED)
        return engine.state.output
