"""Feature maps of several kinds of features side by side (Mehra, Soliman and Sahoo, figures 9 and 10)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from scripts.pictures.grids import tile_maps, write_grid

CELL = 250  # pixels of a feature
MOST_MAPS = 25  # drawn as a square, as in the paper


def draw_feature_maps(
    shown: Mapping[tuple[str, int], np.ndarray], rows: Mapping[str, str], classes: Sequence[str], file: Path
) -> None:
    """A column for each class that has a feature of every kind, a row for each kind; nothing where no class has.

    A map keeps one scale in all of them: black is the least and white the greatest value that the shown features have.

    Args:
        shown: kind and class index -> maps (N, H, W), N the same for all.
        rows: kind -> title of its row.
        classes: names, in the order of class indices.
        file: the PNG.
    """
    known = [n for n in range(len(classes)) if all((kind, n) in shown for kind in rows)]
    if not known:
        return
    stacked = np.stack([shown[kind, n] for n in known for kind in rows])  # (features, N, H, W)
    least, greatest = stacked.min(axis=(0, 2, 3)), stacked.max(axis=(0, 2, 3))
    span = np.where(greatest > least, greatest - least, 1)[:, None, None]

    def grey(maps: np.ndarray) -> np.ndarray:
        return ((maps - least[:, None, None]) / span * 255).round().astype(np.uint8)

    columns = [[tile_maps(grey(shown[kind, n]), CELL) for kind in rows] for n in known]
    titles = [classes[n] for n in known]
    write_grid(columns, file, row_titles=list(rows.values()), column_titles=titles, cell_size=CELL)
