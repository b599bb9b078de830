"""Checkpoints that are whole or absent, and resuming from them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from torch import nn

from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights, save_atomically
from scripts.networks.wrapping import unwrap

logger = logging.getLogger(__name__)


class TrainingState:
    """Writes everything a run needs to go on at the end of its epochs, and loads it when the run starts again.

    A killed run resumes at its last saved epoch and ends with the weights of an uninterrupted one, given that its
    randomness follows the epoch (`EpochSeed`). Of a finished run nothing is trained again. Put it last in the
    handlers, so that what others do at the end of an epoch is saved too.

    Args:
        file: the checkpoint; always the latest one.
        save_dict: name -> network, optimiser, scheduler or handler with `state_dict` and `load_state_dict`.
        settings: name -> plain value of what must be the same when the run resumes (seed, fold, sizes).
        interval: epochs between checkpoints; the last epoch is always saved.
    """

    def __init__(
        self,
        file: str | Path,
        save_dict: Mapping[str, Any],
        settings: Mapping[str, Any] | None = None,
        interval: int = 1,
    ) -> None:
        self.file = Path(file)
        self.save_dict = {name: unwrap(o) if isinstance(o, nn.Module) else o for name, o in save_dict.items()}
        self.settings = dict(settings or {})
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        last = engine.state.epoch == engine.state.max_epochs
        if getattr(engine.state, "rank", 0) or (engine.state.epoch % self.interval and not last):
            return
        content: dict[str, Any] = {name: part.state_dict() for name, part in self.save_dict.items()}
        content["settings"] = self.settings
        content["progress"] = {"epoch": engine.state.epoch, "epoch_length": engine.state.epoch_length}
        save_atomically(content, self.file)

    def load(self, engine: Engine) -> None:
        for left_behind in self.file.parent.glob(f".{self.file.name}.*.tmp"):  # by a run that was killed while saving
            left_behind.unlink(missing_ok=True)
        if not self.file.exists():
            return
        content = load_checkpoint(self.file)
        advice = f"Train into another --output_dir, or remove {self.file} to start anew."
        stored = content.get("settings", {})
        for name, value in self.settings.items():
            if name in stored and stored[name] != value:
                raise CheckpointError(
                    f"{self.file} was written with {name} = {stored[name]}, now it is {value}. {advice}"
                )
        length = content["progress"]["epoch_length"]
        if length != engine.state.epoch_length:
            raise CheckpointError(
                f"{self.file} was written with {length} iterations per epoch, now there are "
                f"{engine.state.epoch_length}: the data or the batch size changed. {advice}"
            )
        for name, part in self.save_dict.items():
            if name not in content:
                raise CheckpointError(f"{self.file} holds no state of '{name}'. {advice}")
            if isinstance(part, nn.Module):
                load_weights(part, content[name], f"{self.file} ({name})")
            else:
                part.load_state_dict(content[name])
        engine.state.epoch = content["progress"]["epoch"]
        engine.state.iteration = engine.state.epoch * length
        logger.info(f"Resumed {self.file} after epoch {engine.state.epoch} of {engine.state.max_epochs}.")
