"""Reads the files of a results folder, with one clear error where one is missing or malformed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class ResultsError(ValueError):
    """A results folder that cannot be reported; the message says which file, what was expected and what to do."""


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a results folder."""
    if not path.is_file():
        raise ResultsError(f"{path} is missing; run the experiment's workflow to the end, or check the folder's name.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise ResultsError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(content, dict):
        raise ResultsError(f"{path} holds a {type(content).__name__}; expected an object.")
    return content


def read_rows(path: Path, *, minimum: int = 1, allow_empty: bool = False) -> Iterator[dict[str, str]]:
    """The rows of a CSV of a results folder, with `minimum` columns or more; by default at least one row."""
    if not path.is_file():
        raise ResultsError(f"{path} is missing; the job that writes it has not finished: run the workflow again.")
    with path.open(newline="", encoding="utf-8") as stream:
        reader = csv.DictReader(stream)
        if len(reader.fieldnames or []) < minimum:
            raise ResultsError(f"{path} has the header {reader.fieldnames}; expected {minimum} columns or more.")
        rows = list(reader)
    if not rows and not allow_empty:
        raise ResultsError(f"{path} holds no rows; the job that writes it failed or its split is empty.")
    for number, row in enumerate(rows, start=2):
        if None in row or None in row.values():
            raise ResultsError(
                f"{path}, line {number}: not as many cells as the header's {len(reader.fieldnames or [])}."
            )
    return iter(rows)
