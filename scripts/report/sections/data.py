"""The numbers of the page as files."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Definitions, Section
from scripts.scores.results import Results

ORDER = 210
FILES = {
    "scores.csv": "every score with its interval, the trainings' own scores and their spread",
    "patients.csv": "every patient's score in every arm",
    "differences.csv": "every comparison with its intervals and p values",
    "results.json": "everything on this page",
}


def build(results: Results, folder: Path) -> Section | None:
    return Section("data", "Numbers", [Definitions(list(FILES.items()))])
