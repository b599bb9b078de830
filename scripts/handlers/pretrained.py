"""Networks that start from weights trained on another data set, whose images may have another number of channels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from scripts.data.contract import Dataset
from scripts.data.splits import held_out_patients
from scripts.handlers.export import read_trained_on
from scripts.handlers.training_state import CheckpointError, load_checkpoint, load_weights
from scripts.networks.wrapping import unwrap

logger = logging.getLogger(__name__)


def load_pretrained(
    network: nn.Module, file: str | Path | None, *, dataset: Dataset | None = None, fold: int | None = None
) -> nn.Module:
    """The network with the weights of a `model.pt` of the same configuration but any number of channels; for configs.

    All names and shapes must agree, apart from the input channels of the first convolution, which `adapt_channels`
    changes where they differ.

    Args:
        network: to train on, with the first `nn.Conv2d` it registers looking at the image.
        file: the weights; None changes nothing.
        dataset: whose validation and test patients they must not know, see `check_patients`; None for no check.
        fold: of the cross-validation.

    Raises:
        CheckpointError: no such file, weights of another configuration (the message names the first that differs), or
            such that know a patient who is held out.
    """
    if file is None:
        return network
    inner = unwrap(network)
    weights = load_checkpoint(file)
    if dataset is not None:
        check_patients(file, dataset, fold)
    name, target = _first_convolution(inner)
    stored = weights.get(name) if isinstance(weights, Mapping) else None
    if isinstance(stored, torch.Tensor) and stored.ndim == target.ndim and stored.shape[1] != target.shape[1]:
        weights = {**weights, name: adapt_channels(stored, target.shape[1])}
        logger.info(f"{file}: the first convolution took {stored.shape[1]} channels, here {target.shape[1]}: adapted.")
    load_weights(inner, weights, str(file))
    return network


def check_patients(file: str | Path, dataset: Dataset, fold: int | None = None) -> None:
    """Warns where nothing beside weights says whom they were trained on.

    Raises:
        CheckpointError: they know a patient of the data set's validation or test split.
    """
    if not Path(file).with_suffix(".json").exists():
        logger.warning(f"Nothing beside {file} says whom it was trained on: make sure that it is nobody held out here.")
        return
    held_out = held_out_patients(dataset, fold)
    leaked = [patient for patient in read_trained_on(file) if patient in held_out]
    if leaked:
        raise CheckpointError(
            f"{file} was trained on patient {leaked[0]!r} of the {held_out[leaked[0]]} split"
            f"{'' if fold is None else f' of fold {fold}'} of {dataset.root}. Name weights that know training patients "
            "only; where others merely have the same names, copy the file without the .json beside it."
        )


def known_patients(patients: Sequence[str], pretrained_file: str | Path | None) -> list[str]:
    """Whom a network knows that is trained on `patients` from pretrained weights, each once, sorted; for configs."""
    if pretrained_file is None or not Path(pretrained_file).with_suffix(".json").exists():
        return sorted(set(patients))
    return sorted({*patients, *read_trained_on(pretrained_file)})


def adapt_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A convolution's kernel for another number of input channels: the sum over the old ones, shared out equally.

    In other words their mean, repeated for each new channel, times old / new. Where all channels of an image are equal,
    the answer stays what it was; of others it sees the mean. For the same number nothing changes.

    Args:
        weight: (O, old, X, Y).
        channels: the new number of input channels.

    Returns:
        (O, channels, X, Y).
    """
    if weight.shape[1] == channels:
        return weight
    return (weight.sum(dim=1, keepdim=True) / channels).repeat(1, channels, 1, 1)


def _first_convolution(network: nn.Module) -> tuple[str, torch.Tensor]:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            return f"{name}.weight".lstrip("."), module.weight
    raise CheckpointError(
        f"{type(network).__name__} has no Conv2d whose channels could be adapted: expected a network of images. "
        "Pass no file."
    )
