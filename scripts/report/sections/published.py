"""The papers' figures beside ours."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.report.arms import by_task, metric_title
from scripts.report.blocks import Block, Cell, Group, Paragraph, Row, Section, Table, columns
from scripts.scores.formats import DASH, count, format_number, format_share
from scripts.scores.results import PublishedFigure, Results, Task

ORDER = 180
NOTE = (
    "Published figures come from other data, networks and training lengths, without intervals: compare directions, not "
    "levels. Arms and labels that this study lacks have no figure of ours."
)


def build(results: Results, folder: Path) -> Section | None:
    tables = by_task(results, lambda task: _tables(results, task))
    return Section("published", "Published beside ours", [Paragraph(NOTE, "small"), *tables]) if tables else None


def _tables(results: Results, task: Task) -> Sequence[Block]:
    """A table of each source and metric: rows by arm within a fraction, columns by label."""
    mine = [row for row in results.published if row.task == task.name]
    tables: list[Block] = []
    for source, metric in dict.fromkeys((row.source, row.metric) for row in mine):
        rows = [row for row in mine if (row.source, row.metric) == (source, metric)]
        labels = list(dict.fromkeys(row.label for row in rows))
        heads = [column for label in labels for column in (label or "Published", "Ours")]
        groups = []
        for fraction in dict.fromkeys(row.fraction for row in rows):
            here = [row for row in rows if row.fraction == fraction]
            names = list(dict.fromkeys(row.arm_title or row.arm for row in here))
            found = [
                _row(results, task, name, [r for r in here if (r.arm_title or r.arm) == name], labels) for name in names
            ]
            groups.append(Group(found, f"{format_share(fraction)} of the patients" if fraction != 1 else ""))
        known = next((each for each in task.metrics if each.name == metric), None)
        title = metric_title(known) if known else metric
        caption = f"{source}: {title}, {count(len(rows), 'figure')}."
        tables.append(Table("Trained on", columns(*heads), groups, caption))
    return tables


def _row(results: Results, task: Task, name: str, rows: Sequence[PublishedFigure], labels: Sequence[str]) -> Row:
    titles = {arm.name: arm.title for arm in results.arms_of(task.name)}
    cells = []
    for label in labels:
        row = next((row for row in rows if row.label == label), None)
        score = row and results.score(task.name, row.fraction, row.arm, row.metric, label=row.label)
        cells.append(Cell(format_number(row.value) if row else DASH, style="quiet"))
        cells.append(Cell(format_number(score.estimate.value) if score else DASH))
    return Row(titles.get(name, name), cells)
