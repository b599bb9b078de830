"""What a drafted study is about: the folder, the sizes of networks, and how long everything is trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scripts.data.contract import Dataset
from scripts.data.splits import select_items
from scripts.experiments.record import count_slices

EPOCH = 512  # most slices of an epoch
LEAST_EPOCH = 128


@dataclass(frozen=True)
class Outline:
    """A data set and what a study of it can afford.

    Attributes:
        image_size: side of what networks see, in pixels.
        masks: whether there are label maps, else boxes alone.
        classes: global classes that training patients have.
        slices: for training, with or without lesion.
        labels: of lesions.
        large: whether networks have the width of their configs, for a GPU, or a narrow one.
        scale: of the lengths of all trainings; 1 is a good length for a narrow network on some hundred slices.
    """

    image_size: int
    masks: bool
    classes: tuple[str, ...]
    slices: int
    labels: int = 1
    large: bool = False
    scale: float = 1.0

    @property
    def several(self) -> bool:
        """Whether there are several classes, or labels, of which one may be rare."""
        return len(self.classes) > 1 or self.labels > 1

    @property
    def samples(self) -> int:
        """Slices of an epoch."""
        return min(EPOCH, max(LEAST_EPOCH, self.slices))

    def epochs(self, full: int) -> int:
        """Of a training, two at least."""
        return max(2, round(full * self.scale))

    def training(self, full: int) -> dict[str, Any]:
        """Options that set a training's length."""
        return {"max_epochs": self.epochs(full), "samples_per_epoch": self.samples}

    def growth(self, full: int) -> dict[str, Any]:
        """Options that set a progressive training's length, of 24 epochs; `full` images at the scale of 1."""
        batch, epochs = 16, 24
        iterations = max(2, round(full * self.scale / batch / epochs))
        total, levels = iterations * batch * epochs, self.image_size.bit_length() - 2  # from 4 pixels
        return {
            "total_images": total,
            "images_per_phase": max(batch, total // (2 * levels + 2)),
            "iterations_per_epoch": iterations,
            "batch_size_at_4_8_16_pixels": [batch] * levels,
        }

    def narrow(self, **options: Any) -> dict[str, Any]:
        """Options of a narrow network, none of a large one."""
        return {} if self.large else options


def outline_dataset(dataset: Dataset, fold: int | None, image_size: int, *, large: bool) -> Outline:
    """The outline of a data set, by the training items of a fold."""
    items = select_items(dataset, "training", fold, boxed=True)
    classes = {item["class"] for item in items}
    return Outline(
        image_size,
        any(item["label"] is not None for item in items),
        tuple(name for name in dataset.classes if name in classes),
        sum(count_slices(item) for item in items),
        dataset.foreground_count,
        large,
    )
