"""The base of handlers that compare images of several parts: real training, real held-out and synthetic ones."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from ignite.engine import Engine, Events

from scripts.data.contract import Item
from scripts.handlers.collector import Collector
from scripts.scores.evidence import ClassFilters, Filters

REAL = ("training", "held_out")  # parts of real images
Row = TypeVar("Row")  # what is kept of an image


class ComparedImages(Collector, Generic[Row]):
    """Attached to an evaluator that runs through `ComparedSlices`: keeps a row of each image, compares them at the end.

    Subclasses implement `measure` and `finish`.

    Attributes:
        known_parts: that have an entry in `rows`, in this order, even where no image comes.
        rows: part -> rows of its images, in the evaluator's order.
    """

    begin, end = Events.STARTED, Events.COMPLETED
    known_parts: Sequence[str] = ()

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {}

    def start(self, engine: Engine) -> None:
        self.rows = {part: [] for part in self.known_parts}

    @torch.no_grad()
    def add(self, engine: Any) -> None:
        for part, row in self.measure(engine):
            self.rows.setdefault(part, []).append(row)

    @abstractmethod
    def measure(self, engine: Any) -> Iterable[tuple[str, Row]]:
        """Part and row of each image of the batch; a row is in `rows` before the next one is asked for."""


def stack_images(engine: Any, key: str = "image") -> torch.Tensor:
    """The batch's images (B, C, S, S) on the engine's device."""
    return torch.stack([element[key] for element in engine.state.batch]).to(engine.state.device)


def encode_images(engine: Any, network: Any, *, flips: tuple[int, ...] = ()) -> np.ndarray:
    """What the `encode` of a network, frozen, gives for the batch's images, mirrored along some axes: (B, F).

    A `FeatureExtractor` says which of the elements' images it sees.
    """
    images = stack_images(engine, getattr(network, "image_key", "image"))
    return network.encode(images.flip(flips) if flips else images).float().cpu().numpy()


def true_boxes(element: dict[str, Any]) -> np.ndarray:
    """An element's boxes (n, 4), without those of class -1, which only fill up."""
    return np.asarray(element["boxes"].cpu())[np.asarray(element["box_classes"].cpu()) >= 0]


def count_filters(kept: np.ndarray, failed: Mapping[str, np.ndarray], items: Sequence[Item]) -> Filters:
    """How many of n images were `kept` (n,), and failed each criterion (n,), in all and by the class of their items."""
    classes = np.array([item.get("class") or "" for item in items])

    def count(members: np.ndarray) -> ClassFilters:
        rejected = {name: int((fails & members).sum()) for name, fails in failed.items()}
        return ClassFilters(int(members.sum()), int((kept & members).sum()), rejected)

    whole = count(np.ones(len(classes), dtype=bool))
    by_class = {str(name): count(classes == name) for name in np.unique(classes) if name}
    return Filters(whole.images, whole.kept, whole.rejected, by_class)
