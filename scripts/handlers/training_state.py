"""Checkpoints of a run that can go on, and what must be the same when it does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from torch import distributed, nn, optim

from scripts.config_options import RUNNER_KEYS, TRACKING_KEYS, walk
from scripts.data.feature_format import hash_file
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights, save_atomically
from scripts.networks.knowledge import Knowledge, refuse_broken
from scripts.networks.wrapping import unwrap
from scripts.running_config import running_config

logger = logging.getLogger(__name__)

# Options that may change when a run resumes: how long and on what it runs, and what it writes where. All others may
# not. Folders are not compared, since the fingerprint of the data says what was in them.
MAY_CHANGE = {
    *("max_epochs", "device", "worker_count", "validation_interval_epochs", "val_interval"),
    *("checkpoint_interval_epochs", "picture_interval_epochs", "trust_weights", "slice_batch", "allow_memorised"),
    *("bundle_root", "model_file", "generator_file", "discriminator_file"),
    *RUNNER_KEYS,
    *TRACKING_KEYS,
}
HANDLERS = ("train::handlers", "validate::handlers")  # they show and write what is learned
SHOWN = 3


class TrainingState:
    """Writes everything a run needs to go on at the end of its epochs, and loads it when the run starts again.

    A killed run resumes at its last saved epoch and ends with the weights of an uninterrupted one, given that its
    randomness follows the epoch (`EpochSeed`). Of a finished run nothing is trained again, nor of one that another
    handler ended before its last epoch (`Plateau`). Put it last in the handlers, so that what others do at the end of
    an epoch is saved too.

    A run resumes only with the options it started with, all of its config but `MAY_CHANGE`, on the same data.

    Args:
        file: the checkpoint; always the latest one.
        save_dict: name -> network, optimiser, scheduler or handler with `state_dict` and `load_state_dict`. Plain
            values that handlers keep in the engine's state are saved where its `state_dict_user_keys` name them.
        data: the data sets of the training, each with a `fingerprint`, and of the validation; None where there is none.
        knowledge: what is written beside the weights: of whom they learn, and for which images they are.
        interval: epochs between checkpoints; the last epoch is always saved.
        fixed: options among `MAY_CHANGE` that may not change in this training.
    """

    def __init__(
        self,
        file: str | Path,
        save_dict: Mapping[str, Any],
        data: Sequence[Any],
        knowledge: Knowledge,
        interval: int = 1,
        fixed: Sequence[str] = (),
    ) -> None:
        self.file = Path(file)
        self.save_dict = {name: unwrap(o) if isinstance(o, nn.Module) else o for name, o in save_dict.items()}
        self.interval = interval
        parser = running_config()
        # All that a checkpoint must agree with.
        self.agreed: dict[str, Any] = {
            "processes": _process_count(),
            "options": {} if parser is None else learning_options(parser, fixed),
            "knowledge": asdict(knowledge),
            "data": [None if dataset is None else str(dataset.fingerprint) for dataset in data],
        }

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self.load)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        ended = bool(engine.should_terminate)
        last = ended or engine.state.epoch == engine.state.max_epochs
        if getattr(engine.state, "rank", 0) or (engine.state.epoch % self.interval and not last):
            return
        content: dict[str, Any] = {name: part.state_dict() for name, part in self.save_dict.items()}
        content |= self.agreed
        content["progress"] = {"epoch": engine.state.epoch, "epoch_length": engine.state.epoch_length, "ended": ended}
        content["kept"] = {name: getattr(engine.state, name) for name in engine.state_dict_user_keys}
        save_atomically(content, self.file)

    def load(self, engine: Engine) -> None:
        if not self.file.exists():
            return
        content = load_checkpoint(self.file)
        advice = f"Train into another --output_dir, or remove {self.file} to start anew."
        if not isinstance(content, dict) or not {*self.agreed, "progress"} <= content.keys():
            raise CheckpointError(f"{self.file} is no checkpoint of this version. {advice}")
        _check_progress(content, engine.state.max_epochs, f"{self.file}", advice)
        self._check_same(content, advice)
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
                refuse_broken(part, self.file)
                continue
            try:
                if isinstance(part, optim.Optimizer):
                    self._check_optimizer(name, part, content[name], advice)
                else:
                    _check_form(content[name], part.state_dict(), f"{self.file}: {name}", advice)
                part.load_state_dict(content[name])
            except CheckpointError:
                raise
            except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
                raise CheckpointError(f"{self.file}: the state of '{name}' is damaged ({error}). {advice}") from None
        for name in engine.state_dict_user_keys:
            if name not in content.get("kept", {}):
                raise CheckpointError(f"{self.file} holds no state of '{name}'. {advice}")
            setattr(engine.state, name, content["kept"][name])
        engine.state.epoch = content["progress"]["epoch"]
        engine.state.iteration = engine.state.epoch * length
        logger.info(f"Resumed {self.file} after epoch {engine.state.epoch} of {engine.state.max_epochs}.")
        if content["progress"].get("ended"):
            logger.info("That training ended there by itself: nothing is left to train.")
            engine.terminate()

    def _check_optimizer(self, name: str, own: optim.Optimizer, stored: Mapping[str, Any], advice: str) -> None:
        """Raises CheckpointError for a state of other shapes than the parameters', which would crash the process."""
        parameters = [parameter for group in own.param_groups for parameter in group["params"]]
        numbers = [number for group in stored.get("param_groups", []) for number in group["params"]]
        fits = len(numbers) == len(parameters)
        for number, parameter in zip(numbers, parameters, strict=False):
            values = stored["state"].get(number, {}).values()
            fits = fits and all(value.shape == parameter.shape for value in values if getattr(value, "ndim", 0))
        if not fits:
            raise CheckpointError(f"{self.file}: the state of '{name}' is not that of its network. {advice}")

    def _check_same(self, content: Mapping[str, Any], advice: str) -> None:
        """Raises CheckpointError for a run of another number of processes, other options, patients or data."""
        before, now = content["processes"], self.agreed["processes"]
        if before != now:
            raise CheckpointError(
                f"{self.file} was written by {before} processes, now there are {now}: start as many, since each draws "
                f"its own batches. {advice}"
            )
        before, now = content["options"], self.agreed["options"]
        changed = [name for name in sorted(before.keys() | now.keys()) if _differs(name, before, now)]
        if changed:
            told = [f"{name} {_shown(name, before)}, now it is {_shown(name, now)}" for name in changed[:SHOWN]]
            more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
            raise CheckpointError(f"{self.file} was written with {'; '.join(told)}{more}. {advice}")
        before, now = content["knowledge"], self.agreed["knowledge"]
        changed = [f"{name} {_difference(before.get(name), now[name])}" for name in now if _differs(name, before, now)]
        if changed or content["data"] != self.agreed["data"]:
            why = "; ".join(changed) or "other slices, pixels, classes, splits or preprocessing"
            raise CheckpointError(f"{self.file} was written with other training data: {why}. {advice}")


