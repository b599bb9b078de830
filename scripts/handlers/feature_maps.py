"""Feature maps of real and of synthetic features, side by side (Mehra, Soliman and Sahoo, figures 9 and 10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine

from scripts.handlers.compared_images import ComparedImages
from scripts.pictures.grids import tile_maps, write_grid

CELL = 250  # pixels of a feature


class FeatureMapPicture(ComparedImages[tuple[int, np.ndarray]]):
    """Attached to an evaluator that runs through `ComparedFeatures`: draws the first maps of a feature of each class.

    A column for each class, a row of real training features and one of synthetic ones. A map keeps one scale in all of
    them: black is the least and white the greatest value that the shown features have there.

    Args:
        file: the PNG.
        classes: names, in the order of class indices.
        most_maps: how many maps, drawn as a square; 25 in the paper.
    """

    def __init__(self, file: str | Path, classes: Sequence[str], *, most_maps: int = 25) -> None:
        super().__init__()
        self.file = Path(file)
        self.classes = list(classes)
        self.most_maps = most_maps

    def measure(self, engine: Any) -> Iterator[tuple[str, tuple[int, np.ndarray]]]:
        for element in engine.state.batch:
            part, index = element["part"], int(element["class_index"])
            if index not in dict(self.rows.get(part, [])):
                yield part, (index, np.asarray(element["image"][: self.most_maps].cpu()))

    def finish(self, engine: Engine) -> None:
        shown = {(part, index): maps for part, rows in self.rows.items() for index, maps in rows}
        rows = {"training": "real", "synthetic": "synthetic"}
        known = [n for n in range(len(self.classes)) if all((part, n) in shown for part in rows)]
        if not known:
            return
        stacked = np.stack([shown[part, n] for n in known for part in rows])  # (N, maps, H, W)
        least, greatest = stacked.min(axis=(0, 2, 3)), stacked.max(axis=(0, 2, 3))
        span = np.where(greatest > least, greatest - least, 1)[:, None, None]
        grey = {
            key: ((maps - least[:, None, None]) / span * 255).round().astype(np.uint8)
            for key, maps in shown.items()
            if key[1] in known and key[0] in rows
        }
        columns = [[tile_maps(grey[part, n], CELL) for part in rows] for n in known]
        titles = [self.classes[n] for n in known]
        write_grid(columns, self.file, row_titles=list(rows.values()), column_titles=titles, cell_size=CELL)
