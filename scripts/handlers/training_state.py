"""Checkpoints that are whole or absent, and resuming from them."""

from __future__ import annotations

import contextlib
import copy
import errno
import logging
import os
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.networks.wrapping import unwrap

logger = logging.getLogger(__name__)


class CheckpointError(ValueError):
    """A checkpoint that cannot be written, read or used here; the message says why and what to do."""


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


def save_atomically(content: Any, file: str | Path) -> None:
    """`torch.save` to a temporary file beside `file`, flushed to the disk, then renamed.

    Raises:
        CheckpointError: disk full or folder not writable; the old file is untouched.
    """
    file = Path(file)
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with open(temporary, "wb") as stream:
            torch.save(content, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, file)
    except (OSError, RuntimeError) as error:
        full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else str(error)
        raise CheckpointError(f"Cannot write {file}: {why}. Free space, or name another folder.") from error
    finally:
        with contextlib.suppress(OSError):  # there may be no folder to unlink it from
            temporary.unlink()


def load_checkpoint(file: str | Path, map_location: str = "cpu") -> Any:
    """What `save_atomically` wrote; only tensors and plain containers are accepted.

    Raises:
        CheckpointError: no such file, or not a checkpoint.
    """
    try:
        return torch.load(file, map_location=map_location, weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"No checkpoint {file}. Train that network first, or correct the path.") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise CheckpointError(
            f"{file} is no readable checkpoint ({_first_line(error)}). Train it again, or name another file."
        ) from None


def load_weights(network: nn.Module, weights: Mapping[str, torch.Tensor], where: str) -> None:
    """Loads weights into a network of exactly the same configuration.

    Raises:
        CheckpointError: other names or shapes; the message shows the first that differs.
    """
    if not isinstance(weights, Mapping):
        raise CheckpointError(f"{where} holds a {type(weights).__name__}, expected weights by name. Name another file.")
    own = network.state_dict()
    for name in sorted(own.keys() | weights.keys()):
        stored, wanted = (_shape(d[name]) if name in d else "absent" for d in (weights, own))
        if stored != wanted:
            raise CheckpointError(
                f"{where} is of another configuration: '{name}' is {stored} there and {wanted} here. "
                "Pass the options it was trained with (image_size, channels, labels, classes, width), or another file."
            )
    network.load_state_dict(weights)


def _shape(value: Any) -> Any:
    """Shape of a tensor; the type's name of whatever else a file may hold, such as a whole checkpoint's parts."""
    return tuple(value.shape) if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def load_network(network: nn.Module, file: str | Path) -> nn.Module:
    """The network with the weights of an exported `model.pt`, for configs."""
    load_weights(unwrap(network), load_checkpoint(file), str(file))
    return network


def load_networks(network: nn.Module, files: Sequence[str | Path]) -> list[nn.Module]:
    """One copy of the network per file of weights, for configs."""
    return [load_network(copy.deepcopy(network), file) for file in files]
