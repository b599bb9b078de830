"""Training step of networks that learn from targets: segmenters, and the classifier of real and synthetic images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

import torch
from monai.inferers import Inferer, SimpleInferer
from torch import nn

from scripts.engines.adversarial import update
from scripts.networks.precision import autocast


@dataclass(eq=False)
class SupervisedStep:
    """One supervised update: forward, loss, backward, optimiser.

    Attributes:
        network: images (B, C, S, S) in [-1, 1] to logits.
        optimizer: of the network's parameters.
        loss: (logits, the batch's `label`) to a scalar; for segmenters the label is a map (B, 1, S, S), for the
            classifier (B, 1).
        inferer: how the network is called.
        precision: of the forward pass, see `choose_precision`.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    _: KW_ONLY
    inferer: Inferer = field(default_factory=SimpleInferer)
    precision: torch.dtype = torch.float32

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        image = batch["image"].to(device, non_blocking=True)  # (B, C, S, S)
        label = batch["label"].to(device, non_blocking=True)  # (B, 1, S, S) or (B, 1)
        self.network.train()
        with autocast(device, self.precision):
            logits = self.inferer(image, self.network)  # (B, K, S, S) or (B, 1)
        loss = self.loss(logits.float(), label)
        update(self.optimizer, loss)
        return {"loss": loss.item()}
