"""Figures as inline SVG whose colours and fonts are the page's own, so that they follow its light and dark themes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from scripts.report.comparisons import Estimate, estimate_arm, scored_classes
from scripts.report.drawing import STAND_INS, STYLE, blank_figure, new_figure, shorten, to_svg
from scripts.report.results import Arm, Results, read_curve

LOSS_ROLES = ("warm1", "cool1", "cool2", "warm2", "cool3", "warm3", "muted", "baseline")
MARKERS = {
    "baseline": (("o", "\u25cf"),),
    "alternative": (("s", "\u25a0"), ("P", "\u271a")),
    "gan": (("D", "\u25c6"), ("^", "\u25b2"), ("v", "\u25bc")),
}
CURVE_POINTS = 240


def arm_style(arms: Sequence[Arm], arm: Arm) -> tuple[str, str, str]:
    """Colour role, matplotlib marker and text marker of an arm: grey baseline, cool alternatives, warm GAN arms.

    Every three alternatives or GAN arms have the three colours and a marker of their own.
    """
    place = [other.name for other in arms if other.kind == arm.kind].index(arm.name)
    markers = MARKERS[arm.kind]
    if arm.kind == "baseline":
        return "baseline", *markers[0]
    temperature = "warm" if arm.kind == "gan" else "cool"
    return f"{temperature}{place % 3 + 1}", *markers[place // 3 % len(markers)]


@mpl.rc_context(STYLE)
def draw_class_histogram(results: Results, *, width: int, name: str) -> Markup | None:
    """Images per class: the real ones, and on top those each plan adds.

    Args:
        results: whose data set names its classes.
        width: of the drawing in CSS pixels.
        name: prefix of the SVG's ids, unique on the page.

    Returns:
        SVG, or None where the data set has no classes.
    """
    classes = results.experiment["dataset"]["classes"]
    if not classes:
        return None
    names = list(classes)
    real = np.array([classes[key]["slices"] for key in names])
    plans = synthetic_plans(results) or [(results.baseline, {})]
    height = 0.8 / len(plans)
    figure, axes = new_figure(width, 46 + len(names) * max(26, 19 * len(plans)))
    for row, (arm, plan) in enumerate(plans):
        added = np.array([plan.get(key, 0) for key in names])
        y = np.arange(len(names)) + (row - (len(plans) - 1) / 2) * height
        axes.barh(y, real, height * 0.86, color=STAND_INS["baseline"])
        axes.barh(y, added, height * 0.86, left=real, color=STAND_INS[arm_style(results.arms, arm)[0]])
        for at, before, extra in zip(y, real, added, strict=True):
            text = f"{before:,} + {extra:,}" if extra else f"{before:,}"
            axes.annotate(text, (before + extra, at), (5, 0), textcoords="offset points", va="center", fontsize=11)
    axes.set_xlim(0, 1.02 * max((real + np.array([plan.get(k, 0) for k in names])).max() for _, plan in plans))
    axes.set_yticks(range(len(names)), [shorten(key, width) for key in names], color=STAND_INS["ink"])
    axes.invert_yaxis()
    axes.tick_params(length=0)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    total = ", ".join(f"{key}: {before} real" for key, before in zip(names, real, strict=True))
    return to_svg(figure, name, f"Bar chart of images per class, real and synthetic. {total}.")


def synthetic_plans(results: Results) -> list[tuple[Arm, dict[str, int]]]:
    """The distinct synthetic counts per class, each with the first arm that has them; not counts of no class."""
    classes = results.experiment["dataset"]["classes"] or {}
    plans: list[tuple[Arm, dict[str, int]]] = []
    for arm in results.arms:
        adds = any(arm.synthetic.get(name) for name in classes)
        if adds and arm.synthetic not in [plan for _, plan in plans]:
            plans.append((arm, arm.synthetic))
    return plans


@mpl.rc_context(STYLE)
def draw_dice_by_class(results: Results, *, width: int, name: str) -> Markup:
    """Mean Dice with its 95% interval for every arm, over all patients and per class.

    Args:
        results: a checked results folder.
        width: of the drawing in CSS pixels.
        name: prefix of the SVG's ids, unique on the page.
    """
    groups: list[tuple[str, str | None]] = [("All", None), *((key, key) for key in scored_classes(results))]
    step = 0.78 / len(results.arms)
    figure, axes = new_figure(width, 50 + len(groups) * (14 + 13 * len(results.arms)))
    for row, (_, class_name) in enumerate(groups):
        for index, arm in enumerate(results.arms):
            role, marker, _ = arm_style(results.arms, arm)
            estimate = estimate_arm(results, arm, class_name=class_name)
            y = row + (index - (len(results.arms) - 1) / 2) * step
            if not np.isnan(estimate.low):
                axes.plot([estimate.low, estimate.high], [y, y], color=STAND_INS[role], linewidth=1.6)
            axes.plot([estimate.mean], [y], marker, color=STAND_INS[role], markersize=6.5)
        if row:
            axes.axhline(row - 0.5, color=STAND_INS["rule"], linewidth=0.8)
    labels = [
        f"{shorten(label, width)}\nn = {estimate_arm(results, results.arms[0], class_name=key).n}"
        for label, key in groups
    ]
    axes.set_yticks(range(len(groups)), labels, color=STAND_INS["ink"])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.set_xlabel("Dice, mean over patients")
    axes.grid(axis="x", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.locator_params(axis="x", nbins=5 if width < 500 else 8)
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    means = ", ".join(f"{arm.title} {estimate_arm(results, arm).mean:.3f}" for arm in results.arms)
    return to_svg(figure, name, f"Dot plot of mean Dice per class and arm with 95% intervals. All patients: {means}.")


@mpl.rc_context(STYLE)
def draw_loss_curve(path: Path, *, width: int, name: str) -> tuple[Markup, list[tuple[str, str]]]:
    """The columns of one curve file against its first, as means over at most 240 stretches.

    Args:
        path: CSV as `scripts.report.results.read_curve` takes it.
        width: of the drawing in CSS pixels.
        name: prefix of the SVG's ids, unique on the page.

    Returns:
        SVG, and (column, colour role) for the legend.
    """
    step_name, table = read_curve(path)
    steps = table.pop(step_name)
    figure, axes = new_figure(width, 190)
    legend = []
    for index, (column, values) in enumerate(table.items()):
        known = np.isfinite(values) & np.isfinite(steps)
        role = LOSS_ROLES[index % len(LOSS_ROLES)]
        style = "-" if index < len(LOSS_ROLES) else "--"
        marker = "o" if known.sum() == 1 else None
        x, y = _average_stretches(steps[known]), _average_stretches(values[known])
        axes.plot(x, y, style, marker=marker, color=STAND_INS[role], linewidth=1.4)
        legend.append((column, role))
    finite = np.concatenate([values[np.isfinite(values)] for values in table.values()] or [np.zeros(0)])
    if finite.size and finite.min() > 0 and finite.max() > 50 * finite.min():
        axes.set_yscale("log")
    else:
        axes.locator_params(axis="y", nbins=5)
    axes.locator_params(axis="x", nbins=6, integer=True)
    axes.set_xlabel(step_name)
    axes.grid(axis="y", linewidth=0.8)
    axes.tick_params(length=0, which="both")
    axes.spines["left"].set_visible(False)
    return to_svg(figure, name, f"Loss curves of {path.stem}: {', '.join(table)} against {step_name}."), legend


Curves = Mapping[str, Sequence[tuple[float, Estimate]]]  # by arm: share of the data, and the estimate there


@mpl.rc_context(STYLE)
def draw_learning_curves(
    panels: Mapping[str, Curves], arms: Sequence[Arm], ticks: Mapping[float, str], *, width: int, name: str
) -> Markup:
    """Measures against the share of the training data, one line per arm with 95% intervals.

    Args:
        panels: curves by the measure's title; the first is drawn large, others beside it or, on a phone, below.
        arms: all arms, for their colours and order.
        ticks: the shares drawn, in (0, 1], and what to write at each.
        width: of the drawing in CSS pixels.
        name: prefix of the SVG's ids, unique on the page.
    """
    beside = width >= 500 and len(panels) > 1
    figure = blank_figure(width, 370 if beside else 60 + 210 * len(panels))
    grid = figure.add_gridspec(
        len(panels) - 1 if beside else len(panels), 2 if beside else 1, width_ratios=[1.45, 1] if beside else None
    )
    for index, (title, curves) in enumerate(panels.items()):
        place = (grid[:, 0] if index == 0 else grid[index - 1, 1]) if beside else grid[index, 0]
        _draw_panel(figure.add_subplot(place), title, curves, arms, ticks, apart=1.08 if beside and index else 1.05)
    figure.axes[0 if beside else -1].set_xlabel(
        "Share and number of training patients" if "\n" in "".join(ticks.values()) else "Share"
    )
    text = "; ".join(
        f"{arm.title} {', '.join(f'{e.mean:.3f}' for _, e in next(iter(panels.values())).get(arm.name, []))}"
        for arm in arms
    )
    at = ", ".join(f"{100 * share:g}%" for share in ticks)
    return to_svg(
        figure, name, f"Learning curves: {', '.join(panels)} at {at} of the data. {next(iter(panels))}: {text}."
    )


def _draw_panel(
    axes: Axes, title: str, curves: Curves, arms: Sequence[Arm], ticks: Mapping[float, str], *, apart: float
) -> None:
    """One measure; arms stand beside each other, each `apart` times the x of the one before."""
    for index, arm in enumerate(arms):
        points = [(share, estimate) for share, estimate in curves.get(arm.name, []) if not np.isnan(estimate.mean)]
        role, marker, _ = arm_style(arms, arm)
        x = np.array([share for share, _ in points]) * apart ** (index - (len(arms) - 1) / 2)
        axes.plot(x, [e.mean for _, e in points], marker=marker, color=STAND_INS[role], linewidth=1.5, markersize=5.5)
        for at, (_, estimate) in zip(x, points, strict=True):
            if not np.isnan(estimate.low):
                axes.plot([at, at], [estimate.low, estimate.high], color=STAND_INS[role], linewidth=1.2, alpha=0.7)
    axes.set_title(title, loc="left", fontsize=12)
    axes.set_xscale("log")
    axes.set_xlim(min(ticks) / 1.25, max(ticks) * 1.25)
    axes.set_xticks(list(ticks), list(ticks.values()))
    axes.minorticks_off()
    axes.locator_params(axis="y", nbins=6)
    axes.grid(axis="y", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.spines["left"].set_visible(False)


def _average_stretches(values: np.ndarray) -> np.ndarray:
    if len(values) <= CURVE_POINTS:
        return values
    return np.array([part.mean() for part in np.array_split(values, CURVE_POINTS)])


def draw_interval(estimate: Estimate, ends: tuple[float, float], role: str) -> Markup:
    """A table cell's drawing: a difference and its interval on an axis between two ends, with a line at 0."""
    low, high = ends

    def x(value: float) -> float:
        return round(5 + 130 * (value - low) / (high - low), 1)

    line = ""
    if not np.isnan(estimate.low):
        line = (
            f'<line x1="{x(estimate.low)}" x2="{x(estimate.high)}" y1="9" y2="9" '
            f'stroke="var(--{role})" stroke-width="2"/>'
        )
    return Markup(
        '<svg class="interval" viewBox="0 0 140 18" width="140" height="18" aria-hidden="true">'
        f'<line x1="{x(0)}" x2="{x(0)}" y1="0" y2="18" stroke="var(--muted)" stroke-dasharray="2 2"/>'
        f'{line}<circle cx="{x(estimate.mean)}" cy="9" r="4" fill="var(--{role})"/></svg>'
    )
