"""Images and scores by the patients' class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from scripts.report.arms import arm_mark, by_task, metric_title
from scripts.report.blocks import Block, Mark, Paragraph, Section, draw_figure
from scripts.report.charts import draw_bars
from scripts.report.score_table import Place, difference_tables, score_table
from scripts.scores.results import Results, Task

ORDER = 50


def build(results: Results, folder: Path) -> Section | None:
    blocks = [*_images(results), *by_task(results, lambda task: _blocks(results, task))]
    return Section("classes", "By class", blocks) if blocks else None


def _images(results: Results) -> list[Block]:
    """Images per class, and what each distinct synthetic set adds."""
    real = {name: counts.get("slices", 0) for name, counts in results.dataset.classes.items()}
    plans: list[tuple[Mark, dict[str, int]]] = []
    for arm in results.arms:
        if set(arm.synthetic) & set(real) and arm.synthetic not in [plan for _, plan in plans]:
            mark = arm_mark(results, arm)
            plans.append((Mark(f"Synthetic, for {arm.title}", mark.colour), arm.synthetic))
    if not real:
        return []
    caption = "Training images per class, of the first fold and the largest fraction" + (
        ": real + synthetic." if plans else "."
    )

    def draw(width: int, name: str) -> Markup:
        return draw_bars(real, plans, width=width, name=name)

    return [draw_figure(draw, "c", caption, [Mark("Real", "baseline"), *(mark for mark, _ in plans)])]


def _blocks(results: Results, task: Task) -> Sequence[Block]:
    if not task.groups:
        return []
    metric = task.primary
    places = [Place(group, metric, group=group) for group in task.groups]
    caption = f"{metric_title(metric)} by class of the patients."
    tested = results.differences_of("classes", task.name)
    raised = sum(d.finding == "raised" for d in tested)
    lowered = sum(d.finding == "lowered" for d in tested)
    known = sum(d.p_adjusted == d.p_adjusted for d in tested)
    told = f"Of {len(tested)} comparisons by class {known} could be tested: {raised} raised, {lowered} lowered."
    tables = difference_tables(results, task, tested, "Differences by class", details="All differences by class")
    return [score_table(results, task, places, caption), *([Paragraph(told, "small")] if tested else []), *tables]
