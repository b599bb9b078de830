"""Layouts of images in the plane as pictures, coloured by part and by class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from scripts.data.atomic import replacing
from scripts.pictures.grids import LABEL_COLOURS

STYLES = {  # part -> marker, colour and name
    "training": ("o", "#999999", "real, training"),
    "held_out": ("^", "#0072b2", "real, held out"),
    "synthetic": ("x", "#d55e00", "synthetic"),
}
CLASS_COLOURS = [*(tuple(value / 255 for value in colour) for colour in LABEL_COLOURS), (0.0, 0.45, 0.7), (0, 0, 0)]
NO_CLASS = (0.6, 0.6, 0.6)


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
