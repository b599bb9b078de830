"""Every task's arms by their score, with their differences to the baseline and to the best cheap alternative."""

from __future__ import annotations

import math
from pathlib import Path

from scripts.metrics.comparison import SIGNIFICANT
from scripts.report.arms import arm_mark, fraction_title, metric_title
from scripts.report.blocks import Cell, Column, Group, Row, Section, Table, interval_cell
from scripts.scores.formats import (
    DASH,
    format_interval,
    format_seconds,
    format_signed,
    plain_title,
    state_p,
)
from scripts.scores.results import Difference, Metric, Results, Task

ORDER = 15
HEADS = (
    Column("Score [95%]"),
    Column("To the baseline [95%]"),
    Column("To the best alternative [95%]"),
    Column("Copies", optional=True),
    Column("Synthetic items", optional=True),
    Column("Training", optional=True),
)
CAPTION = (
    "Arms by their score. The best cheap alternative is the one with the best score; all were tested, so that p covers "
    "the choice. p is corrected after Holm over all tests of this page ({tests}), and a difference holds where it "
    "stands against its own family of tests and against all of them. Copies: whether more synthetic items than chance "
    "allows lie near training items (the section on copies); a set that failed must stay in the house."
)


def build(results: Results, folder: Path) -> Section | None:
    groups = []
    for task in results.tasks:
        for fraction in results.fractions:
            words = [plain_title(task.name)] * (len(results.tasks) > 1) + [metric_title(task.primary)]
            title = ", ".join(filter(None, [*words, fraction_title(results, fraction)]))
            if rows := _rows(results, task, fraction):
                groups.append(Group(rows, title))
    tests = sum(not math.isnan(d.p) for d in results.differences)
    table = Table("Trained on", HEADS, groups, CAPTION.format(tests=tests))
    return Section("leaderboard", "Ranking", [table]) if groups else None


def _rows(results: Results, task: Task, fraction: float) -> list[Row]:
    """The arms that the fraction ran, the best first."""
    metric = task.primary
    scored = [(arm, results.score(task.name, fraction, arm.name, metric.name)) for arm in results.arms_of(task.name)]
    found = [(arm, score.estimate) for arm, score in scored if score]
    found.sort(key=lambda each: each[1].value, reverse=metric.better == "higher")
    best = next((arm.name for arm, _ in found if arm.kind == "alternative"), "")
    tested = {(d.arm, d.other): d for d in results.differences_of("verdict", task.name, fraction)}
    rows = []
    for arm, estimate in found:
        role = "baseline" if arm.kind == "baseline" else "best cheap alternative" if arm.name == best else ""
        cells = [
            interval_cell(estimate, metric.digits),
            *(_difference_cell(tested.get((arm.name, other)), metric) for other in (results.baseline, best)),
            _copies_cell(arm.copies),
            Cell(f"{sum(arm.synthetic.values()):,}" if arm.synthetic else DASH, style="quiet"),
            Cell(DASH if math.isnan(arm.hours) else format_seconds(3600 * arm.hours), style="quiet"),
        ]
        rows.append(Row(f"{arm.title} ({role})" if role else arm.title, cells, arm_mark(results, arm)))
    return rows


def _difference_cell(difference: Difference | None, metric: Metric) -> Cell:
    if difference is None:
        return Cell(DASH, style="quiet")
    estimate, p = difference.estimate, difference.p_page
    interval = format_interval(estimate.low, estimate.high, metric.digits)
    holds = p < SIGNIFICANT and difference.finding in ("raised", "lowered")
    said = difference.finding if math.isnan(p) else f"{state_p(p)}{', holds' * holds}"
    style = difference.finding if holds else ""
    return Cell(format_signed(estimate.value, metric.digits), interval, [said], style)


def _copies_cell(verdict: str) -> Cell:
    """Of a memorisation audit, "" without."""
    if not verdict:
        return Cell(DASH, style="quiet")
    word = {"passed": "no", "failed": "yes"}.get(verdict, "unknown")
    return Cell(word, style="lowered" if word == "yes" else "")
