"""Images whose class nobody knows, in layouts that are asked for it."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from scripts.data.contract import DatasetError, Item

logger = logging.getLogger(__name__)


def leave_out_unclassed(items: Sequence[Item], kind: str, remedy: str) -> list[Item]:
    """The items without those that have a label map and no class, whose patients a warning names.

    Items without label map stay: nothing is trained or tested on them.

    Args:
        items: with `label`, `patient` and `class`.
        kind: what the class is, such as "grade".
        remedy: where it could be given, for the error.

    Raises:
        DatasetError: no item has a class.
    """
    if not any(item["class"] for item in items):
        raise DatasetError(f"No image has a {kind}, expected one for each patient. {remedy}")
    kept = [item for item in items if item["class"] or not item["label"]]
    patients = sorted({item["patient"] for item in items if item["label"] and not item["class"]})
    if patients:
        logger.warning(f"Left out for want of a {kind}: {', '.join(patients)}.")
    return kept
