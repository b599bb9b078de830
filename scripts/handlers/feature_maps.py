"""Feature maps of real and of synthetic features, side by side (Mehra, Soliman and Sahoo, figures 9 and 10)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine

from scripts.handlers.compared_images import ComparedImages
from scripts.pictures.feature_maps import MOST_MAPS, draw_feature_maps


class FeatureMapPicture(ComparedImages[tuple[int, np.ndarray]]):
    """Attached to an evaluator that runs through `ComparedFeatures`: draws the first maps of a feature of each class.

    A column for each class, a row of real training features and one of synthetic ones, see `draw_feature_maps`.

    Args:
        file: the PNG.
        classes: names, in the order of class indices.
        most_maps: how many maps, drawn as a square; 25 in the paper.
    """

    def __init__(self, file: str | Path, classes: Sequence[str], *, most_maps: int = MOST_MAPS) -> None:
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
        draw_feature_maps(shown, {"training": "real", "synthetic": "synthetic"}, self.classes, self.file)
