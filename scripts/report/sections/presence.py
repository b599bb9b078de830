"""Whether there is a lesion in the boxes that were asked for, and whether it lies there."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Block, Group, Paragraph, Row, Section, Table, columns, embed_pictures, interval_cell
from scripts.report.blocks import text_cells as texts
from scripts.report.filter_table import filter_table
from scripts.scores.evidence import Placement, Presence
from scripts.scores.formats import format_number, format_percent, plain_title
from scripts.scores.results import Results

ORDER = 100
CRITERIA = {
    "contrast": "its contrast with its surroundings is {threshold} or more, as in all but {missed} of the real boxes",
    "segmenter": "a segmenter of real images finds a lesion whose box has an IoU with it of {threshold} or more",
    "detector": "a detector trained on real images finds one there with a score of {threshold} or more",
}
MIRRORED = (
    "Training mirrored: boxes at the mirror place of real ones, where no lesion is annotated; how many of these pass "
    "says how far the criterion can be trusted."
)


def build(results: Results, folder: Path) -> Section | None:
    blocks: list[Block] = []
    for title, presence in results.evidence.presence.items():
        blocks += [_presence_table(title, presence), Paragraph(_kept(presence), "small")]
        if presence.filters and presence.filters.by_class:
            criterion = {presence.criterion: f"Without lesion by {presence.criterion}"}
            blocks.append(filter_table(title, presence.filters, criterion))
    blocks += embed_pictures(folder, results.pictures, "presence")
    blocks += [_placement_table(title, placement) for title, placement in results.evidence.placement.items()]
    blocks += embed_pictures(folder, results.pictures, "placement")
    return Section("presence", "Is there a lesion, and where?", blocks) if blocks else None


def _presence_table(title: str, presence: Presence) -> Table:
    criterion = CRITERIA.get(presence.criterion, presence.criterion).format(
        threshold=format_number(presence.threshold, 2), missed=format_percent(presence.quantile, 0)
    )
    rows = [
        Row(plain_title(name), [*texts(f"{part.boxes:,}", str(part.present.n)), interval_cell(part.present, 2)])
        for name, part in presence.parts.items()
    ]
    caption = f"{title}: share of boxes that show a lesion, mean over patients. A box shows one where {criterion}."
    return Table("Images", columns("Boxes", "Patients", "With lesion [95%]"), [Group(rows)], caption)


def _kept(presence: Presence) -> str:
    rule = "with a box that shows none" if presence.every_box else "none of whose boxes shows a lesion"
    mirrored = f" {MIRRORED}" if "training_mirrored" in presence.parts else ""
    return f"Synthetic images kept: {presence.kept:,} of {presence.images:,}; dropped were those {rule}.{mirrored}"


def _placement_table(title: str, placement: Placement) -> Table:
    rows = []
    for name, part in placement.parts.items():
        shares = [interval_cell(share, 2) for share in (part.with_lesion, part.area_inside)]
        rows.append(Row(plain_title(name), [*texts(f"{part.boxes:,}", str(part.with_lesion.n)), *shares]))
    least = format_percent(placement.minimum_lesion_share, 0)
    caption = (
        f"{title}: what a segmenter trained on real images sees: share of boxes with a lesion (from {least} of the "
        "box on), and share of the lesions' area inside the boxes; means over patients."
    )
    heads = columns("Boxes", "Patients", "With lesion [95%]", "Area inside [95%]")
    return Table("Images", heads, [Group(rows)], caption)
