"""The page's kinds of figures, as inline SVG in the page's own colours."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from scripts.report.blocks import HasInterval, Mark
from scripts.report.drawing import STAND_INS, STYLE, blank_figure, new_figure, to_svg
from scripts.scores.formats import format_number, format_plain

SHAPES = {"\u25cf": "o", "\u25a0": "s", "\u25c6": "D", "\u25b2": "^", "\u25bc": "v", "\u271a": "P"}
LOSS_COLOURS = ("warm1", "cool1", "cool2", "warm2", "cool3", "warm3", "muted", "baseline")
CURVE_POINTS = 240
FEW_PIXELS = 500  # a drawing narrower than this is for phones


@dataclass(frozen=True)
class Line:
    """Points with intervals, joined by a line or by `curve` where given, and a large open mark at `operating`."""

    mark: Mark
    points: Sequence[tuple[float, HasInterval]]
    curve: Sequence[tuple[float, float]] = ()
    operating: tuple[float, float] | None = None


@dataclass(frozen=True)
class Horizontal:
    """The axis of an amount: its title, what is written at which values, and whether it is logarithmic."""

    title: str
    ticks: Mapping[float, str] = field(default_factory=dict)
    log: bool = False


@mpl.rc_context(STYLE)
def draw_dots(groups: Mapping[str, Sequence[tuple[Mark, HasInterval]]], title: str, *, width: int, name: str) -> Markup:
    """Values with intervals by group, one row for each mark; a single group's rows are written out."""
    rows = max(len(group) for group in groups.values())
    alone = len(groups) == 1
    height = 52 + rows * 28 if alone else 50 + len(groups) * (14 + 13 * rows)
    figure, axes = new_figure(width, height)
    for place, group in enumerate(groups.values()):
        for row, (mark, estimate) in enumerate(group):
            y = row if alone else place + 0.78 * (row - (len(group) - 1) / 2) / rows
            colour = STAND_INS[mark.colour]
            axes.plot([estimate.low, estimate.high], [y, y], color=colour, linewidth=1.6)
            axes.plot([estimate.value], [y], SHAPES[mark.symbol], color=colour, markersize=6.5)
        if place:
            axes.axhline(place - 0.5, color=STAND_INS["rule"], linewidth=0.8)
    # Names at the left, wrapped to what the width allows.
    titles = [mark.title for mark, _ in next(iter(groups.values()))] if alone else list(groups)
    room = 20 if width < FEW_PIXELS else 44
    axes.set_yticks(range(len(titles)), [_wrap(text, room) for text in titles], color=STAND_INS["ink"])
    axes.set_ylim(len(titles) - 0.5, -0.5)
    axes.set_xlabel(title)
    axes.grid(axis="x", linewidth=0.8)
    axes.locator_params(axis="x", nbins=4 if width < FEW_PIXELS else 8)
    _finish(axes, "left", "bottom")
    told = [f"{key} {mark.title} {estimate.value:.3f}" for key, group in groups.items() for mark, estimate in group]
    return to_svg(figure, name, f"{title} with 95% intervals. {', '.join(told)}.")


@mpl.rc_context(STYLE)
def draw_lines(
    panels: Mapping[str, Sequence[Line]],
    horizontal: Horizontal,
    *,
    baselines: Mapping[str, HasInterval] | None = None,
    width: int,
    name: str,
) -> Markup:
    """Lines with intervals over an amount; panels by title side by side, on a phone stacked.

    `baselines` are drawn as a line with a band across the panel of that title.
    """
    beside = width >= FEW_PIXELS
    figure = blank_figure(width, 340 if beside else 30 + 250 * len(panels))
    shape = (1, len(panels)) if beside else (len(panels), 1)
    every = figure.subplots(*shape, squeeze=False).flat
    for axes, (title, lines) in zip(every, panels.items(), strict=True):
        if title in (baselines or {}):
            _draw_band(axes, (baselines or {})[title])
        _set_horizontal(axes, horizontal, lines, width / shape[1])
        for place, line in enumerate(lines):
            _draw_line(axes, line, place - (len(lines) - 1) / 2, width / shape[1], len(lines), horizontal.log)
        axes.set_title(title, loc="left", fontsize=12)
        axes.locator_params(axis="y", nbins=6)
        axes.grid(axis="y", linewidth=0.8)
        _finish(axes, "left")
    figure.supxlabel(_wrap(horizontal.title, 100 if beside else 44), fontsize=12, color=STAND_INS["muted"])
    told = [
        f"{title}, {line.mark.title}: {', '.join(format_number(estimate.value) for _, estimate in line.points)}"
        for title, lines in panels.items()
        for line in lines
    ]
    return to_svg(figure, name, f"Against {horizontal.title}. {'; '.join(told)}.")


