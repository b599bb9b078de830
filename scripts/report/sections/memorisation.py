"""Whether synthetic sets repeat training images: the verdict of their memorisation audits."""

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
    text_cells,
)
from scripts.scores.evidence import Memorisation
from scripts.scores.formats import format_number, format_p, format_percent, plain_title
from scripts.scores.results import Results

ORDER = 90
HEADS = columns("Ratio", "Ratio, held out", "Threshold", "Copies", "Expected", "p")
CAPTION = (
    "Ratio: an item's distance to the nearest training item over that to the nearest held-out one, the least of mirror "
    "images and small shifts, median; beside it that of held-out real items. Copies: share of the synthetic items "
    "under the threshold, and what is expected of items of new patients, on whom it is calibrated. Of sets of such "
    "items {level} fail at most."
)


def build(results: Results, folder: Path) -> Section | None:
    audits = results.evidence.memorisation
    if not audits:
        return None
    level = format_percent(max(audit.level for audit in audits.values()), 0)
    groups = [Group(rows, title) for title, audit in audits.items() if (rows := _rows(audit))]
    blocks: list[Block] = [Paragraph(f"{title}: {_tell(a)}", _style(a)) for title, a in audits.items()]
    blocks += [Table("Compared by", HEADS, groups, CAPTION.format(level=level))] if groups else []
    blocks += _membership(audits)
    return Section(
        "memorisation", "Are they copies?", [*blocks, *embed_pictures(folder, results.pictures, "memorisation")]
    )


def _tell(audit: Memorisation) -> str:
    warning = " Images of it must not leave the house." if audit.verdict == "failed" else ""
    return (
        f"{audit.verdict}, {audit.reason}{warning} {audit.images:,} synthetic items, {audit.held_out_patients} "
        "held-out patients."
    )


def _style(audit: Memorisation) -> str:
    return "small" if audit.verdict == "passed" else "warning"


def _rows(audit: Memorisation) -> list[Row]:
    rows = []
    for name, found in audit.by.items():
        ratios = [format_number(value, 2) for value in (found.median, found.real_median, found.threshold)]
        shares = [format_percent(share) for share in (found.copies, found.expected)]
        title = (
            f"{plain_title(name)} ({audit.extractor})" if name == "features" and audit.extractor else plain_title(name)
        )
        rows.append(Row(title, text_cells(*ratios, *shares, format_p(found.p))))
    return rows


def _membership(audits: dict[str, Memorisation]) -> list[Block]:
    rows = [
        Row(title if len(audit.membership_auc) == 1 else f"{title}, {n}", [interval_cell(found, 2), Cell(str(found.n))])
        for title, audit in audits.items()
        for n, found in enumerate(audit.membership_auc)
    ]
    caption = (
        "Membership inference: how often the discriminator scores a training patient above a held-out one, by the area "
        "under the ROC curve; .5 is chance, 1 a discriminator that knows its training patients by heart."
    )
    heads = columns("Discriminator's AUC [95%]", "Patients")
    return [Table("Discriminator", heads, [Group(rows)], caption)] if rows else []
