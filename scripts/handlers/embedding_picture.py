"""t-SNE of real and synthetic images as picture and table: do synthetic ones lie among the real ones?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine
from torch import nn

from scripts.handlers.compared_images import ComparedImages, encode_images
from scripts.metrics.embedding import embed_tsne
from scripts.metrics.nearest import make_thumbnail
from scripts.metrics.statistics import standardise
from scripts.networks.wrapping import freeze
from scripts.pictures.embeddings import STYLES, draw_embedding
from scripts.scores.csv_tables import write_table

COLUMNS = ("name", "part", "class", "x", "y")
Row = dict[str, Any]


class EmbeddingPicture(ComparedImages[Row]):
    """Attached to an evaluator that runs through `ComparedSlices` of real and synthetic images.

    Writes `tsne_<space>.csv` and `tsne_<space>.png` of thumbnails and, with a network, `tsne_features.csv` and `.png`
    of its features in standard deviations of the training images. The tables have the columns of `COLUMNS`;
    the name is the image file with its slice. Where images have classes, a second panel is coloured by class; from
    the ninth class on colours come again.

    Args:
        folder: of the pictures and tables.
        classes: names of the global classes; empty for none.
        network: whose `encode` gives features (B, F), or None.
        most_images: of each part, evenly spread; None for all.
        seed: of the layout.
        space: what the images are called in names and titles; "features" where they are a network's features.
        thumbnail_size: side of the thumbnails.

    Raises:
        ValueError: `most_images` below 1; when all images are seen, too few or none that differ (`embed_tsne`).
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        classes: Sequence[str] = (),
        network: nn.Module | None = None,
        most_images: int | None = None,
        seed: int = 0,
        space: str = "pixels",
        thumbnail_size: int = 32,
    ) -> None:
        if most_images is not None and most_images < 1:
            raise ValueError(f"most_images is {most_images}, expected 1 or more, or None for all.")
        super().__init__()
        self.folder = Path(folder)
        self.classes = list(classes)
        self.network: Any = None if network is None else freeze(network)
        self.most_images = most_images
        self.seed = seed
        self.space = space
        self.thumbnail_size = thumbnail_size

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        features: Any = [None] * len(engine.state.batch)
        if self.network is not None:
            features = encode_images(engine, self.network)  # (B, F)
        for element, feature in zip(engine.state.batch, features, strict=True):
            index = int(element["class_index"])
            yield (
                element["part"],
                {
                    "name": element["source"],
                    "part": element["part"],
                    "class": self.classes[index] if self.classes and index >= 0 else "",
                    "thumbnail": make_thumbnail(np.asarray(element["image"].cpu()), self.thumbnail_size),
                    "features": feature,
                },
            )

    def finish(self, engine: Engine) -> None:
        rows = [row for part in STYLES for row in _spread(self.rows.get(part, []), self.most_images)]
        spaces = {self.space: np.stack([row["thumbnail"] for row in rows])}
        if self.network is not None:
            features = np.stack([row["features"] for row in rows])
            training = features[[row["part"] == "training" for row in rows]]
            (spaces["features"],) = standardise(training, features)
        for space, samples in spaces.items():
            places = embed_tsne(samples, seed=self.seed)
            table = [
                [row["name"], row["part"], row["class"], f"{x:.5g}", f"{y:.5g}"]
                for row, (x, y) in zip(rows, places, strict=True)
            ]
            write_table(self.folder / f"tsne_{space}.csv", COLUMNS, table)
            draw_embedding(rows, places, self.folder / f"tsne_{space}.png", title=f"t-SNE of {space}")


def _spread(rows: Sequence[Row], most: int | None) -> list[Row]:
    """At most so many rows, evenly spread."""
    count = len(rows) if most is None else min(most, len(rows))
    return [rows[n * len(rows) // count] for n in range(count)]
