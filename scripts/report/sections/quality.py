"""How good synthetic images are, beside what real ones score."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Block, Cell, Group, Paragraph, Row, Section, Table, columns, interval_cell
from scripts.scores.evidence import Distance, Quality
from scripts.scores.formats import DASH, format_number
from scripts.scores.results import Estimate, Results

ORDER = 80
NOTE = (
    "Real is the same measure of real images: for distances between two sets of real images at the same n, the floor "
    "that no generator should be expected to beat, with intervals from random halves; for the recognised class a "
    "classifier's score on held-out real images; for the others the figure of held-out real images. KID is the "
    "unbiased MMD\u00b2 of a cubic kernel. The next four count neighbours among training images."
)


def build(results: Results, folder: Path) -> Section | None:
    groups = [Group(_rows(quality), title) for title, quality in results.evidence.quality.items()]
    if not groups:
        return None
    extractors = ", ".join({quality.extractor: None for quality in results.evidence.quality.values()})
    caption = f"Synthetic images beside held-out real ones, in the features of {extractors}."
    recalls = [
        f"{title}: asked class recognised, {', '.join(f'{name} {format_number(v, 2)}' for name, v in found.items())}."
        for title, quality in results.evidence.quality.items()
        if (found := quality.specificity.recall if quality.specificity else {})
    ]
    blocks: list[Block] = [Table("Measure", columns("Synthetic [95%]", "Real [95%]"), groups, caption)]
    return Section("quality", "Quality of the images", [*blocks, *(Paragraph(t, "small") for t in [*recalls, NOTE])])


def _rows(quality: Quality) -> list[Row]:
    rows = []
    for title, distance in (("Fr\u00e9chet distance", quality.frechet), ("KID \u00d7 1000", quality.kid)):
        if distance:
            rows.append(Row(f"{title}, lower is better (n = {distance.n})", _distance_cells(distance)))
    own, ceiling = quality.neighbourhoods, quality.neighbourhoods_held_out_real
    for name in ("precision", "recall", "density", "coverage") if own and ceiling else ():
        cells = [Cell(format_number(getattr(each, name), 2)) for each in (own, ceiling)]
        rows.append(Row(f"{name.capitalize()}, higher is better (k = {quality.nearest})", cells))
    if quality.specificity:
        asked = quality.specificity
        chance = f" (chance {format_number(asked.chance, 2)})" if asked.chance == asked.chance else ""
        cells = [Cell(format_number(value, 2)) for value in (asked.balanced_accuracy, asked.ceiling)]
        rows.append(Row(f"Asked class recognised, balanced accuracy, higher is better{chance}", cells))
    shares = (quality.mask_dice, quality.mask_dice_held_out_real)
    rows.append(
        Row(
            "Dice with the mask, higher is better",
            [interval_cell(share) if share.value == share.value else Cell(DASH, style="quiet") for share in shares],
        )
    )
    return rows


def _distance_cells(distance: Distance) -> list[Cell]:
    floor = Estimate(distance.floor, distance.floor_low, distance.floor_high, distance.n)
    return [interval_cell(each, 2) for each in (distance, floor)]
