"""Writing the weights that others use: the best by validation, or the moving average."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.data.contract import write_json
from scripts.handlers.training_state import CheckpointError, save_atomically
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
        trained_on: patients that the network learns from, written beside it, see `write_trained_on`; None for no file.
        about: what else that file says.
    """

    def __init__(
        self,
        network: nn.Module,
        file: str | Path,
        metric: str,
        trained_on: Sequence[str] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.file = Path(file)
        self.metric = metric
        self.trained_on = trained_on
        self.about = about
        self.best: float | None = None
        self.weights: dict[str, torch.Tensor] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        value = float(engine.state.metrics[self.metric])
        if self.best is None or value > self.best:
            best = float("-inf") if self.best is None else self.best
            self.best = max(best, value)  # max keeps its first argument where the value is NaN
            current = unwrap(self.network).state_dict()
            self.weights = {name: tensor.detach().cpu().clone() for name, tensor in current.items()}
            if not getattr(engine.state, "rank", 0):
                self._write()
                logger.info(f"Best {self.metric} so far, {value:.4f}: wrote {self.file}")

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "weights": self.weights}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.best, self.weights = state["best"], state["weights"]
        if self.weights and not self.file.exists():
            self._write()

    def _write(self) -> None:
        if self.trained_on is not None:
            write_trained_on(self.file, self.trained_on, self.about)
        save_atomically(self.weights, self.file)


class ExportWeights:
    """Attached to a trainer: writes a network's weights (a generator's moving average) every `interval` epochs.

    A finished run that is started again writes them once more if their file is gone.

    Args:
        network: whose `state_dict` is written.
        file: the `model.pt`.
        interval: epochs between exports; the last epoch is always exported.
        trained_on: patients that the network learns from, written beside it, see `write_trained_on`; None for no file.
        about: what else that file says.
    """

    def __init__(
        self,
        network: nn.Module,
        file: str | Path,
        interval: int = 1,
        trained_on: Sequence[str] | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.network = network
        self.file = Path(file)
        self.interval = interval
        self.trained_on = trained_on
        self.about = about

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)
        engine.add_event_handler(Events.COMPLETED, self._complete)

    def _complete(self, engine: Engine) -> None:
        if not self.file.exists():
            self(engine)

    def __call__(self, engine: Engine) -> None:
        last = engine.state.epoch == engine.state.max_epochs
        if not getattr(engine.state, "rank", 0) and (last or engine.state.epoch % self.interval == 0):
            if self.trained_on is not None:
                write_trained_on(self.file, self.trained_on, self.about)
            save_atomically(unwrap(self.network).state_dict(), self.file)


class ExportCandidates:
    """Attached to a trainer: writes a generator's weights after each of some epochs, for a later choice among them.

    Args:
        network: whose `state_dict` is written.
        folder: of the files `epoch_<n>.pt`.
        epochs: at whose end it is written, whole numbers from 1.
        trained_on: patients that it learns from.

    Raises:
        ValueError: anything else as `epochs`; at the start of a training that ends before the first of them.
    """

    def __init__(
        self, network: nn.Module, folder: str | Path, epochs: Sequence[int], trained_on: Sequence[str]
    ) -> None:
        last_epoch(epochs)
        self.network = network
        self.trained_on = trained_on
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
            write_trained_on(file, self.trained_on)
            save_atomically(unwrap(self.network).state_dict(), file)


def last_epoch(epochs: Sequence[int]) -> int:
    """The last of the epochs after which candidates are written.

    Raises:
        ValueError: anything but a list of whole numbers from 1.
    """
    if not isinstance(epochs, (list, tuple)) or not all(isinstance(e, int) and e > 0 for e in epochs) or not epochs:
        raise ValueError(f"candidate_epochs is {epochs!r}, expected a list of epochs from 1, such as [10, 50].")
    return max(epochs)


def write_trained_on(file: Path, patients: Sequence[str], about: Mapping[str, Any] | None = None) -> None:
    """Writes `<name>.json` beside a network's weights: the patients that it learns from.

    Synthetic images carry these names on, so that nobody tests on a patient whose images their generator has seen.
    """
    write_json(file.with_suffix(".json"), {"trained_on": sorted(patients), **(about or {})})


def read_trained_on(file: str | Path) -> list[str]:
    """Patients that a network learned from.

    Raises:
        CheckpointError: no readable `<name>.json` beside the weights.
    """
    beside = Path(file).with_suffix(".json")
    try:
        return [str(patient) for patient in json.loads(beside.read_text(encoding="utf-8"))["trained_on"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{beside} does not say which patients {file} was trained on ({type(error).__name__}). Training writes it "
            "beside the weights: copy it with them, or train again."
        ) from None
