"""Networks that start from weights trained on another data set, whose images may have another number of channels."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import torch
from torch import nn

from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights
from scripts.networks.weights import Weights
from scripts.networks.wrapping import unwrap

logger = logging.getLogger(__name__)


def load_pretrained(network: nn.Module, weights: Weights | None) -> nn.Module:
    """The network with weights of the same configuration but any number of channels; for configs.

    All names and shapes must agree, apart from the input channels of the first convolution, which `adapt_channels`
    changes where they differ.

    Args:
        network: to train on, with the first `nn.Conv2d` it registers looking at the image.
        weights: to start from, opened for "augmentation"; None changes nothing.

    Raises:
        CheckpointError: weights of another configuration (the message names the first that differs).
    """
    if weights is None:
        return network
    inner = unwrap(network)
    stored = load_checkpoint(weights.file)
    name, target = _first_convolution(inner)
    kernel = stored.get(name) if isinstance(stored, Mapping) else None
    if isinstance(kernel, torch.Tensor) and kernel.ndim == target.ndim and kernel.shape[1] != target.shape[1]:
        stored = {**stored, name: adapt_channels(kernel, target.shape[1])}
        logger.info(
            f"{weights.file}: the first convolution took {kernel.shape[1]} channels, here {target.shape[1]}: adapted."
        )
    load_weights(inner, stored, str(weights.file))
    return network


def adapt_channels(weight: torch.Tensor, channels: int) -> torch.Tensor:
    """A convolution's kernel for another number of input channels: the sum over the old ones, shared out equally.

    In other words their mean, repeated for each new channel, times old / new. Where all channels of an image are equal,
    the answer stays what it was; of others it sees the mean. For the same number nothing changes.

    Shapes: (O, old, X, Y) -> (O, channels, X, Y).
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
