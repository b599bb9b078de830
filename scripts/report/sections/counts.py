"""Features that were asked for, generated and accepted, by class."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Group, Row, Section, Table, columns, embed_pictures, text_cells
from scripts.scores.formats import format_percent
from scripts.scores.results import Results

ORDER = 140


def build(results: Results, folder: Path) -> Section | None:
    groups = []
    for title, classes in results.evidence.counts.items():
        rows = []
        for name, count in classes.items():
            numbers = [f"{n:,}" for n in (count.asked, count.generated, count.accepted, count.far, count.kept)]
            rows.append(Row(name, text_cells(*numbers, format_percent(count.acceptance_rate))))
        groups.append(Group(rows, title))
    if not groups:
        return None
    caption = (
        "Features asked for, generated until enough were accepted by the discriminator as their class, those of them "
        "that were dropped since they lie too far from the centre of their class's real features, and kept."
    )
    heads = columns("Asked", "Generated", "Accepted", "Too far", "Kept", "Acceptance")
    pictures = embed_pictures(folder, results.pictures, "counts")
    return Section("counts", "Features generated", [Table("Class", heads, groups, caption), *pictures])
