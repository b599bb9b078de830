"""The figure of how well is graded against the number of synthetic features, one line per accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from scripts.report.comparisons import Estimate
from scripts.report.drawing import STAND_INS, STYLE, blank_figure, to_svg

STYLES = (  # colour role, matplotlib marker and text marker of the lines, in order
    ("ink", "o", "\u25cf"),
    ("cool1", "^", "\u25b2"),
    ("warm1", "v", "\u25bc"),
    ("cool2", "s", "\u25a0"),
    ("warm2", "D", "\u25c6"),
    ("cool3", "P", "\u271a"),
    ("warm3", "X", "\u2716"),
)
APART = 0.07  # of the step from one number to the next

Lines = Mapping[str, Sequence[Estimate]]  # by the line's title, an estimate for each number


def line_style(place: int) -> tuple[str, str, str]:
    """Colour role, matplotlib marker and text marker of the line at a place, from 0."""
    return STYLES[place % len(STYLES)]


@mpl.rc_context(STYLE)
def draw_sweep(panels: Mapping[str, Lines], numbers: Sequence[int], *, chance: float, width: int, name: str) -> Markup:
    """Accuracies against the number of synthetic features, at equal steps, with 95% intervals side by side.

    Args:
        panels: lines by the panel's title; the same lines in all. They stand side by side or, on a phone, stacked.
        numbers: of synthetic features, rising.
        chance: balanced accuracy of guessing, drawn dotted.
        width: of the drawing in CSS pixels.
        name: prefix of the SVG's ids, unique on the page.
    """
    beside = width >= 500
    figure = blank_figure(width, 330 if beside else 250 * len(panels))
    every = figure.subplots(
        *((1, len(panels)) if beside else (len(panels), 1)), sharex=True, sharey=True, squeeze=False
    )
    for axes, (title, lines) in zip(every.flat, panels.items(), strict=True):
        _draw_panel(axes, title, lines, numbers, chance)
    figure.supxlabel("Synthetic features added", fontsize=12, color=STAND_INS["muted"])
    first, lines = next(iter(panels.items()))
    told = "; ".join(f"{title}: {', '.join(f'{e.mean:.3f}' for e in line)}" for title, line in lines.items())
    at = ", ".join(f"{number:,}" for number in numbers)
    return to_svg(figure, name, f"Accuracies with {at} synthetic features. {first}. {told}.")


def _draw_panel(axes: Axes, title: str, lines: Lines, numbers: Sequence[int], chance: float) -> None:
    axes.axhline(chance, color=STAND_INS["muted"], linewidth=1, linestyle=":")
    for place, estimates in enumerate(lines.values()):
        role, marker, _ = line_style(place)
        colour, x = STAND_INS[role], np.arange(len(numbers)) + APART * (place - (len(lines) - 1) / 2)
        axes.plot(
            x, [e.mean for e in estimates], marker=marker, color=colour, linewidth=1 if place else 2, markersize=5.5
        )
        for at, estimate in zip(x, estimates, strict=True):
            if not np.isnan(estimate.low):
                axes.plot([at, at], [estimate.low, estimate.high], color=colour, linewidth=1.2, alpha=0.7)
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xlim(-0.4, len(numbers) - 0.6)
    axes.set_xticks(range(len(numbers)), [f"{number:,}" for number in numbers])
    axes.set_ylim(-0.02, 1.02)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
