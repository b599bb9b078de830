"""How long each arm trained, and how far it came in equal passes over the real slices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from scripts.report.arms import arm_mark, by_task, fraction_title
from scripts.report.blocks import Block, Group, Paragraph, Row, Section, Table, columns, text_cells
from scripts.scores.formats import count, format_number, join_words, plain_title
from scripts.scores.results import Results, Task, Training

ORDER = 165
WARNING = (
    "These scores are of the validation patients, who chose the epochs: they say how far the trainings came, not how "
    "well the arms do. What the arms are compared by are the scores of the test patients, above."
)


def build(results: Results, folder: Path) -> Section | None:
    blocks = by_task(results, lambda task: _tables(results, task))
    return Section("training", "How long each arm trained", [Paragraph(WARNING), *blocks]) if blocks else None


def _tables(results: Results, task: Task) -> Sequence[Block]:
    groups, mine = [], [each for each in results.trainings if each.task == task.name]
    for fraction in results.fractions:
        rows = []
        for arm in results.arms_of(task.name):
            trainings = [each for each in mine if (each.arm, each.fraction) == (arm.name, fraction)]
            if trainings:
                rows.append(Row(arm.title, text_cells(*_describe(trainings)), arm_mark(results, arm)))
        if rows:
            groups.append(Group(rows, fraction_title(results, fraction)))
    if not groups:
        return []
    metric = join_words(sorted({plain_title(each.metric) for each in mine}))
    heads = columns("Epochs", "Best epoch", "On a plateau", "Passes", metric, "At equal passes")
    caption = (
        "Means over folds and seeds. On a plateau: trainings that ended because the score had stopped rising, the "
        "others at the last epoch that was allowed. Passes: over the real slices, each by as many real slices drawn as "
        f"there are. {metric}: of the validation patients, at the best epoch. At equal passes: the best one within as "
        "many passes over the real slices as every arm with real images had in that fold, in brackets."
    )
    return [Table("Arm", heads, groups, caption)]


def _describe(trainings: Sequence[Training]) -> list[str]:
    ended = sum(each.stopped == "plateau" for each in trainings)
    equal, passes = (_mean(getattr(each, name) for each in trainings) for name in ("equal_score", "equal_passes"))
    return [
        format_number(_mean(each.epochs for each in trainings), 0),
        format_number(_mean(each.best_epoch for each in trainings), 0),
        f"{ended} of {count(len(trainings), 'training')}",
        format_number(_mean(each.real_passes for each in trainings), 1),
        format_number(_mean(each.score for each in trainings)),
        format_number(equal) + ("" if math.isnan(passes) else f" ({format_number(passes, 1)})"),
    ]


def _mean(values: Iterable[float]) -> float:
    """Of the known ones; NaN of none."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
