"""Scores label by label, and their differences to the baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.report.arms import by_task, metric_title
from scripts.report.blocks import Block, Section
from scripts.report.score_table import Place, difference_tables, score_table
from scripts.scores.results import ALL, Results, Task

ORDER = 40


def build(results: Results, folder: Path) -> Section | None:
    blocks = by_task(results, lambda task: _blocks(results, task))
    return Section("labels", "By label", blocks) if blocks else None


def _blocks(results: Results, task: Task) -> Sequence[Block]:
    blocks: list[Block] = []
    for metric in task.metrics:
        scores = [s for s in results.scores if (s.task, s.metric) == (task.name, metric.name) and s.label != ALL]
        labels = list(dict.fromkeys(score.label for score in scores))
        if not labels or (len(labels) == 1 and any(s.label == ALL for s in results.scores if s.metric == metric.name)):
            continue
        places = [Place(label, metric, label) for label in labels]
        folded = f"{metric_title(metric)} by label" if blocks else ""
        caption = f"{metric_title(metric)} by label, over the patients in whom it is defined."
        blocks.append(score_table(results, task, places, caption, details=folded))
    tested = results.differences_of("labels", task.name)
    return [
        *blocks,
        *difference_tables(results, task, tested, "Differences by label", details="All differences by label"),
    ]
