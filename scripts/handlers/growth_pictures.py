"""What a progressive generator makes at each resolution, to the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.data.contract import Dataset
from scripts.data.growth import GrowthSchedule
from scripts.report.grids import image_pictures, label_picture, picture_titles, write_grid
from scripts.transforms.annotation import AnnotationChannels


class GrowthPictures:
    """Writes `pictures/resolution_<n>.png` at the end of each epoch: images and annotations of the same latents.

    The picture of a resolution is replaced until the next one begins, so that one per resolution remains.

    Args:
        generator: the network to sample (its moving average).
        schedule: resolution and fade of each iteration.
        annotation: reads the annotation channels.
        description: names of the modality.
        output_dir: of the run.
        latent_dim: of the generator.
        count: images shown.
    """

    def __init__(
        self,
        generator: nn.Module,
        schedule: GrowthSchedule,
        annotation: AnnotationChannels,
        description: Dataset,
        output_dir: str | Path,
        *,
        latent_dim: int = 512,
        count: int = 8,
    ) -> None:
        self.generator = generator
        self.schedule = schedule
        self.annotation = annotation
        self.description = description
        self.folder = Path(output_dir) / "pictures"
        self.latents = torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(0))

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Any) -> None:
        if getattr(engine.state, "rank", 0):
            return
        growth = self.schedule.at(engine.state.iteration - 1)
        self.generator.eval()
        latents = self.latents.to(engine.state.device)
        made = (
            self.generator(latents, resolution=growth.resolution, alpha=growth.alpha).float().cpu()
        )  # (B, C + A, R, R)
        channels, modality = len(self.description.modality), self.description.modality
        labels = self.annotation.decode(made[:, channels:])[:, 0].numpy()  # (B, R, R)
        columns = [
            [*image_pictures(image, modality), label_picture(label, self.description.foreground_count)]
            for image, label in zip(made[:, :channels].numpy(), labels, strict=True)
        ]
        titles = [*picture_titles(modality, f"{growth.resolution} px"), "annotation"]
        write_grid(columns, self.folder / f"resolution_{growth.resolution:04d}.png", row_titles=titles)
