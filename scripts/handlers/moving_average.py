"""A moving average of a generator's weights, as long as it has seen images for."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.networks.wrapping import unwrap

RAMP = 0.05  # longest half-life as a share of the images shown


class MovingAverage:
    """Attached to a trainer: averages a network's weights exponentially, with a half-life in images shown to it.

    ``average = b * average + (1 - b) * weights`` with ``b = .5 ** (images of the minibatch / half-life)``, where the
    half-life is at most a twentieth of the images shown so far: short trainings, too, forget how they began (Karras et
    al., Training generative adversarial networks with limited data, 2020, whose implementation has this ramp). A rate
    per iteration, as Karras et al. (2018) have it, .999, suits the length that it was chosen for. Buffers are copied.

    Args:
        network: that is trained.
        half_life_images: longest half-life, 10 thousand in their implementation; 0 takes the weights as they are.

    Attributes:
        network: the average, in evaluation mode.

    Raises:
        ValueError: a negative half-life.
    """

    def __init__(self, network: nn.Module, half_life_images: float) -> None:
        if half_life_images < 0:
            raise ValueError(f"ema_half_life_images is {half_life_images}, expected 0 (no average) or more, as 10000.")
        self.trained = unwrap(network)
        self.network = deepcopy(self.trained).eval().requires_grad_(False)
        self.half_life_images = half_life_images
        self.images_shown = 0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Any) -> None:
        images = len(engine.state.batch["image"]) * idist.get_world_size()
        self.images_shown += images
        half_life = min(self.half_life_images, RAMP * self.images_shown)
        share = 1 - 0.5 ** (images / half_life) if half_life else 1.0  # of the weights
        for average, weights in zip(self.network.parameters(), self.trained.parameters(), strict=True):
            average.lerp_(weights, share)
        for kept, buffer in zip(self.network.buffers(), self.trained.buffers(), strict=True):
            kept.copy_(buffer)

    def state_dict(self) -> dict[str, Any]:
        return {"weights": self.network.state_dict(), "images_shown": self.images_shown}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["weights"])
        self.images_shown = state["images_shown"]
