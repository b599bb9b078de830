"""What the generator makes of the same masks, epoch by epoch, to the eye."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine, Events
from PIL import Image
from torch import nn
from torch.utils.tensorboard import SummaryWriter

from scripts.data.contract import Dataset
from scripts.data.slices import SliceDataset
from scripts.networks.wrapping import unwrap
from scripts.pictures.grids import image_pictures, label_picture, picture_titles, write_grid


class SampleGrid:
    """Writes `pictures/epoch_<n>.png` (and a TensorBoard image): real image, mask, and images made from that mask.

    These are one per class, or with `draws` so many of different noise.

    Args:
        generator: the network to sample (its moving average).
        inferer: how it is sampled, see `MaskToImageInferer`.
        dataset: slices; one of each class is shown, spread over the data set.
        description: names of modality and classes.
        output_dir: of the run.
        interval: epochs between pictures; the last epoch is always shown.
        draws: images per mask of a generator without class; 0 for one with.
    """

    def __init__(
        self,
        generator: nn.Module,
        inferer: Any,
        dataset: SliceDataset,
        description: Dataset,
        output_dir: str | Path,
        interval: int = 5,
        draws: int = 0,
    ) -> None:
        self.generator = unwrap(generator)
        self.inferer = inferer
        self.dataset = dataset
        self.description = description
        self.output_dir = Path(output_dir)
        self.interval = interval
        self.variants = [f"draw {n + 1}" for n in range(draws)] or description.classes or ["image"]

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        last = engine.state.epoch == engine.state.max_epochs
        if getattr(engine.state, "rank", 0) or (engine.state.epoch % self.interval and not last):
            return
        columns, rows = self._cells(engine.state.device)
        file = self.output_dir / "pictures" / f"epoch_{engine.state.epoch:04d}.png"
        write_grid(columns, file, row_titles=rows)
        with SummaryWriter(str(self.output_dir / "tensorboard")) as writer:
            writer.add_image("samples", np.asarray(Image.open(file)), engine.state.epoch, dataformats="HWC")

    @torch.no_grad()
    def _cells(self, device: torch.device) -> tuple[list[list[np.ndarray]], list[str]]:
        modality, number = self.description.modality, torch.arange(len(self.variants), device=device)
        self.generator.eval()
        columns = []
        for position in self._positions():
            element = self.dataset[position]
            cells = [*image_pictures(element["image"].numpy(), modality)]
            cells.append(label_picture(element["label"][0].numpy(), self.description.foreground_count))
            label = element["label"][None].repeat(len(number), 1, 1, 1).to(device)
            made = self.inferer(label, self.generator, class_index=number, noise_seed=number)
            for image in made.float().cpu().numpy():
                cells += image_pictures(image, modality)
            columns.append(cells)
        rows = [*picture_titles(modality, "real"), "mask"]
        for name in self.variants:
            rows += picture_titles(modality, name)
        return columns, rows

    def _positions(self) -> list[int]:
        """One slice of each class, and at least eight in all, from the middle of each patient's slices."""
        indices = self.dataset.class_indices
        chosen = [int(np.flatnonzero(indices == c)[len(np.flatnonzero(indices == c)) // 2]) for c in np.unique(indices)]
        spread = np.linspace(0, len(self.dataset) - 1, 8).astype(int).tolist()
        return (chosen + [p for p in spread if p not in chosen])[: max(8, len(chosen))]
