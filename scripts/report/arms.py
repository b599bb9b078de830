"""How tasks, fractions and arms are named and marked on the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from scripts.report.blocks import Block, Heading, Mark
from scripts.scores.formats import count, format_share, plain_title
from scripts.scores.results import Arm, Metric, Results, Task

SYMBOLS = {
    "baseline": ("\u25cf",),
    "alternative": ("\u25a0", "\u271a"),
    "gan": ("\u25c6", "\u25b2", "\u25bc"),
}
LINE_MARKS = (("warm1", "\u25c6"), ("cool1", "\u25a0"), ("warm2", "\u25b2"), ("cool2", "\u25bc"), ("warm3", "\u271a"))


def arm_mark(results: Results, arm: Arm) -> Mark:
    """Grey baseline, cool alternatives, warm GAN arms: three colours, then another symbol."""
    if arm.kind == "baseline":
        return Mark(arm.title, "baseline", SYMBOLS["baseline"][0])
    alike = results.arms_of(arm.task, arm.kind)
    place = [other.name for other in alike].index(arm.name)
    symbols = SYMBOLS[arm.kind]
    temperature = "warm" if arm.kind == "gan" else "cool"
    return Mark(arm.title, f"{temperature}{place % 3 + 1}", symbols[place // 3 % len(symbols)])


def arm_marks(results: Results, task: str) -> list[Mark]:
    return [arm_mark(results, arm) for arm in results.arms_of(task)]


def line_mark(title: str, place: int) -> Mark:
    """The mark of a line that is no arm, by its place from 0."""
    colour, symbol = LINE_MARKS[place % len(LINE_MARKS)]
    return Mark(title, colour, symbol)


def by_task(results: Results, build: Callable[[Task], Sequence[Block]]) -> list[Block]:
    """Each task's blocks, under its name where the study has several tasks."""
    blocks: list[Block] = []
    for task in results.tasks:
        mine = build(task)
        if mine and len(results.tasks) > 1:
            blocks.append(Heading(plain_title(task.name)))
        blocks += mine
    return blocks


def fraction_title(results: Results, fraction: float) -> str:
    """ "2.5% of the patients (1 patient, 40 slices)"; empty where the study has one fraction."""
    if len(results.fractions) < 2:
        return ""
    known = results.dataset.training.get(fraction, {})
    sizes = ", ".join(count(number, unit.removesuffix("s")) for unit, number in known.items())
    return f"{format_share(fraction)} of the patients" + (f" ({sizes})" if sizes else "")


def metric_title(metric: Metric) -> str:
    return f"{metric.title}, {metric.unit}" if metric.unit else metric.title


def spread(values: Iterable[float]) -> float:
    """Standard deviation over trainings; NaN of fewer than two."""
    known = [value for value in values if value == value]
    return float(np.std(known, ddof=1)) if len(known) > 1 else float("nan")
