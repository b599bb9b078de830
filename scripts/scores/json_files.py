"""Dataclasses as JSON files: written and read by the same definition."""

from __future__ import annotations

import json
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from scripts.data.contract import write_json

T = TypeVar("T")


class ResultsError(ValueError):
    """Results that cannot be read or told; the message says which file, what was expected and what to do."""


def write_dataclass(file: Path, content: Any) -> Path:
    """Writes a dataclass, or a dict or list of them, whole or not at all; NaN becomes null."""
    return write_json(file, plain(content))


def read_dataclass(file: Path, kind: type[T]) -> T:
    """Reads what `write_dataclass` wrote; null becomes NaN where a number is expected.

    Raises:
        ResultsError: the file is missing or does not hold such a dataclass.
    """
    if not file.is_file():
        raise ResultsError(f"{file} is missing. Run the study to its end, or check the folder's name.")
    try:
        return pydantic.TypeAdapter(kind).validate_python(json.loads(file.read_text(encoding="utf-8")))
    except json.JSONDecodeError as error:
        raise ResultsError(f"{file} is not valid JSON: {error}. Remove it and run the study again.") from error
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ResultsError(
            f"{file}: {place} is {first.get('input')!r}: {first['msg']}. It was written by another version or by hand: "
            "run the study again, which only repeats what is missing."
        ) from error


def plain(value: Any) -> Any:
    """A dataclass, or a dict or list of them, as JSON has it: dicts, lists, and null for NaN."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, dict):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    return None if isinstance(value, float) and value != value else value
