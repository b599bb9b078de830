"""Training step of the lesion segmenter: the downstream network, and Red-GAN's third player."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import nn

from scripts.networks.precision import autocast


class SegmenterStep:
    """One supervised update: forward, loss, backward, optimiser.

    Args:
        network: images (B, C, S, S) in [-1, 1] to logits (B, K, S, S), one channel per foreground label.
        optimizer: of the network's parameters.
        loss: (logits, label map (B, 1, S, S)) to a scalar.
        inferer: how the network is called.
        precision: of the forward pass, see `choose_precision`.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        *,
        inferer: Inferer | None = None,
        precision: torch.dtype = torch.float32,
    ) -> None:
        self.network = network
        self.optimizer = optimizer
        self.loss = loss
        self.inferer = inferer or SimpleInferer()
        self.precision = precision

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        image = batch["image"].to(device, non_blocking=True)  # (B, C, S, S)
        label = batch["label"].to(device, non_blocking=True)  # (B, 1, S, S)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(device, self.precision):
            logits = self.inferer(image, self.network)  # (B, K, S, S)
        loss = self.loss(logits, label)
        loss.backward()
        self.optimizer.step()
        return {"loss": loss.item()}
