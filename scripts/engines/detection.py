"""Training and evaluation steps of a lesion detector."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import torch
from torch import nn

from scripts.inferers.detection import DetectionInferer
from scripts.losses.yolo import YOLOLossParts
from scripts.networks.precision import autocast

PARTS = ("box_loss", "objectness_loss", "class_loss")


def build_optimizer(
    network: nn.Module, *, learning_rate: float, momentum: float | None = None, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Adam, or with a momentum stochastic gradient descent, by which the authors train YOLOv3 (.9).

    Args:
        network: whose parameters are updated.
        learning_rate: of each step.
        momentum: in [0, 1); None for Adam.
        weight_decay: of the convolutions' weights; in the authors' code 5e-4, of neither biases nor norms.
    """
    parameters = list(network.parameters())
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": weight_decay},
        {"params": [each for each in parameters if each.ndim == 1], "weight_decay": 0.0},
    ]
    if momentum is None:
        return torch.optim.Adam(groups, lr=learning_rate)
    return torch.optim.SGD(groups, lr=learning_rate, momentum=momentum)


@dataclass(eq=False)
class DetectionStep:
    """One supervised update of a detector: forward, loss, backward, optimiser.

    Attributes:
        network: images (B, C, S, S) in [-1, 1] to raw maps, see `YOLOv3`.
        optimizer: of the network's parameters.
        loss: (raw maps, boxes (B, M, 4), box classes (B, M)) to its parts, see `YOLOLoss.parts`.
        gradient_norm: longer gradients are scaled down to it; the first hundreds of steps need that, or a burn-in. None
            leaves them.
        precision: of the forward pass, see `choose_precision`.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    loss: Callable[[list[torch.Tensor], torch.Tensor, torch.Tensor], YOLOLossParts]
    _: KW_ONLY
    gradient_norm: float | None = 10.0
    precision: torch.dtype = torch.float32

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        image = batch["image"].to(device, memory_format=torch.channels_last, non_blocking=True)  # (B, C, S, S)
        self.network.train()
        self.optimizer.zero_grad(set_to_none=True)
        with autocast(device, self.precision):
            maps = self.network(image)  # per stride (B, 3, 5 + K, S / stride, S / stride)
        parts = torch.stack(self.loss(maps, batch["boxes"], batch["box_classes"]))  # (3,)
        parts.sum().backward()
        if self.gradient_norm is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.gradient_norm)
        self.optimizer.step()
        values = parts.detach().tolist()
        return {"loss": sum(values), **dict(zip(PARTS, values, strict=True))}


@dataclass(eq=False)
class DetectionEvaluation:
    """Iteration of an evaluator: what a detector finds in each slice, beside the true boxes, for `BoxScores`.

    Afterwards `engine.state.batch` is a list with `patient`, `source` and `image` of each slice.

    Attributes:
        network: the detector.
        inferer: how it is called.
    """

    network: nn.Module
    inferer: DetectionInferer

    @torch.no_grad()
    def __call__(self, engine: Any, batch: dict[str, Any]) -> list[dict[str, Any]]:
        self.network.eval()
        found = self.inferer(batch["image"].to(engine.state.device, memory_format=torch.channels_last), self.network)
        named = zip(batch["patient"], batch["source"], batch["image"], strict=True)
        engine.state.batch = [{"patient": p, "source": s, "image": image} for p, s, image in named]
        truths = zip(found, batch["boxes"], batch["box_classes"], strict=True)
        return [{**each, "boxes": boxes, "box_classes": classes} for each, boxes, classes in truths]
