"""Whether a generator repeats its training images: how near synthetic and held-out images lie to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine

from scripts.handlers.compared_images import ComparedImages
from scripts.metrics.nearest import THUMBNAIL_SIZE, make_thumbnail, mean_pairwise_distance, nearest_distances
from scripts.scores.evidence import NamedDistance, Nearest
from scripts.scores.json_files import write_dataclass

NAMED = 10  # images of each part, the nearest ones


class NearestImages(ComparedImages[tuple[str, np.ndarray]]):
    """Attached to an evaluator that runs through `ComparedSlices`.

    Written as a `Nearest` for each part but training. Distances are mean absolute differences of 32-pixel thumbnails,
    in 0..2, the least over the training images and their mirror images along x, y and both, as the generator was shown
    them. Synthetic images that lie far nearer than held-out real ones repeat what their generator was shown.

    Args:
        file: the `nearest.json`.
        thumbnail_size: side of what is compared in place of 32; 4 for features of a network, which then differ by more
            than 2.
        flips: False compares with the training images as they are.
    """

    def __init__(self, file: str | Path, *, thumbnail_size: int = THUMBNAIL_SIZE, flips: bool = True) -> None:
        super().__init__()
        self.file = Path(file)
        self.thumbnail_size = thumbnail_size
        self.directions = (1, -1) if flips else (1,)

    def measure(self, engine: Any) -> Iterator[tuple[str, tuple[str, np.ndarray]]]:
        for element in engine.state.batch:
            thumbnail = make_thumbnail(np.asarray(element["image"].cpu()), self.thumbnail_size)
            yield element["part"], (Path(element["source"]).name, thumbnail)

    def finish(self, engine: Engine) -> None:
        training = np.stack([thumbnail for _, thumbnail in self.rows["training"]])  # (n, C, 32, 32)
        flipped = [training[:, :, ::x, ::y] for x in self.directions for y in self.directions]
        references = np.concatenate(flipped)
        parts = {}
        for part, rows in self.rows.items():
            if part != "training":
                samples = np.stack([thumbnail for _, thumbnail in rows])
                distances = nearest_distances(samples, references)
                parts[part] = Nearest(
                    images=len(rows),
                    median=float(np.median(distances)),
                    least=float(distances.min()),
                    apart=mean_pairwise_distance(samples) if len(samples) > 1 else float("nan"),
                    nearest=[NamedDistance(rows[n][0], float(distances[n])) for n in np.argsort(distances)[:NAMED]],
                )
        write_dataclass(self.file, parts)
