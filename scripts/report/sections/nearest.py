"""Whether a generator repeats what it was shown: distances to the nearest training image or feature."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Group, Row, Section, Table, columns, text_cells
from scripts.scores.formats import format_number, plain_title
from scripts.scores.results import Results

ORDER = 90
CAPTION = (
    "Distance to the nearest training item. Synthetic ones that lie far nearer than held-out real ones repeat what the "
    "generator was shown. Apart: their mean distance from each other; far below that of real ones the generator has "
    "collapsed."
)


def build(results: Results, folder: Path) -> Section | None:
    groups = []
    for title, parts in results.evidence.nearest.items():
        rows = []
        for name, part in parts.items():
            numbers = (part.median, part.least, part.apart)
            rows.append(Row(plain_title(name), text_cells(f"{part.images:,}", *map(format_number, numbers))))
        groups.append(Group(rows, title))
    if not groups:
        return None
    table = Table("Items", columns("Number", "Median", "Least", "Apart"), groups, CAPTION)
    return Section("nearest", "Is it new?", [table])
