"""The figure of sensitivity against false positives per slice (FROC), one line per arm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from markupsafe import Markup

from scripts.report.comparisons import Estimate
from scripts.report.drawing import STAND_INS, STYLE, new_figure, to_svg
from scripts.report.figures import arm_style
from scripts.report.results import Arm


@dataclass(frozen=True)
class FrocLine:
    """An arm's curve: (rate, sensitivity) by rate, estimates at some rates, and where its threshold puts it."""

    curve: Sequence[tuple[float, float]]
    points: Sequence[tuple[float, Estimate]]
    operating: tuple[float, float] | None = None


@mpl.rc_context(STYLE)
def draw_froc(lines: Mapping[str, FrocLine], arms: Sequence[Arm], *, width: int, name: str) -> Markup:
    """Sensitivity against mean false positives per slice on a logarithmic axis, with 95% intervals at some rates.

    Large open markers are the arms' operating points, at their detection threshold.

    Args:
        lines: by the arm's name; rates above 0.
        arms: all arms, for their colours and order; those without a line are left out.
        width: of the drawing in CSS pixels.
        name: prefix of the SVG's ids, unique on the page.
    """
    figure, axes = new_figure(width, 360 if width >= 500 else 320)
    shown = [arm for arm in arms if arm.name in lines]
    for index, arm in enumerate(shown):
        line, (role, marker, _) = lines[arm.name], arm_style(arms, arm)
        colour, apart = STAND_INS[role], 1.025 ** (index - (len(shown) - 1) / 2)
        axes.plot(*_columns(line.curve), color=colour, linewidth=1.5, gid=f"{name}-{arm.name}")
        known = [(rate * apart, estimate) for rate, estimate in line.points if not np.isnan(estimate.mean)]
        axes.plot(*_columns([(at, e.mean) for at, e in known]), marker, color=colour, markersize=5)
        for at, estimate in known:
            if not np.isnan(estimate.low):
                axes.plot([at, at], [estimate.low, estimate.high], color=colour, linewidth=1.2, alpha=0.7)
        if line.operating is not None:
            axes.plot(*line.operating, marker, markersize=10, markerfacecolor="none", markeredgecolor=colour)
    rates = sorted({rate for line in lines.values() for rate, _ in line.points})
    axes.set_xscale("log")
    axes.set_xticks(rates, [f"{rate:g}" for rate in rates])
    axes.minorticks_off()
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("False positives per slice, mean")
    axes.set_ylabel("Sensitivity")
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)
    told = "; ".join(
        f"{arm.title} {', '.join(f'{e.mean:.3f} at {rate:g}' for rate, e in lines[arm.name].points)}" for arm in shown
    )
    return to_svg(figure, name, f"Sensitivity at mean false positives per slice. {told}.")


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
