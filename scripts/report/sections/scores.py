"""Every arm's scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from scripts.report.arms import arm_mark, by_task, fraction_title, metric_title
from scripts.report.blocks import Block, Section, draw_figure
from scripts.report.charts import draw_dots
from scripts.report.score_table import Place, score_table
from scripts.scores.formats import count
from scripts.scores.results import ALL, Results, Task

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
    places = [Place(metric_title(m), m) for m in whole]
    table = score_table(results, task, places, caption, details="Scores in all metrics")
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
        "overlap although their paired difference, below, is clear."
    )

    def draw(width: int, name: str) -> Markup:
        return draw_dots({"": dots}, metric_title(task.primary), width=width, name=name)

    return [draw_figure(draw, f"s-{task.name}", caption), table]
