"""Tables of what `scripts.handlers.annotation_validity` measured: synthetic annotations beside real ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from scripts.report.comparisons import Estimate
from scripts.report.verdict import format_estimate, format_number

PARTS = {"training": "Real, training", "held_out": "Real, held out", "synthetic": "Synthetic"}
DASH = "\u2013"
Entry = Mapping[str, Any]
Measure = tuple[str, Callable[[Entry], str]]  # title, and the text of an entry's cell


def annotation_tables(annotations: Mapping[str, Any]) -> dict[str, Any]:
    """The parts side by side, and the members one below the other.

    Args:
        annotations: checked, as `scripts.report.ensemble.read_ensemble` leaves them.

    Returns:
        `columns` and `rows` (title, cells) of the parts; `member_columns` and `member_rows`, empty without members.
    """
    measures = _measures(annotations["labels"])
    parts = [part for part in PARTS if part in annotations["parts"]]
    members = annotations["members"]
    return {
        "columns": [PARTS[part] for part in parts],
        "rows": _known(
            {"title": title, "cells": [cell(annotations["parts"][part]) for part in parts]} for title, cell in measures
        ),
        "member_columns": [title for title, _ in measures],
        "member_rows": [
            {"title": str(member["member"]), "cells": [cell(member) for _, cell in measures]} for member in members
        ],
    }


def _known(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with a number in them."""
    return [row for row in rows if set(row["cells"]) != {DASH}]


def _measures(labels: Sequence[str]) -> list[Measure]:
    def of_label(name: str) -> Callable[[Entry], str]:
        return lambda entry: format_number(entry["label_percent"].get(name), 2)

    return [
        ("Images", lambda entry: f"{entry['images']:,}"),
        ("With lesion, %", lambda entry: format_number(_percent(entry["lesion_images"]), 1)),
        *((f"{name}, % of the image", of_label(name)) for name in labels),
        ("Separate lesions", lambda entry: format_number(entry["components"], 2)),
        ("False rims, % of the lesion", lambda entry: _interval(entry["rim_share"])),
        ("Outside the head, % of the lesion", lambda entry: _interval(entry["outside_head_share"])),
        ("Nearest training image, median (least)", lambda entry: _nearest(entry.get("nearest_training"))),
    ]


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _interval(share: Entry) -> str:
    value, low, high = (math.nan if share[key] is None else 100 * share[key] for key in ("value", "low", "high"))
    return format_estimate(Estimate(value, low, high, 0), 2)


def _nearest(distance: Entry | None) -> str:
    return DASH if distance is None else f"{format_number(distance['median'])} ({format_number(distance['least'])})"
