"""A detector's training at changing image sizes."""

from __future__ import annotations

from typing import Any

import numpy as np
from ignite.engine import Events
from torch.nn import functional

INTERVAL = 10  # iterations
STRIDE = 32
SMALLEST, LARGEST = 320 / 416, 608 / 416  # of the network's size


class MultiScale:
    """Resizes the batch's images and boxes to another size every ten iterations, as YOLOv3 was trained.

    Sizes are the multiples of 32 pixels around `image_size` that are to it as Darknet's 320 to 608 are to 416; anchors
    stay as many pixels as they are. Which one is drawn depends on the seed and the iteration alone.

    Args:
        image_size: S, pixels of the data set's slices, at which the detector is validated and used.
        seed: of the draws.
    """

    def __init__(self, image_size: int, seed: int = 0) -> None:
        first, last = (max(1, round(image_size * share / STRIDE)) for share in (SMALLEST, LARGEST))
        self.sizes = [STRIDE * n for n in range(first, last + 1)]
        self.seed = seed

    def attach(self, engine: Any) -> None:
        engine.add_event_handler(Events.ITERATION_STARTED, self)

    def __call__(self, engine: Any) -> None:
        batch = engine.state.batch  # image (B, C, S, S), boxes (B, M, 4)
        draw = np.random.default_rng([self.seed, (engine.state.iteration - 1) // INTERVAL])
        size, before = int(draw.choice(self.sizes)), batch["image"].shape[-1]
        if size != before:
            image = functional.interpolate(batch["image"], [size, size], mode="bilinear", antialias=size < before)
            engine.state.batch = {**batch, "image": image, "boxes": batch["boxes"] * (size / before)}