def _check_progress(content: Mapping[str, Any], max_epochs: int | None, file: str, advice: str) -> None:
    progress = content["progress"]
    parts = (content["options"], content["knowledge"], progress, content.get("kept", {}))
    numbers = [progress.get(name) for name in ("epoch", "epoch_length")] if isinstance(progress, dict) else []
    if not all(isinstance(part, dict) for part in parts) or not all(type(n) is int and n > 0 for n in numbers):
        raise CheckpointError(f"{file} does not say how far its training came: its progress is {progress}. {advice}")
    if max_epochs is not None and progress["epoch"] > max_epochs:
        raise CheckpointError(f"{file} is of epoch {progress['epoch']}, beyond max_epochs {max_epochs}. {advice}")


def _check_form(state: Any, own: Any, where: str, advice: str) -> None:
    """Raises CheckpointError where a state is not of the keys and types that a part writes before its first epoch.

    Lists and dictionaries that fill up in training, and values that are None first, may be anything of their type.
    """
    number = isinstance(own, (int, float)) and isinstance(state, (int, float))
    if own is None or (number and not isinstance(state, bool)) or isinstance(own, torch.Tensor):
        return
    if not isinstance(state, type(own)):
        raise CheckpointError(
            f"{where} is {str(state)[:80]!r}, expected a {type(own).__name__}: it is damaged. {advice}"
        )
    if isinstance(own, dict) and own:
        if lacks := own.keys() - state.keys():
            raise CheckpointError(f"{where} holds no {min(map(str, lacks))!r}: it is damaged. {advice}")
        for name, value in own.items():
            _check_form(state[name], value, f"{where}.{name}", advice)


def learning_options(parser: ConfigParser, fixed: Sequence[str] = ()) -> dict[str, Any]:
    """Id -> value of all leaves of a config that decide what is learned; of a file that is read, its SHA-256.

    Args:
        parser: of the config as it runs, with its overrides.
        fixed: see `TrainingState`.
    """
    options = {}
    for name, value in walk(parser.get()):
        top = name.split("::")[0]
        if isinstance(value, dict) or (isinstance(value, list) and any(isinstance(v, dict | list) for v in value)):
            continue
        if (top in MAY_CHANGE and top not in fixed) or top.endswith("_dir") or name.startswith(HANDLERS):
            continue
        if name == top and top.endswith("_file"):
            value = parser.get_parsed_content(name)
            if value is not None and Path(value).is_file():
                value = f"a file with SHA-256 {hash_file(value)[:12]}"
        options[name] = list(value) if isinstance(value, tuple) else value
    return options


def _differs(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    return name not in before or name not in now or before[name] != now[name]


def _shown(name: str, options: Mapping[str, Any]) -> Any:
    return options.get(name, "absent")


def _difference(before: Any, now: Any) -> str:
    """In which two values differ: of lists the first entry that only one of them has."""
    if isinstance(before, list) and isinstance(now, list) and (other := {*before} ^ {*now}):
        return f"{'had' if min(other) in before else 'now has'} {min(other)!r}"
    return f"{before}, now it is {now}"


def _process_count() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1
