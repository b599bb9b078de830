"""Curves over an amount: members, features, synthetic per real slice, and the share of the patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from scripts.report.arms import arm_mark, arm_marks, by_task, line_mark, metric_title
from scripts.report.blocks import Block, Section, draw_figure
from scripts.report.charts import Horizontal, Line, draw_lines
from scripts.report.score_table import difference_tables
from scripts.scores.formats import format_amount, format_share, join_words, plain_title
from scripts.scores.results import Estimate, Results, Task

ORDER = 60
MOST_PANELS = 3


def build(results: Results, folder: Path) -> Section | None:
    blocks = by_task(results, lambda task: [*_over_fractions(results, task), *_over_amounts(results, task)])
    return Section("amounts", "How much", blocks) if blocks else None


def _over_fractions(results: Results, task: Task) -> list[Block]:
    if len(results.fractions) < 2:
        return []
    panels = {}
    for metric in task.metrics[:MOST_PANELS]:
        lines = []
        for arm in results.arms_of(task.name):
            scores = {share: results.score(task.name, share, arm.name, metric.name) for share in results.fractions}
            points = [(share, score.estimate) for share, score in scores.items() if score]
            if points:
                lines.append(Line(arm_mark(results, arm), points))
        if lines:
            panels[metric_title(metric)] = lines
    ticks = {
        share: f"{format_share(share)}\n{results.dataset.training.get(share, {}).get('patients', '')}"
        for share in results.fractions
    }
    caption = (
        "Each arm against the share and number of training patients, with 95% intervals, drawn side by side. Where the "
        "patients whom a fraction leaves out are tested on, smaller fractions are tested on more patients: compare "
        "arms at one fraction, not fractions."
    )

    def draw(width: int, name: str) -> Markup:
        return draw_lines(panels, Horizontal("Training patients", ticks, log=True), width=width, name=name)

    return [draw_figure(draw, f"f-{task.name}", caption, arm_marks(results, task.name))] if panels else []


def _over_amounts(results: Results, task: Task) -> Sequence[Block]:
    """Lines of the arms that differ in an amount alone, over the baseline's band."""
    families: dict[str, list[tuple[float, Estimate]]] = {}
    units: dict[str, None] = {}
    fraction, metric = results.fractions[-1], task.primary
    for arm in results.arms_of(task.name, "gan"):
        score = results.score(task.name, fraction, arm.name, metric.name)
        if arm.family and score and not math.isnan(arm.amount):
            families.setdefault(arm.family, []).append((arm.amount, score.estimate))
            units[arm.unit or "amount"] = None
    if not families:
        return []
    amounts = sorted({amount for points in families.values() for amount, _ in points})
    lines = [
        Line(line_mark(title, place), [(amounts.index(at), estimate) for at, estimate in sorted(points)])
        for place, (title, points) in enumerate(families.items())
    ]
    ticks = {float(place): format_amount(amount) for place, amount in enumerate(amounts)}
    baseline = results.score(task.name, fraction, results.baseline, metric.name)
    title = metric_title(metric)

    def draw(width: int, name: str) -> Markup:
        band = {title: baseline.estimate} if baseline else None
        horizontal = Horizontal(f"{plain_title(join_words(list(units)))}, in equal steps", ticks)
        return draw_lines({title: lines}, horizontal, baselines=band, width=width, name=name)

    caption = f"{title} against the amount of what is synthetic, with 95% intervals; grey, the baseline."
    drawn = draw_figure(draw, f"a-{task.name}", caption, [line.mark for line in lines])
    tested = results.differences_of("amounts", task.name)
    return [drawn, *difference_tables(results, task, tested, "More against less, and other sources of equal amount")]
