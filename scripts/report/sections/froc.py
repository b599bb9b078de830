"""Sensitivity against false positives per slice of detectors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from markupsafe import Markup

from scripts.report.arms import arm_mark, arm_marks, fraction_title
from scripts.report.blocks import Block, Section, draw_figure
from scripts.report.charts import Horizontal, Line, draw_lines
from scripts.scores.formats import format_plain
from scripts.scores.results import FrocCurve, Results

ORDER = 70


def build(results: Results, folder: Path) -> Section | None:
    blocks: list[Block] = []
    fraction = results.fractions[-1]
    mine = [curve for curve in results.evidence.froc if curve.fraction == fraction]
    for task in dict.fromkeys(curve.task for curve in mine):
        panels: dict[str, list[Line]] = {}
        for curve in (curve for curve in mine if curve.task == task):
            panels.setdefault(f"IoU \u2265 {curve.iou:g}", []).append(_line(results, curve))
        ticks = {rate: format_plain(rate) for curve in mine for rate, _ in curve.points}
        at = fraction_title(results, fraction)
        caption = (
            "Highest sensitivity within so many false positives per slice, mean over trainings"
            f"{f', at {at}' if at else ''}, with 95% intervals drawn side by side; large open marks: where the "
            "detection threshold puts the detector."
        )

        def draw(
            width: int, name: str, panels: Mapping[str, list[Line]] = panels, ticks: Mapping[float, str] = ticks
        ) -> Markup:
            return draw_lines(panels, Horizontal("False positives per slice", ticks, log=True), width=width, name=name)

        blocks.append(draw_figure(draw, f"r-{task}", caption, arm_marks(results, task)))
    return Section("froc", "Sensitivity against false positives", blocks) if blocks else None


def _line(results: Results, curve: FrocCurve) -> Line:
    mark = arm_mark(results, results.arm(curve.task, curve.arm))
    return Line(mark, curve.points, curve.curve, curve.operating)
