"""Synthetic annotations beside real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from scripts.report.blocks import Block, Cell, Group, Row, Section, Table, columns, interval_cell
from scripts.scores.evidence import AnnotationEntry, Annotations, Share
from scripts.scores.formats import DASH, format_number, format_percent, plain_title
from scripts.scores.results import Results

ORDER = 120
PARTS = {"training": "Real, training", "held_out": "Real, held out", "synthetic": "Synthetic"}
CAPTION = (
    "annotations of synthetic images beside those of real ones; sizes, rims and lesions over images with lesion. A "
    "false "
    "rim is a thin line of a label between a lower and a higher one, which real annotations have too."
)
Measure = tuple[str, Callable[[AnnotationEntry], Cell]]


def build(results: Results, folder: Path) -> Section | None:
    blocks: list[Block] = []
    for title, found in results.evidence.annotations.items():
        parts = {PARTS.get(name, plain_title(name)): entry for name, entry in found.parts.items()}
        rows = [Row(name, [cell(entry) for entry in parts.values()]) for name, cell in _measures(found)]
        rows = [row for row in rows if any(cell.value != DASH for cell in row.cells)]
        blocks.append(Table("Measure", columns(*parts), [Group(rows)], f"{title}: {CAPTION}"))
        if found.members:
            measures = _measures(found)
            members = [Row(str(e.member), [cell(e) for _, cell in measures]) for e in found.members]
            heads, folded = columns(*(name for name, _ in measures)), "Annotations member by member"
            blocks.append(Table("Member", heads, [Group(members)], "The same, member by member.", folded))
    return Section("annotations", "Annotations", blocks) if blocks else None


def _measures(found: Annotations) -> list[Measure]:
    def of_label(name: str) -> Callable[[AnnotationEntry], Cell]:
        return lambda entry: Cell(format_number(entry.label_percent.get(name), 2))

    return [
        ("Images", lambda entry: Cell(f"{entry.images:,}")),
        ("With lesion", lambda entry: Cell(format_percent(entry.lesion_images))),
        *((f"{name}, % of the image", of_label(name)) for name in found.labels),
        ("Separate lesions", lambda entry: Cell(format_number(entry.components, 2))),
        ("False rims, % of the lesion", lambda entry: _percent(entry.rim_share)),
        ("Outside the head, % of the lesion", lambda entry: _percent(entry.outside_head_share)),
    ]


def _percent(share: Share) -> Cell:
    return interval_cell(share, 2, scale=100) if share.value == share.value else Cell(DASH)