def _set_horizontal(axes: Axes, horizontal: Horizontal, lines: Sequence[Line], width: float) -> None:
    values = [x for line in lines for x, _ in (*line.points, *line.curve)] + list(horizontal.ticks)
    low, high = min(values), max(values)
    if horizontal.log:
        axes.set_xscale("log")
        axes.set_xlim(low / 1.3, high * 1.3)
    else:
        margin = 0.09 * (high - low) or 0.5
        axes.set_xlim(low - margin, high + margin)
    if horizontal.ticks:
        axes.set_xticks(list(horizontal.ticks), list(horizontal.ticks.values()))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.locator_params(axis="x", nbins=4 if width < FEW_PIXELS else 8)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_plain(value)))


def _draw_line(axes: Axes, line: Line, place: float, width: float, lines: int, log: bool) -> None:
    """Lines stand a few pixels beside each other, so that their intervals can be told apart."""
    colour = STAND_INS[line.mark.colour]
    ends = np.log(axes.get_xlim()) if log else np.array(axes.get_xlim())
    shift = place * min(7, 60 / lines) / width * (ends[1] - ends[0])
    known = [(x, estimate) for x, estimate in line.points if not np.isnan(estimate.value)]
    x = np.array([at * np.exp(shift) if log else at + shift for at, _ in known])
    joined = "none" if line.curve else "-"
    shape = SHAPES[line.mark.symbol]
    axes.plot(x, [e.value for _, e in known], shape, linestyle=joined, color=colour, linewidth=1.5, markersize=5.5)
    axes.vlines(x, [e.low for _, e in known], [e.high for _, e in known], color=colour, linewidth=1.2, alpha=0.7)
    if line.curve:
        axes.plot([at for at, _ in line.curve], [value for _, value in line.curve], color=colour, linewidth=1.5)
    if line.operating:
        axes.plot(*line.operating, shape, markersize=11, markerfacecolor="none", markeredgecolor=colour)


def _draw_band(axes: Axes, baseline: HasInterval) -> None:
    axes.axhline(baseline.value, color=STAND_INS["baseline"], linewidth=1.5)
    if not np.isnan(baseline.low):
        axes.axhspan(baseline.low, baseline.high, color=STAND_INS["baseline"], alpha=0.16, linewidth=0)


@mpl.rc_context(STYLE)
def draw_pairs(
    panels: Mapping[str, Sequence[tuple[float, float]]], arm: Mark, other: str, *, width: int, name: str
) -> Markup:
    """Each patient's scores with the other arm (x) and with the arm (y), by panel; on the diagonal both are alike."""
    across = min(len(panels), 3 if width >= FEW_PIXELS else 1)
    down = -(-len(panels) // across)
    side = min(width / across, 330)
    figure = blank_figure(round(side * across), round((side + 14) * down))
    every = list(figure.subplots(down, across, squeeze=False).flat)
    for axes in every[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, pairs) in zip(every, panels.items(), strict=False):
        values = np.array(pairs)  # (patients, 2)
        margin = 0.05 * np.ptp(values) or 0.1
        ends = values.min() - margin, values.max() + margin
        axes.plot(ends, ends, color=STAND_INS["muted"], linewidth=1, linestyle=(0, (3, 3)))
        axes.plot(*values.T, SHAPES[arm.symbol], color=STAND_INS[arm.colour], markersize=5.5, alpha=0.75)
        axes.set(xlim=ends, ylim=ends, aspect="equal")
        axes.set_title(title, loc="left", fontsize=12)
        axes.locator_params(nbins=4)
        axes.grid(linewidth=0.8)
        _finish(axes, "left", "bottom")
    room = 34 if across == 1 else 90
    figure.supxlabel(_wrap(f"{other}, score of each patient", room), fontsize=12, color=STAND_INS["muted"])
    figure.supylabel(_wrap(arm.title, 34), fontsize=12, color=STAND_INS["muted"])
    told = ", ".join(f"{title}: {len(pairs)} patients" for title, pairs in panels.items())
    return to_svg(figure, name, f"Scores of each patient, {arm.title} against {other}. {told}.")


@mpl.rc_context(STYLE)
def draw_bars(
    real: Mapping[str, int], plans: Sequence[tuple[Mark, Mapping[str, int]]], *, width: int, name: str
) -> Markup:
    """Real images per class, and on top of them those that each plan adds."""
    names, before = list(real), np.array(list(real.values()))
    plans = plans or [(Mark("", "baseline"), {})]
    height = 0.8 / len(plans)
    figure, axes = new_figure(width, 46 + len(names) * max(26, 19 * len(plans)))
    most = 0
    for row, (mark, plan) in enumerate(plans):
        added = np.array([plan.get(key, 0) for key in names])
        y = np.arange(len(names)) + (row - (len(plans) - 1) / 2) * height
        axes.barh(y, before, height * 0.86, color=STAND_INS["baseline"])
        axes.barh(y, added, height * 0.86, left=before, color=STAND_INS[mark.colour])
        for at, first, extra in zip(y, before, added, strict=True):
            text = f"{first:,} + {extra:,}" if extra else f"{first:,}"
            axes.annotate(text, (first + extra, at), (5, 0), textcoords="offset points", va="center", fontsize=11)
        most = max(most, int((before + added).max()))
    axes.set_xlim(0, 1.02 * most)
    axes.set_yticks(range(len(names)), [_wrap(key, 14) for key in names], color=STAND_INS["ink"])
    axes.invert_yaxis()
    axes.set_xticks([])
    _finish(axes, "left", "bottom")
    told = ", ".join(f"{key}: {number} real" for key, number in real.items())
    return to_svg(figure, name, f"Images per class, real and synthetic. {told}.")


@mpl.rc_context(STYLE)
def draw_losses(
    title: str, step: str, steps: np.ndarray, losses: Mapping[str, np.ndarray], *, width: int, name: str
) -> tuple[Markup, list[Mark]]:
    """Losses of a training against its steps, as means over at most 240 stretches, and their legend."""
    figure, axes = new_figure(width, 190)
    legend = []
    for place, (column, values) in enumerate(losses.items()):
        known = np.isfinite(values) & np.isfinite(steps)
        colour = LOSS_COLOURS[place % len(LOSS_COLOURS)]
        style = "-" if place < len(LOSS_COLOURS) else "--"
        x, y = _average_stretches(steps[known]), _average_stretches(values[known])
        axes.plot(x, y, style, marker="o" if len(x) == 1 else None, color=STAND_INS[colour], linewidth=1.4)
        legend.append(Mark(column, colour, "\u2501"))
    finite = np.concatenate([values[np.isfinite(values)] for values in losses.values()])
    if finite.size and finite.min() > 0 and finite.max() > 50 * finite.min():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: format_plain(value)))
        axes.yaxis.set_minor_locator(NullLocator())
    else:
        axes.locator_params(axis="y", nbins=5)
    axes.locator_params(axis="x", nbins=6, integer=True)
    axes.set_xlabel(step)
    axes.grid(axis="y", linewidth=0.8)
    _finish(axes, "left")
    return to_svg(figure, name, f"Losses of {title}: {', '.join(losses)} against {step}."), legend


