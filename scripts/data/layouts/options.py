"""Options of layouts as the command line gives them: Fire turns some texts into tuples or dictionaries, not others."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.data.contract import DatasetError, Item, case_name, parse_value


def parse_names(value: Any, option: str) -> list[str]:
    """Names from `background,tumour` or a list; DatasetError for an empty name, or one given twice."""
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    names = [str(part).strip() for part in parts]
    if not all(names) or len(set(names)) != len(names):
        raise DatasetError(f'--{option} is {value!r}, expected different names such as "background,tumour".')
    return names


def parse_range(value: Any) -> list[float]:
    """Two intensities, low and high, from `0,255` or a list; DatasetError for anything but two numbers, low < high."""
    parts = value.split(",") if isinstance(value, str) else value
    try:
        low, high = (float(part) for part in parts)
    except (TypeError, ValueError):
        low = high = 0.0
    if not low < high:
        raise DatasetError(f"--intensity_range is {value!r}, expected low,high such as 0,255 or -100,200.")
    return [low, high]


def parse_label_values(value: Any) -> dict[int, int]:
    """Value in the file -> label, from `255:1,128:2`, for colours `#ff0000:1,#00ff00:2`, or a dictionary.

    Anything but pairs of a value (a whole number or a colour) and a label is a DatasetError.
    """
    pairs = value if isinstance(value, Mapping) else str(value).strip(" {}")
    try:
        return {parse_value(key.strip("'\"")): int(label.strip("'\"")) for key, label in _split_pairs(pairs)}
    except ValueError:
        raise DatasetError(f"--label_values is {value!r}, expected value:label pairs such as 255:1,128:2.") from None


def parse_pairs(value: Any, option: str) -> dict[str, str]:
    """Texts by name, in order, from `FLAIR:*flair*,T1:*t1*` or a dictionary; DatasetError where a name comes twice."""
    pairs = _split_pairs(value)
    if not all(len(pair) == 2 and all(pair) for pair in pairs) or len({pair[0] for pair in pairs}) < len(pairs):
        raise DatasetError(f'--{option} is {value!r}, expected name:text pairs such as "FLAIR:*flair*,T1:*t1*".')
    return dict(pairs)


def _split_pairs(value: Any) -> list[list[str]]:
    text = ",".join(f"{key}:{part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
    return [[part.strip() for part in pair.split(":")] for pair in text.split(",")]


def name_by_pattern(items: Sequence[Item], root: Path, pattern: str) -> None:
    """Makes what the pattern, a regular expression with one group, finds the patient of each item.

    A pattern with a `/` is searched in the path below `root`, without suffix; another one in the patients that the
    source gives, where it finds one in each, else in the names of the cases or files, else in the paths.

    Raises:
        DatasetError: no regular expression, not one group, or nowhere a match for every item.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"patient_pattern {pattern!r} is no regular expression: {error}.") from None
    if compiled.groups != 1:
        raise DatasetError(f"patient_pattern {pattern!r} has {compiled.groups} groups, expected one. Try '^([^_]+)_'.")
    paths = [case_name(item, root) for item in items]
    files = [case_name({"image": item["image"]}, root) for item in items]
    given = [str(item.get("patient") or "") for item in items]
    names = [path.rpartition("/")[2] for path in paths]
    for texts in [files] if "/" in pattern else [given, names, files]:
        matches = [compiled.search(text) for text in texts]
        if all(match and match[1] for match in matches):
            for item, match in zip(items, matches, strict=True):
                item["patient"] = match and match[1]
            return
    missing = next(text for text, match in zip(texts, matches, strict=True) if not (match and match[1]))
    raise DatasetError(f"patient_pattern {pattern!r} finds no patient in {missing!r}. Try '^([^_]+)_' or '^([^/]+)/'.")
