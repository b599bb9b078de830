"""What a progressive generator makes at each resolution, to the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from torch import nn
from torch.nn import functional

from scripts.data.atomic import replacing
from scripts.data.contract import Dataset
from scripts.data.growth import GrowthSchedule
from scripts.pictures.grids import image_pictures, label_picture, picture_titles, write_grid
from scripts.transforms.annotation import AnnotationChannels

IN_GROWTH = 2  # latents of a row of growth.png, each with all its channels


class GrowthPictures:
    """Writes `pictures/resolution_<n>.png` at the end of each epoch: images of the same latents and their annotation.

    The picture of a resolution is replaced until the next one begins, so that one per resolution remains. Beside them
    `pictures/growth.png` has a row per resolution, of the first latents; the arrays behind it are in `growth`.

    Args:
        generator: the network to sample (its moving average).
        schedule: resolution and fade of each iteration.
        description: names of the modality.
        output_dir: of the run.
        annotation: reads the annotation channels of a generator that makes them.
        condition: (count, K, S, S) of 0 and 1 for one that is conditioned; shown as the annotation.
        latent_dim: of the generator.
        count: images shown.
    """

    def __init__(
        self,
        generator: nn.Module,
        schedule: GrowthSchedule,
        description: Dataset,
        output_dir: str | Path,
        *,
        annotation: AnnotationChannels | None = None,
        condition: torch.Tensor | None = None,
        latent_dim: int = 512,
        count: int = 8,
    ) -> None:
        self.generator = generator
        self.schedule = schedule
        self.annotation = annotation
        self.condition = condition
        self.description = description
        self.folder = Path(output_dir) / "pictures"
        self.rows = Path(output_dir) / "growth"
        self.latents = torch.randn(count, latent_dim, generator=torch.Generator().manual_seed(0))

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    @torch.no_grad()
    def __call__(self, engine: Any) -> None:
        if getattr(engine.state, "rank", 0):
            return
        growth = self.schedule.at(engine.state.iteration - 1)
        options: dict[str, Any] = {"resolution": growth.resolution, "alpha": growth.alpha}
        if self.condition is not None:
            options["condition"] = self.condition.to(engine.state.device)
        self.generator.eval()
        made = self.generator(self.latents.to(engine.state.device), **options).float().cpu()  # (B, C [+ A], R, R)
        if self.condition is not None:
            made = torch.cat([made, functional.adaptive_max_pool2d(self.condition, growth.resolution)], dim=1)
        titles = [*picture_titles(self.description.modality, f"{growth.resolution} px"), self._title]
        columns = [self._draw(channels) for channels in made.numpy()]
        write_grid(columns, self.folder / f"resolution_{growth.resolution:04d}.png", row_titles=titles)
        self._draw_growth(growth.resolution, made[:IN_GROWTH].numpy())

    @property
    def _title(self) -> str:
        return "annotation" if self.annotation is not None else "boxes"

    def _draw(self, made: np.ndarray) -> list[np.ndarray]:
        """The pictures of one latent's image and annotation or condition channels (C + A, R, R)."""
        modality = self.description.modality
        image, rest = made[: len(modality)], made[len(modality) :]
        if self.annotation is not None:
            label = self.annotation.decode(torch.from_numpy(rest)[None])[0, 0].numpy()  # (R, R)
        else:
            label = np.where(rest.any(axis=0), rest.argmax(axis=0) + 1, 0)  # (R, R)
        return [*image_pictures(image, modality), label_picture(label, self.description.foreground_count)]

    def _draw_growth(self, resolution: int, made: np.ndarray) -> None:
        with replacing(self.rows / f"resolution_{resolution:04d}.npy") as temporary:
            np.save(temporary, made)
        files = [
            file for file in sorted(self.rows.glob("resolution_*.npy")) if int(file.stem.split("_")[1]) <= resolution
        ]
        rows = [[picture for latent in np.load(file) for picture in self._draw(latent)] for file in files]
        columns = list(zip(*rows, strict=True))
        titles = [*picture_titles(self.description.modality, ""), self._title] * IN_GROWTH
        row_titles = [f"{int(file.stem.split('_')[1])} px" for file in files]
        write_grid(columns, self.folder / "growth.png", row_titles=row_titles, column_titles=titles[: len(columns)])
