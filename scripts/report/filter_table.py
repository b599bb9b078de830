"""What filters of synthetic items dropped, by class and criterion."""

from __future__ import annotations

from collections.abc import Mapping

from scripts.report.blocks import Group, Row, Table, columns, text_cells
from scripts.scores.evidence import ClassFilters, Filters
from scripts.scores.formats import format_percent


def filter_table(title: str, filters: Filters, criteria: Mapping[str, str]) -> Table:
    """A row of all images and one of each class: how many there were, were kept, and failed each criterion.

    Args:
        title: of the synthetic set.
        filters: what they dropped.
        criteria: of the columns: name and what is said of it.
    """

    def row(name: str, counts: ClassFilters) -> Row:
        share = f"{counts.kept:,} ({format_percent(counts.kept / max(counts.images, 1), 0)})"
        return Row(name, text_cells(f"{counts.images:,}", share, *(f"{counts.rejected[key]:,}" for key in criteria)))

    rows = [row("All", filters), *(row(name, counts) for name, counts in filters.by_class.items())]
    caption = f"{title}: images kept, and those that failed each filter. An image may fail several."
    return Table("Class", columns("Images", "Kept", *criteria.values()), [Group(rows)], caption)
