"""What the verdict rests on: paired differences, and each patient's scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from scripts.report.arms import arm_mark, by_task, fraction_title
from scripts.report.blocks import Block, Section, draw_figure
from scripts.report.charts import draw_pairs
from scripts.report.score_table import difference_tables
from scripts.scores.results import Results, Task

ORDER = 30


def build(results: Results, folder: Path) -> Section | None:
    blocks = by_task(results, lambda task: _blocks(results, task))
    return Section("differences", "Differences", blocks) if blocks else None


def _blocks(results: Results, task: Task) -> Sequence[Block]:
    tables = difference_tables(
        results, task, results.differences_of("verdict", task.name), "Differences that the verdict goes by"
    )
    further = results.differences_of("further", task.name)
    folded = difference_tables(results, task, further, "Differences", details="Further metrics")
    return [*tables, *_pairs(results, task), *folded]


def _pairs(results: Results, task: Task) -> list[Block]:
    """The GAN arm with the highest difference to the baseline, patient by patient, at each fraction."""
    gan = {arm.name for arm in results.arms_of(task.name, "gan")}
    sign = 1 if task.primary.better == "higher" else -1
    found = [d for d in results.differences_of("verdict", task.name) if d.other == results.baseline and d.arm in gan]
    found = [d for d in found if d.estimate.value == d.estimate.value]
    if not found:
        return []
    best = max(found, key=lambda d: sign * d.estimate.value)
    panels = {}
    for fraction in results.fractions:
        first, second = (results.score(task.name, fraction, name, task.primary.name) for name in (best.other, best.arm))
        if first and second:
            shared = [patient for patient in first.patients if patient in second.patients]
            pairs = [(first.patients[patient], second.patients[patient]) for patient in shared]
            if pairs:
                panels[fraction_title(results, fraction).split(" (")[0]] = pairs
    if not panels:
        return []
    arm, other = (results.arm(task.name, name) for name in (best.arm, best.other))
    caption = (
        f"{task.primary.title} of each patient, {arm.title} against {other.title}: above the line the arm is higher."
    )

    def draw(width: int, name: str) -> Markup:
        return draw_pairs(panels, arm_mark(results, arm), other.title, width=width, name=name)

    return [draw_figure(draw, f"p-{task.name}", caption)]
