"""Good, median and bad cases: reference and predictions."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Section, embed_pictures
from scripts.scores.results import Results

ORDER = 150


def build(results: Results, folder: Path) -> Section | None:
    blocks = embed_pictures(folder, results.pictures, "cases")
    return Section("cases", "Cases", blocks) if blocks else None
