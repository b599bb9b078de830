"""Writing the weights that others use: the best by validation, or the moving average."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.data.claims import claim
from scripts.networks.knowledge import Knowledge, write_weights
from scripts.networks.wrapping import unwrap

logger = logging.getLogger(__name__)


class KeepBest:
    """Attached to a validator: writes the network's weights whenever the metric is higher than ever before.

    The best weights are part of its state too, so that a resumed run whose file is gone (workflow managers remove the
    outputs of jobs that they start again) writes it anew, even where all epochs are done.

    Args:
        network: whose `state_dict` is written.
        file: the `model.pt`.
        metric: name in `engine.state.metrics`, higher is better; a run's first value counts even where it is NaN, so
            that a file of an earlier run never passes for this one's.
        knowledge: written beside the weights, see `describe_weights`.
    """

    def __init__(
        self,
        network: nn.Module,
        file: str | Path,
        metric: str,
        knowledge: Knowledge,
    ) -> None:
        self.network = network
        self.file = Path(file)
        self.metric = metric
        self.knowledge = knowledge
        self.best: float | None = None
        self.weights: dict[str, torch.Tensor] = {}

    def attach(self, engine: Engine) -> None:
        _claim_file(self.file, engine)
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        value = float(engine.state.metrics[self.metric])
        if self.best is None or value > self.best:
            best = float("-inf") if self.best is None else self.best
            self.best = max(best, value)  # max keeps its first argument where the value is NaN
            self.keep(engine)
            if not getattr(engine.state, "rank", 0):
                logger.info(f"Best {self.metric} so far, {value:.4f}: wrote {self.file}")

    def keep(self, engine: Engine) -> None:
        """Takes the network's weights as the best ones, and rank 0 writes them."""
        self.weights = self._copy_weights()
        if not getattr(engine.state, "rank", 0):
            self._write()

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best = None if state["best"] is None else float(state["best"])
        self.weights = state["weights"]
        if self.weights and not self.file.exists():
            self._write()

    def _copy_weights(self) -> dict[str, torch.Tensor]:
        current = unwrap(self.network).state_dict()
        return {name: tensor.detach().cpu().clone() for name, tensor in current.items()}

    def _write(self) -> None:
        write_weights(self.file, self.network, self.knowledge, self.weights)


class ExportWeights:
    """Attached to a trainer: writes a network's weights (a generator's moving average) every `interval` epochs.

    A finished run that is started again writes them once more if their file is gone.

    Args:
        network: whose `state_dict` is written.
        file: the `model.pt`.
        knowledge: written beside the weights, see `describe_weights`.
        interval: epochs between exports; the last epoch is always exported.
    """

    def __init__(
        self,
        network: nn.Module,
        file: str | Path,
        knowledge: Knowledge,
        interval: int = 1,
    ) -> None:
        self.network = network
        self.file = Path(file)
        self.interval = interval
        self.knowledge = knowledge

    def attach(self, engine: Engine) -> None:
        _claim_file(self.file, engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._complete)

    def _complete(self, engine: Engine) -> None:
        if not self.file.exists():
            self(engine)

    def __call__(self, engine: Engine) -> None:
        last = engine.state.epoch == engine.state.max_epochs
        if not getattr(engine.state, "rank", 0) and (last or engine.state.epoch % self.interval == 0):
            write_weights(self.file, self.network, self.knowledge)


class ExportCandidates:
    """Attached to a trainer: writes a generator's weights after each of some epochs, for a later choice among them.

    Args:
        network: whose `state_dict` is written.
        folder: of the files `epoch_<n>.pt`.
        epochs: at whose end it is written, whole numbers from 1.
        knowledge: written beside each, see `describe_weights`.

    Raises:
        ValueError: anything else as `epochs`; at the start of a training that ends before the first of them.
    """

    def __init__(self, network: nn.Module, folder: str | Path, epochs: Sequence[int], knowledge: Knowledge) -> None:
        last_epoch(epochs)
        self.network = network
        self.knowledge = knowledge
        self.folder = Path(folder)
        self.epochs = set(epochs)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._check)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def _check(self, engine: Engine) -> None:
        if min(self.epochs) > (engine.state.max_epochs or 0):
            raise ValueError(
                f"max_epochs is {engine.state.max_epochs}, but the first generator to be kept is that of epoch "
                f"{min(self.epochs)}. Leave --max_epochs out: it follows from the other options."
            )

    def __call__(self, engine: Engine) -> None:
        if engine.state.epoch in self.epochs and not getattr(engine.state, "rank", 0):
            file = self.folder / f"epoch_{engine.state.epoch:04d}.pt"
            write_weights(file, self.network, self.knowledge)


def _claim_file(file: Path, engine: Engine) -> None:
    """Lets rank 0 alone write the weights, which may lie beside those of other trainings."""
    if not getattr(engine.state, "rank", 0):
        claim(file)


def last_epoch(epochs: Sequence[int]) -> int:
    """The last of the epochs after which candidates are written.

    Raises:
        ValueError: anything but a list of whole numbers from 1.
    """
    if not isinstance(epochs, (list, tuple)) or not all(isinstance(e, int) and e > 0 for e in epochs) or not epochs:
        raise ValueError(f"candidate_epochs is {epochs!r}, expected a list of epochs from 1, such as [10, 50].")
    return max(epochs)
