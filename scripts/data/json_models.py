"""JSON files of others: read without running what they say, and held against the types that they should have."""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, TypeVar

import pydantic

from scripts.untrusted import SUSPECT, find_faulty_text, find_irregular

T = TypeVar("T")


class DatasetError(ValueError):
    """A data set that does not keep the contract; the message says where, what was expected and what to do."""


def read_object(file: Path, remedy: str, *, is_config: bool = False) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        file: of a user or of this program; its texts are names and paths, and never code.
        remedy: what to do where there is no file.
        is_config: takes texts that MONAI reads as code too.

    Raises:
        DatasetError: no readable file, no JSON object, a key that stands twice, or a text that `find_fault` names.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(found := dict(pairs)) < len(pairs):
            twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise DatasetError(f"{file}: the key {twice!r} stands twice in one object. Keep one.")
        return found

    if kind := find_irregular(file):
        raise DatasetError(f"{file} is {kind}, expected a JSON file. {remedy}")
    try:
        text = file.read_text(encoding="utf-8")
        content = json.loads(text, object_pairs_hook=unique)
    except FileNotFoundError:
        raise DatasetError(f"No {file}. {remedy}") from None
    except json.JSONDecodeError as error:
        raise DatasetError(f"{file}, line {error.lineno}, column {error.colno}: {error.msg}. Correct it.") from None
    except UnicodeDecodeError as error:
        raise DatasetError(f"{file} is no text in UTF-8 ({error.reason} at byte {error.start}). {remedy}") from None
    except RecursionError:
        raise DatasetError(f"{file} has too many brackets within each other. {remedy}") from None
    except OSError as error:
        raise DatasetError(f"Cannot read {file}: {error.strerror}. Restore it. {remedy}") from None
    except DatasetError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise DatasetError(f"{file}: {error}. Correct it.") from None
    if not isinstance(content, dict):
        raise DatasetError(f"{file}: expected an object {{...}} at the top, found a {type(content).__name__}.")
    if not is_config and SUSPECT.search(text) and (fault := find_faulty_text(content)):
        raise DatasetError(f"{file}: {fault}.")
    return content


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
