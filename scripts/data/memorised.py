"""The memorisation gate: a synthetic set that failed its audit is used by nobody who does not name it."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.data.contract import DatasetError, write_json
from scripts.data.json_models import read_object

KEY = "memorisation"  # of the audit in `dataset.json`, or in the `manifest.json` of features
FAILED = "failed"

logger = logging.getLogger(__name__)


def is_memorised(folder: Path, audit: Mapping[str, Any], allowed: Any = None) -> bool:
    """Whether a synthetic set failed its audit; one that nobody has audited is said to be so, once.

    Args:
        folder: of the set.
        audit: what it says under `KEY`, empty where it was not audited.
        allowed: sets that may be used all the same, by folder or by the folder's name: one, or a list.

    Raises:
        DatasetError: it failed, and is not among those allowed.
    """
    if not audit:
        _tell_unaudited(folder)
    if audit.get("verdict") != FAILED:
        return False
    names = map(str, allowed if isinstance(allowed, list | tuple) else [allowed])
    if not any(name == folder.name or Path(name).absolute() == folder.absolute() for name in names):
        raise DatasetError(
            f"{folder} repeats training images: {audit.get('reason')} Train its generator with more augmentation or on "
            f"more patients, synthesise and evaluate again, or pass --allow_memorised {folder.name}."
        )
    return True


def write_audit(file: Path, audit: Mapping[str, Any]) -> None:
    """Writes an audit into a set's description, whose time stays: what was made of its images is up to date."""
    times = file.stat()
    write_json(file, {**read_object(file, "Synthesise again."), KEY: audit})
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


@functools.cache
def _tell_unaudited(folder: Path) -> None:
    logger.warning(
        f"{folder}: nobody has looked whether it repeats training images. The system's configs/*_evaluate.json does."
    )
