"""t-SNE of real and synthetic images as picture and table: do synthetic ones lie among the real ones?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from ignite.engine import Engine
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

from scripts.data.atomic import replacing
from scripts.handlers.compared_images import ComparedImages, encode_images
from scripts.metrics.embedding import embed_tsne
from scripts.metrics.nearest import THUMBNAIL_SIZE, make_thumbnail
from scripts.metrics.statistics import standardise
from scripts.networks.wrapping import freeze
from scripts.pictures.grids import LABEL_COLOURS
from scripts.scores.csv_tables import write_table

COLUMNS = ("name", "part", "class", "x", "y")
STYLES = {  # part -> marker, colour and name
    "training": ("o", "#999999", "real, training"),
    "held_out": ("^", "#0072b2", "real, held out"),
    "synthetic": ("x", "#d55e00", "synthetic"),
}
CLASS_COLOURS = [*(tuple(value / 255 for value in colour) for colour in LABEL_COLOURS), (0.0, 0.45, 0.7), (0, 0, 0)]
NO_CLASS = (0.6, 0.6, 0.6)
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
        thumbnail_size: int = THUMBNAIL_SIZE,
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


def draw_embedding(rows: Sequence[dict[str, Any]], places: np.ndarray, file: Path, *, title: str) -> None:
    """Writes a PNG of the places (n, 2) of images, coloured by part and, where any has one, by class."""
    names = sorted({row["class"] for row in rows} - {""})
    panels = 2 if names else 1
    with mpl.rc_context({"font.size": 10, "text.parse_math": False}):
        figure = Figure(figsize=(5.2 * panels, 5.8), dpi=120, layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0]
        _draw_parts(axes[0], rows, places)
        if names:
            _draw_classes(axes[1], rows, places, names)
        for each in axes:
            each.set_xticks([])
            each.set_yticks([])
            each.legend(loc="upper center", bbox_to_anchor=(0.5, -0.02), ncols=4, frameon=False, columnspacing=1.2)
        figure.suptitle(title)
        with replacing(file) as temporary:
            figure.savefig(temporary)


def _draw_parts(axes: Axes, rows: Sequence[dict[str, Any]], places: np.ndarray) -> None:
    axes.set_title("by origin")
    for part, (marker, colour, name) in STYLES.items():
        own = places[[row["part"] == part for row in rows]]
        axes.scatter(
            own[:, 0],
            own[:, 1],
            s=18,
            marker=marker,
            color=colour,
            alpha=0.75,
            linewidths=1,
            label=f"{name} ({len(own)})",
        )


def _draw_classes(axes: Axes, rows: Sequence[dict[str, Any]], places: np.ndarray, names: Sequence[str]) -> None:
    axes.set_title("by class (markers as on the left)")
    for index, name in enumerate([*names, ""]):
        colour = CLASS_COLOURS[index % len(CLASS_COLOURS)] if name else NO_CLASS
        label: str | None = name or "no class"
        for part, (marker, _, _) in STYLES.items():
            own = places[[row["part"] == part and row["class"] == name for row in rows]]
            if len(own):
                axes.scatter(
                    own[:, 0], own[:, 1], s=18, marker=marker, color=colour, alpha=0.75, linewidths=1, label=label
                )
                label = None  # a class stands once in the legend


def _spread(rows: Sequence[Row], most: int | None) -> list[Row]:
    """At most so many rows, evenly spread."""
    count = len(rows) if most is None else min(most, len(rows))
    return [rows[n * len(rows) // count] for n in range(count)]
