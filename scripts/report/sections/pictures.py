"""What the generators made, beside what it was made from."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Section, embed_pictures
from scripts.scores.results import Results

ORDER = 160


def build(results: Results, folder: Path) -> Section | None:
    blocks = embed_pictures(folder, results.pictures, "pictures")
    return Section("pictures", "Pictures", blocks) if blocks else None
