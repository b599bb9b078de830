"""Feature maps of real and of synthetic features, side by side (Mehra, Soliman and Sahoo, figures 9 and 10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine, Events

from scripts.pictures.grids import write_grid

CELL = 250  # pixels of a feature


class FeatureMapPicture:
    """Attached to an evaluator that runs through `ComparedFeatures`: draws the first maps of a feature of each class.

    A column for each class, a row of real training features and one of synthetic ones. A map keeps one scale in all of
    them: black is the least and white the greatest value that the shown features have there.

    Args:
        file: the PNG.
        classes: names, in the order of class indices.
        most_maps: how many maps, drawn as a square; 25 in the paper.
    """

    def __init__(self, file: str | Path, classes: Sequence[str], *, most_maps: int = 25) -> None:
        self.file = Path(file)
        self.classes = list(classes)
        self.most_maps = most_maps
        self.shown: dict[tuple[str, int], np.ndarray] = {}

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._add)
        engine.add_event_handler(Events.COMPLETED, self._finish)

    def _start(self, engine: Engine) -> None:
        self.shown = {}

    def _add(self, engine: Any) -> None:
        for element in engine.state.batch:
            key = (element["part"], int(element["class_index"]))
            if key not in self.shown:
                self.shown[key] = np.asarray(element["image"][: self.most_maps].cpu())

    def _finish(self, engine: Engine) -> None:
        rows = {"training": "real", "synthetic": "synthetic"}
        known = [n for n in range(len(self.classes)) if all((part, n) in self.shown for part in rows)]
        if not known:
            return
        stacked = np.stack([self.shown[part, n] for n in known for part in rows])  # (N, maps, H, W)
        least, greatest = stacked.min(axis=(0, 2, 3)), stacked.max(axis=(0, 2, 3))
        span = np.where(greatest > least, greatest - least, 1)[:, None, None]
        grey = {
            key: ((maps - least[:, None, None]) / span * 255).round().astype(np.uint8)
            for key, maps in self.shown.items()
            if key[1] in known and key[0] in rows
        }
        columns = [[_tile(grey[part, n]) for part in rows] for n in known]
        titles = [self.classes[n] for n in known]
        write_grid(columns, self.file, row_titles=list(rows.values()), column_titles=titles, cell_size=CELL)


def _tile(maps: np.ndarray) -> np.ndarray:
    """Maps (N, H, W) as a square of pictures with rows = y, white lines between them, at least CELL pixels wide."""
    side = math.ceil(math.sqrt(len(maps)))
    scale = max(1, CELL // (side * (maps.shape[1] + 1)))
    height, width = (scale * maps.shape[axis] + 1 for axis in (2, 1))
    tiled = np.full((side * height - 1, side * width - 1), 255, np.uint8)
    for n, values in enumerate(maps):
        y, x = (n // side) * height, (n % side) * width
        tiled[y : y + height - 1, x : x + width - 1] = np.kron(values.T, np.ones((scale, scale), np.uint8))
    return tiled
