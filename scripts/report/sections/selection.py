"""Which generators were considered, which was chosen, and which of its images passed."""

from __future__ import annotations

import math
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
from scripts.report.filter_table import filter_table
from scripts.scores.evidence import CandidateEntry, Selection
from scripts.scores.formats import DASH, format_number, format_percent, plain_title
from scripts.scores.results import Results

ORDER = 110
FILTERS = {
    "fcn_score": "Dice",
    "presence": "Dice of the worst label",
    "sharpness": "Sharpness in real medians",
    "realness": "Probability of real",
    "novelty": "Novelty",
}
COLUMNS = ("Images", "Dice [95%]", "Worst label [95%]", "Laplacian", "Fourier", "Called real", "Nearest", "Novelty")


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
        f"{title}: candidates beside real images, chosen by {selection.criterion}. Dice of the segmenter with the "
        "mask, of all labels and of the asked one that it finds worst, variance of the Laplacian and mean Fourier "
        "magnitude (higher is sharper), share that the classifier calls real, mean distance to the nearest training "
        "image, and novelty, the share of held-out real images that lie nearer to one (held-out ones .5, copies 0)."
    )
    limits = {key: selection.rules.get(f"minimum_{key}", 0) for key in FILTERS if key in selection.filters.rejected}
    criteria = {key: f"{FILTERS[key]} under {limit:g}" for key, limit in limits.items() if limit}
    leaks = selection.scorer.startswith("LEAKS")
    return [
        Table("Candidate", columns(*COLUMNS, "Rank"), [Group(rows)], caption),
        Paragraph(f"Segmenters that score: {selection.scorer}.", "warning" if leaks else "small"),
        filter_table(title, selection.filters, criteria),
        *(Paragraph(note, "small") for note in selection.notes),
    ]


def _row(title: str, entry: CandidateEntry, style: str) -> Row:
    shares = (entry.fcn_score, entry.presence)
    cells = [
        Cell(f"{entry.images:,}"),
        *(Cell(DASH) if share is None or math.isnan(share.value) else interval_cell(share, 2) for share in shares),
        Cell(format_number(entry.laplacian_variance, 4)),
        Cell(format_number(entry.fourier_mean, 4)),
        Cell(format_percent(entry.called_real, 0)),
        Cell(format_number(entry.nearest_training)),
        Cell(format_number(entry.novelty, 2)),
        Cell(format_number(entry.mean_rank, 1)),
    ]
    return Row(f"{title}{' (chosen)' * (style == 'chosen')}", cells, style=style)