@dataclass(frozen=True)
class IntervalAxis:
    """The axis of drawings in a table's cells, with ticks at round values from its first to its last."""

    ticks: Sequence[float]

    def x(self, value: float) -> float:
        return round(20 + 120 * (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0]), 1)

    def _frame(self, content: str, height: int) -> Markup:
        size = f'viewBox="0 0 160 {height}" width="160" height="{height}"'
        return Markup(f'<svg class="interval" {size} aria-hidden="true">{content}</svg>')

    def draw_head(self) -> Markup:
        """The values of the first tick, of 0 and of the last."""
        shown = dict.fromkeys((self.ticks[0], 0.0, self.ticks[-1]))
        texts = [f'<text x="{self.x(at)}" y="11">{format_plain(at)}</text>' for at in shown]
        return self._frame("".join(texts), 14)

    def draw(self, estimate: HasInterval, adjusted: tuple[float, float], colour: str) -> Markup:
        """A difference with its 95% interval (thick) and the adjusted one (thin)."""
        lines = []
        for at in self.ticks:
            dash = ' stroke="var(--muted)" stroke-dasharray="2 2"' if at == 0 else ' stroke="var(--rule)"'
            lines.append(f'<line x1="{self.x(at)}" x2="{self.x(at)}" y1="0" y2="20"{dash}/>')
        for (low, high), thick in ((adjusted, 1), ((estimate.low, estimate.high), 3)):
            if not np.isnan(low):
                style = f'stroke="var(--{colour})" stroke-width="{thick}"'
                lines.append(f'<line x1="{self.x(low)}" x2="{self.x(high)}" y1="10" y2="10" {style}/>')
        if not np.isnan(estimate.value):
            lines.append(f'<circle cx="{self.x(estimate.value)}" cy="10" r="4.5" fill="var(--{colour})"/>')
        return self._frame("".join(lines), 20)


def interval_axis(values: Sequence[float]) -> IntervalAxis:
    """An axis with 0 and all the values on it; NaN are passed over."""
    ends = [0.0] + [value for value in values if not np.isnan(value)]
    low, high = (min(ends), max(ends)) if max(ends) > min(ends) else (-1.0, 1.0)
    ticks = MaxNLocator(nbins=3, steps=[1, 2, 5, 10]).tick_values(low, high)
    rounded = [float(np.round(tick, 10)) for tick in ticks]
    # No tick beyond the first that lies outside.
    return IntervalAxis([rounded[0]] + [after for before, after in pairwise(rounded) if before < high])


def _wrap(text: str, room: int) -> str:
    return "\n".join(textwrap.wrap(text, room, max_lines=2, placeholder="\u2026")) or text


def _average_stretches(values: np.ndarray) -> np.ndarray:
    if len(values) <= CURVE_POINTS:
        return values
    return np.array([stretch.mean() for stretch in np.array_split(values, CURVE_POINTS)])


def _finish(axes: Axes, *hidden: str) -> None:
    """No tick marks, and no frame at the hidden sides."""
    axes.set_axisbelow(True)
    axes.tick_params(length=0, which="both")
    for side in hidden:
        axes.spines[side].set_visible(False)
