"""Tables of scores and of differences between arms, for any section."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.report.arms import arm_mark, fraction_title, metric_title, spread
from scripts.report.blocks import Cell, Column, Group, Row, Table, columns
from scripts.report.charts import IntervalAxis, interval_axis
from scripts.scores.formats import (
    DASH,
    PLUS_MINUS,
    count,
    format_interval,
    format_number,
    format_p,
    format_share,
    format_signed,
)
from scripts.scores.results import ALL, Difference, Metric, Results, Score, Task

WORTH_TELLING = 0.01  # a smallest p from here on


@dataclass(frozen=True)
class Place:
    """A column of scores: a metric over one label or all, in one group or all."""

    title: str
    metric: Metric
    label: str = ALL
    group: str = ALL


def score_cell(score: Score | None, metric: Metric) -> Cell:
    """A score with the standard deviation over its trainings beside it and its interval below."""
    if score is None:
        return Cell(DASH, style="quiet")
    deviation = spread(score.seeds.values())
    beside = f"{PLUS_MINUS} {format_number(deviation, metric.digits)}" if deviation == deviation else ""
    estimate = score.estimate
    interval = format_interval(estimate.low, estimate.high, metric.digits)
    return Cell(format_number(estimate.value, metric.digits), beside, [interval or f"n = {estimate.patients}"])


def score_table(results: Results, task: Task, places: Sequence[Place], caption: str, *, details: str = "") -> Table:
    """Every arm's scores at the places, a group of rows for each fraction; arms without any are left out."""
    groups = []
    for fraction in results.fractions:
        rows = []
        for arm in results.arms_of(task.name):
            scores = [
                results.score(task.name, fraction, arm.name, place.metric.name, label=place.label, group=place.group)
                for place in places
            ]
            if any(scores):
                cells = [score_cell(score, place.metric) for score, place in zip(scores, places, strict=True)]
                rows.append(Row(arm.title, cells, arm_mark(results, arm)))
        if rows:
            groups.append(Group(rows, fraction_title(results, fraction)))
    return Table("Trained on", columns(*(place.title for place in places)), groups, caption, details)


def difference_tables(
    results: Results, task: Task, differences: Sequence[Difference], what: str, *, details: str = ""
) -> list[Table]:
    """The differences metric by metric, each on an axis of its own; rows by arm, below each what it is compared with.

    Args:
        results: whose arms are compared.
        task: of all the differences.
        differences: of one family.
        what: begins the caption, such as "Differences that the verdict goes by".
        details: the line that the tables are folded under, with the metric's title; "" leaves them open.
    """
    tested = sum(d.p_adjusted == d.p_adjusted for d in differences)
    tables = []
    for metric in task.metrics:
        mine = [d for d in differences if d.metric == metric.name]
        if not mine:
            continue
        axis = _common_axis(mine)
        arms = dict.fromkeys(d.arm for d in mine)
        groups = []
        for name in arms:
            arm = results.arm(task.name, name)
            rows = [_difference_row(results, d, metric, axis) for d in mine if d.arm == name]
            groups.append(Group(rows, arm.title, arm_mark(results, arm)))
        better = "above" if metric.better == "higher" else "below"
        family = f"p is corrected over {count(tested, 'test')}" if tested else "no test was made"
        caption = f"{what}: {metric_title(metric)}, {better} 0 is better; {family}.{_state_limits(mine, metric)}"
        heads = [
            Column("", optional=True, drawing=axis.draw_head()),
            Column("Difference [95%]"),
            Column("p", optional=True),
            Column("p, Holm"),
            Column("Could be told from", optional=True),
            Column("Finding"),
        ]
        folded = f"{details}: {metric_title(metric)}" if details else ""
        tables.append(Table("Arm, against", heads, groups, caption, folded))
    return tables


def _state_limits(differences: Sequence[Difference], metric: Metric) -> str:
    """What the chance of training and the number of patients leave to be told, where that is not little."""
    noises = {format_number(d.noise, metric.digits) for d in differences if not math.isnan(d.noise)}
    least = {format_p(d.smallest_p) for d in differences if d.smallest_p >= WORTH_TELLING}
    text = ""
    if noises:
        text += f" The chance of training alone moves a difference by {_span(noises)} (standard error)."
    if least:
        text += f" The smallest corrected p that so few patients can give: {_span(least)}."
    return text


def _span(texts: set[str]) -> str:
    return " to ".join(dict.fromkeys((min(texts), max(texts))))


def _common_axis(differences: Sequence[Difference]) -> IntervalAxis:
    values = []
    for d in differences:
        values += [d.estimate.value, d.estimate.low, d.estimate.high, d.adjusted_low, d.adjusted_high]
    return interval_axis(values)


def _difference_row(results: Results, difference: Difference, metric: Metric, axis: IntervalAxis) -> Row:
    other = results.arm(difference.task, difference.other).title
    at = format_share(difference.fraction) if len(results.fractions) > 1 else ""
    where = [difference.label, difference.group, at]
    title = ", ".join(text for text in (other, *where) if text)
    estimate, digits = difference.estimate, metric.digits
    adjusted = format_interval(difference.adjusted_low, difference.adjusted_high, digits)
    colour = arm_mark(results, results.arm(difference.task, difference.arm)).colour
    drawing = axis.draw(estimate, (difference.adjusted_low, difference.adjusted_high), colour)
    cells = [
        Cell(drawing),
        Cell(
            format_signed(estimate.value, digits),
            format_interval(estimate.low, estimate.high, digits),
            [f"adjusted {adjusted}"] if adjusted else [f"n = {estimate.patients}"],
        ),
        Cell(format_p(difference.p), style="quiet"),
        Cell(format_p(difference.p_adjusted)),
        Cell(format_number(difference.detectable, digits), style="quiet"),
        Cell(
            difference.finding,
            below=[difference.reason] if difference.reason else [],
            style=difference.finding if difference.finding in ("raised", "lowered") else "quiet",
        ),
    ]
    return Row(title, cells)
