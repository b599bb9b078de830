"""Files of weights that are whole or absent, and weights that fit their network exactly."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.data.atomic import replacing
from scripts.untrusted import find_irregular


class CheckpointError(ValueError):
    """A checkpoint that cannot be read or used here; the message says why and what to do."""


def save_atomically(content: Any, file: str | Path) -> None:
    """`torch.save` to a file that is whole or absent; a WriteError leaves the old one as it is."""
    with replacing(Path(file), _count_bytes(content)) as temporary, open(temporary, "wb") as stream:
        torch.save(content, stream)


def load_checkpoint(file: str | Path) -> Any:
    """What `save_atomically` wrote; only tensors and plain containers are accepted.

    Raises:
        CheckpointError: no such file, or not a checkpoint.
    """
    if kind := find_irregular(file):
        raise CheckpointError(f"{file} is {kind}, expected a file of weights. Name the file.")
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"No checkpoint {file}. Train that network first, or correct the path.") from None
    except Exception as error:  # whatever damaged bytes make the reader raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise CheckpointError(
            f"{file} is no readable checkpoint ({reason}). Train it again, or name another file."
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
                "Name weights of this network and version, give data like theirs, or train it again."
            )
    network.load_state_dict(weights)


def _count_bytes(content: Any) -> int:
    """Of the tensors in plain containers."""
    if isinstance(content, torch.Tensor):
        return content.nbytes
    parts = content.values() if isinstance(content, Mapping) else content if isinstance(content, list | tuple) else ()
    return sum(map(_count_bytes, parts))


def _shape(value: Any) -> Any:
    """Shape of a tensor; the type's name of whatever else a file may hold, such as a whole checkpoint's parts."""
    if isinstance(value, torch.Tensor) and value.is_complex():
        return f"complex {tuple(value.shape)}"
    return tuple(value.shape) if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
