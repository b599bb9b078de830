"""Networks inside wrappers, and networks that only pass gradients on."""

from __future__ import annotations

from torch import nn


def unwrap(network: nn.Module) -> nn.Module:
    """The network inside a DistributedDataParallel wrapper, or the network itself."""
    return network.module if isinstance(network, nn.parallel.DistributedDataParallel) else network


def freeze(network: nn.Module) -> nn.Module:
    """The network in eval mode and without gradients for its parameters; gradients still flow through it."""
    return network.eval().requires_grad_(False)
