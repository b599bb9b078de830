"""The figure of mean Dice against what the generators cost, one line per family of ensembles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from markupsafe import Markup

from scripts.report.comparisons import Estimate
from scripts.report.drawing import STAND_INS, STYLE, new_figure, to_svg

STYLES = (  # colour role, matplotlib marker and text marker of the families, in order
    ("warm1", "D", "\u25c6"),
    ("cool1", "s", "\u25a0"),
    ("warm2", "^", "\u25b2"),
    ("cool2", "v", "\u25bc"),
    ("warm3", "P", "\u271a"),
    ("cool3", "X", "\u2716"),
)


@dataclass(frozen=True)
class CostLine:
    """A family's points: (cost, number of members, Dice), by cost; `place` is the family's, for its style."""

    title: str
    place: int
    points: list[tuple[float, int, Estimate]]


def family_style(place: int) -> tuple[str, str, str]:
    """Colour role, matplotlib marker and text marker of the family at a place, from 0."""
    return STYLES[place % len(STYLES)]


@mpl.rc_context(STYLE)
def draw_dice_against_cost(
    lines: Sequence[CostLine], baseline: Estimate, cost: str, *, width: int, name: str
) -> Markup:
    """Mean Dice with 95% intervals against cost, each point with its number of members, over the baseline's band.

    Args:
        lines: one per family; drawn side by side where they share a cost.
        baseline: Dice without any generator, a horizontal line.
        cost: title of the horizontal axis.
        width: of the drawing in CSS pixels.
        name: prefix of the SVG's ids, unique on the page.
    """
    figure, axes = new_figure(width, 360 if width >= 500 else 320)
    highest = max((at for line in lines for at, _, _ in line.points), default=1.0)
    axes.axhline(baseline.mean, color=STAND_INS["baseline"], linewidth=1.5)
    if not np.isnan(baseline.low):
        axes.axhspan(baseline.low, baseline.high, color=STAND_INS["baseline"], alpha=0.16, linewidth=0)
    for line in lines:
        role, marker, _ = family_style(line.place)
        shift = highest * (9 / width) * (line.place - (max(other.place for other in lines)) / 2)
        x = [at + shift for at, _, _ in line.points]
        y = [estimate.mean for _, _, estimate in line.points]
        axes.plot(x, y, marker=marker, color=STAND_INS[role], linewidth=1.5, markersize=6.5)
        for at, (_, members, estimate) in zip(x, line.points, strict=True):
            top = estimate.mean
            if not np.isnan(estimate.low):
                axes.plot([at, at], [estimate.low, estimate.high], color=STAND_INS[role], linewidth=1.2, alpha=0.7)
                top = estimate.high
            axes.annotate(
                str(members), (at, top), (0, 4), textcoords="offset points", ha="center", color=STAND_INS[role]
            )
    axes.set_xlim(0, 1.08 * highest)
    axes.locator_params(axis="x", nbins=5 if width < 500 else 9)
    axes.locator_params(axis="y", nbins=6)
    axes.margins(y=0.09)
    axes.set_xlabel(cost)
    axes.set_ylabel("Dice, mean over patients")
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    told = "; ".join(
        f"{line.title}: {', '.join(f'{members} members {e.mean:.3f} at {at:.3g}' for at, members, e in line.points)}"
        for line in lines
    )
    return to_svg(figure, name, f"Dice against {cost}. Without synthetic images {baseline.mean:.3f}. {told}.")
