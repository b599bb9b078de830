"""JSON files against their types: a dataclass or a TypedDict says what a file holds, and one line what misfits."""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

import pydantic

T = TypeVar("T")


class DatasetError(ValueError):
    """A data set that does not keep the contract; the message says where, what was expected and what to do."""


def validated(kind: type[T], content: Any, where: str, remedy: str) -> T:
    """The content of a file as what it is read as: numbers are no texts, True is no number, and nothing is left out.

    Args:
        kind: a dataclass, a TypedDict, or a list or dictionary of them.
        content: as JSON gave it.
        where: the file, and the place in it.
        remedy: what to do about it.

    Raises:
        DatasetError: it names the first field that misfits, its value, and what was expected.
    """
    if infinite := _find_infinite(content):
        raise DatasetError(f"{where}: {infinite}, expected a finite number. {remedy}")
    try:
        return pydantic.TypeAdapter(kind).validate_json(json.dumps(content), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        given = f"{place} is {str(first['input'])[:80]!r}" if first["type"] != "missing" else f"{place} is missing"
        raise DatasetError(f"{where}: {given}: {first['msg']}. {remedy}") from None


def _find_infinite(content: Any, place: str = "it") -> str | None:
    if isinstance(content, float):
        return None if math.isfinite(content) else f"{place} is {content}"
    pairs = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return next(
        (
            found
            for key, value in pairs
            if (found := _find_infinite(value, str(key) if isinstance(content, dict) else place))
        ),
        None,
    )
