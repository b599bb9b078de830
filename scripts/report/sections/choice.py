"""Members of an ensemble in the order in which they cover real images, and those that collapsed."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Block, Group, Paragraph, Row, Section, Table, columns, text_cells
from scripts.scores.evidence import Choice
from scripts.scores.formats import format_percent
from scripts.scores.results import Results

ORDER = 130


def build(results: Results, folder: Path) -> Section | None:
    blocks: list[Block] = [_table(title, choice) for title, choice in results.evidence.choice.items()]
    for title, check in results.evidence.members.items():
        if names := ", ".join(str(each.member) for each in check.members if each.collapsed):
            blocks.append(Paragraph(f"{title}, collapsed, so that their images hardly differ: {names}.", "warning"))
    return Section("choice", "Choice of members", blocks) if blocks else None


def _table(title: str, choice: Choice) -> Table:
    alone = dict(zip(sorted(choice.order), choice.single, strict=True))
    training = choice.training_coverage or [float("nan")] * len(choice.order)
    rows = [
        Row(str(member), text_cells(*map(format_percent, (alone[member], together, ceiling))))
        for member, together, ceiling in zip(choice.order, choice.coverage, training, strict=True)
    ]
    caption = (
        f"{title}: members in the order of choice, each the one that adds most coverage: the share of "
        f"{choice.real_images:,} real {choice.real} images with a synthetic one within the distance to their k-th "
        f"nearest real one (k = {choice.k}), at {choice.images_per_member:,} images of each member. As many training "
        "images cover what is in the last column: about what can be expected."
    )
    heads = columns("Covered alone", "Covered with those above", "By training images")
    return Table("Member", heads, [Group(rows)], caption)
