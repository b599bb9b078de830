"""Whether a trained discriminator knows its training images from held-out ones: membership inference."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.utils.data import DataLoader

from scripts.data.slices import SliceDataset
from scripts.metrics.memorisation import membership_auc
from scripts.networks.wrapping import unwrap
from scripts.scores.evidence import Share
from scripts.scores.json_files import write_dataclass

BATCH_SIZE = 16


class Scorer(Protocol):
    """A step that says how its discriminator scores real images, see `RedGANStep.score`."""

    discriminator: nn.Module

    def score(self, batch: dict[str, Any], device: torch.device) -> torch.Tensor: ...


class MembershipInference:
    """Attached to a trainer: at its end writes a `Share`, the `membership_auc` of the discriminator's scores.

    A discriminator that scores its training images above held-out ones has learned them by heart, and teaches its
    generator to repeat them. Nothing random is drawn; under DDP rank 0 does it.

    Args:
        step: how the discriminator scores.
        training: slices that were trained on; they are scored without random transforms.
        held_out: slices of other patients, or None, where nothing is written.
        file: the `membership.json`.
    """

    def __init__(self, step: Scorer, training: SliceDataset, held_out: SliceDataset | None, file: str | Path) -> None:
        self.step = step
        self.training = training
        self.held_out = held_out
        self.file = Path(file)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Any) -> None:
        if self.held_out is None or getattr(engine.state, "rank", 0) != 0:
            return
        discriminator = unwrap(self.step.discriminator)
        was_training = discriminator.training
        discriminator.eval()
        scores: list[np.ndarray] = []
        patients: list[list[str]] = []
        for slices in (self.training.of_items(self.training.data), self.held_out):
            loader = DataLoader(slices, BATCH_SIZE, generator=torch.Generator())  # else it draws from the training's
            scores.append(np.concatenate([self.step.score(batch, engine.state.device).cpu() for batch in loader]))
            patients.append([slices.summary(n)["patient"] for n in range(len(slices))])
        discriminator.train(was_training)
        write_dataclass(self.file, Share(*membership_auc(*scores, patients=(patients[0], patients[1]))))
