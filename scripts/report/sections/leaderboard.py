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
    format_number,
    format_seconds,
    format_signed,
    plain_title,
    state_p,
)
from scripts.scores.results import Difference, Evidence, Metric, Results, Task

ORDER = 15
NEW, REPEATS = 0.8, 0.5  # ratio of distances to the nearest training item, synthetic over held-out real
HEADS = (
    Column("Score [95%]"),
    Column("To the baseline [95%]"),
    Column("To the best alternative [95%]"),
    Column("Nearest image", optional=True),
    Column("Synthetic items", optional=True),
    Column("Training", optional=True),
)
CAPTION = (
    "Arms by their score. The best cheap alternative is the one with the best score; all were tested, so that p covers "
    "the choice. p is corrected after Holm over all tests of this page ({tests}), and a difference holds where it "
    "stands against its own family of tests and against all of them. Nearest image: how far synthetic items lie from "
    "the nearest training item, in that distance of held-out real ones; "
    f"new from {NEW:g} on, repeated below {REPEATS:g}."
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
            _nearest_cell(results.evidence, arm.evidence),
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


def _nearest_cell(evidence: Evidence, title: str) -> Cell:
    """Whether a synthetic set repeats training items, by the distances to the nearest one."""
    found = _nearest_distances(evidence, title)
    synthetic, held_out = (found.get(part, math.nan) for part in ("synthetic", "held_out"))
    ratio = synthetic / held_out if held_out > 0 else math.nan
    if math.isnan(ratio):
        return Cell(DASH, style="quiet")
    word = "new" if ratio >= NEW else "near" if ratio >= REPEATS else "repeated"
    return Cell(word, f"{format_number(ratio, 2)}\u00d7", style="lowered" if word == "repeated" else "")


def _nearest_distances(evidence: Evidence, title: str) -> dict[str, float]:
    """By part, from whichever evaluation measured them."""
    if title in evidence.nearest:
        return {name: part.median for name, part in evidence.nearest[title].items()}
    if title in evidence.annotations:
        parts = evidence.annotations[title].parts
        return {name: part.nearest_training.median for name, part in parts.items() if part.nearest_training}
    if title in evidence.selection:
        selection = evidence.selection[title]
        chosen = next(each for each in selection.candidates if each.chosen)
        return {name: entry.nearest_training for name, entry in {**selection.real, "synthetic": chosen}.items()}
    return {}
