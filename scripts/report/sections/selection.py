"""Which generators were considered, which was chosen, and which of its images passed."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import (
    Block,
    Cell,
    Group,
    Paragraph,
    Row,
    Section,
    Table,
    columns,
    embed_pictures,
    interval_cell,
)
from scripts.scores.evidence import CandidateEntry, Selection
from scripts.scores.formats import DASH, format_number, format_percent, plain_title
from scripts.scores.results import Results

ORDER = 110
FILTERS = {
    "fcn_score": "FCN score",
    "sharpness": "sharpness in units of the real median",
    "realness": "probability of being real",
}
COLUMNS = ("Images", "FCN score [95%]", "Laplacian", "Fourier", "Called real", "Nearest", "Rank")


def build(results: Results, folder: Path) -> Section | None:
    blocks: list[Block] = []
    for title, selection in results.evidence.selection.items():
        blocks += _blocks(title, selection)
    blocks += embed_pictures(folder, results.pictures, "selection")
    return Section("selection", "Selection", blocks) if blocks else None


def _blocks(title: str, selection: Selection) -> list[Block]:
    rows = [_row(entry.name, entry, "chosen" if entry.chosen else "") for entry in selection.candidates]
    rows += [_row(f"Real, {plain_title(name).lower()}", entry, "real") for name, entry in selection.real.items()]
    caption = (
        f"{title}: candidates beside real images, chosen by {selection.criterion}. Dice of the FCN with the mask, "
        "variance of the Laplacian and mean Fourier magnitude (higher is sharper), share that the classifier calls "
        "real, mean distance to the nearest training image, and mean rank (lower is better)."
    )
    passed = f"Images kept: {selection.filters.kept:,} of {selection.filters.images:,}."
    rejected = [
        f"{FILTERS[key]} under {selection.rules[f'minimum_{key}']:g}: {number:,}"
        for key, number in selection.filters.rejected.items()
        if key in FILTERS and f"minimum_{key}" in selection.rules
    ]
    leaks = selection.scorer.startswith("LEAKS")
    return [
        Table("Candidate", columns(*COLUMNS), [Group(rows)], caption),
        Paragraph(f"Scorers: {selection.scorer}.", "warning" if leaks else "small"),
        Paragraph(f"{passed} Rejected: {'; '.join(rejected) or 'none'}. An image may fail several rules.", "small"),
        *(Paragraph(note, "small") for note in selection.notes),
    ]


def _row(title: str, entry: CandidateEntry, style: str) -> Row:
    known = entry.fcn_score.value == entry.fcn_score.value
    cells = [
        Cell(f"{entry.images:,}"),
        interval_cell(entry.fcn_score, 2) if known else Cell(DASH),
        Cell(format_number(entry.laplacian_variance, 4)),
        Cell(format_number(entry.fourier_mean, 4)),
        Cell(format_percent(entry.called_real, 0)),
        Cell(format_number(entry.nearest_training)),
        Cell(format_number(entry.mean_rank, 1)),
    ]
    return Row(f"{title}{' (chosen)' * (style == 'chosen')}", cells, style=style)
