"""Every arm's scores, with what it took to make its images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from scripts.report.arms import arm_mark, by_task, fraction_title, metric_title
from scripts.report.blocks import Block, Section, draw_figure
from scripts.report.charts import draw_dots
from scripts.scores.formats import DASH, count, format_seconds
from scripts.report.score_table import Place, score_table
from scripts.scores.results import ALL, Arm, Results, Task

ORDER = 20


def build(results: Results, folder: Path) -> Section | None:
    return Section("scores", "Scores", by_task(results, lambda task: _blocks(results, task)))


def _blocks(results: Results, task: Task) -> Sequence[Block]:
    whole = [m for m in task.metrics if any(s.metric == m.name and s.label == ALL for s in results.scores)]
    arms = results.arms_of(task.name)
    tested = ", ".join(count(number, unit.removesuffix("s")) for unit, number in task.tested.items())
    seeds = len(results.seeds)
    noise = f", \u00b1 the standard deviation over {seeds} trainings," if seeds > 1 else " of one training,"
    caption = f"Tested on {tested} that no arm was trained on: the score{noise} and the 95% interval over patients."
    further = [
        ("Synthetic items", {arm.name: _count_synthetic(arm) for arm in arms}),
        ("Training", {arm.name: _format_hours(arm.hours) for arm in arms}),
    ]
    table = score_table(results, task, [Place(metric_title(m), m) for m in whole], caption, further=further)
    fraction = results.fractions[-1]
    dots = [
        (arm_mark(results, arm), score.estimate)
        for arm in arms
        if (score := results.score(task.name, fraction, arm.name, task.primary.name))
    ]
    if not dots:
        return [table]
    at = fraction_title(results, fraction)
    caption = (
        f"{metric_title(task.primary)} with 95% intervals{f', at {at}' if at else ''}. Intervals of two arms may "
        "overlap "
        "although their paired difference, below, is clear."
    )

    def draw(width: int, name: str) -> Markup:
        return draw_dots({"": dots}, metric_title(task.primary), width=width, name=name)

    return [table, draw_figure(draw, f"s-{task.name}", caption)]


def _format_hours(hours: float) -> str:
    """The time of one training with its generators; a dash where it is not known."""
    return format_seconds(3600 * hours) if hours == hours else DASH


def _count_synthetic(arm: Arm) -> str:
    total = sum(arm.synthetic.values())
    if not total:
        return DASH
    ratio = arm.amount if not arm.family or math.isnan(arm.amount) else math.nan
    return f"{total:,}" + (f" (1:{ratio:g})" if not math.isnan(ratio) else "")
