"""The answer of each task, with why and what to run next."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Answer, Section
from scripts.scores.formats import plain_title
from scripts.scores.results import Results

ORDER = 10
COLOURS = {"helps": "raised", "harms": "lowered", "no gain": "lowered"}


def build(results: Results, folder: Path) -> Section | None:
    answers = [
        Answer(
            plain_title(verdict.task) if len(results.tasks) > 1 else "",
            verdict.sentence,
            COLOURS.get(verdict.finding, "open"),
            verdict.details,
            verdict.next_step,
            verdict.next_command,
        )
        for verdict in results.verdicts
    ]
    return Section("verdict", "Verdict", answers) if answers else None
