"""Options of layouts as the command line gives them: Fire turns some texts into tuples or dictionaries, not others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.data.contract import DatasetError, parse_value


def parse_names(value: Any, option: str) -> list[str]:
    """Names from `background,tumour` or a list.

    Raises:
        DatasetError: an empty name, or one given twice.
    """
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (list, tuple)) else [value]
    names = [str(part).strip() for part in parts]
    if not all(names) or len(set(names)) != len(names):
        raise DatasetError(f'--{option} is {value!r}, expected different names such as "background,tumour".')
    return names


def parse_range(value: Any) -> list[float]:
    """Two intensities, low and high, from `0,255` or a list.

    Raises:
        DatasetError: anything but two numbers with low < high.
    """
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

    Raises:
        DatasetError: anything but pairs of a value, a whole number or a colour, and a label.
    """
    text = ",".join(f"{key}:{label}" for key, label in value.items()) if isinstance(value, Mapping) else str(value)
    try:
        pairs = [part.split(":") for part in text.strip(" {}").split(",")]
        return {parse_value(key.strip(" '\"")): int(label.strip(" '\"")) for key, label in pairs}
    except ValueError:
        raise DatasetError(f"--label_values is {value!r}, expected value:label pairs such as 255:1,128:2.") from None


def parse_pairs(value: Any, option: str) -> dict[str, str]:
    """Texts by name, in order, from `FLAIR:*flair*,T1:*t1*` or a dictionary.

    Raises:
        DatasetError: anything but pairs of different names and texts.
    """
    text = ",".join(f"{key}:{part}" for key, part in value.items()) if isinstance(value, Mapping) else str(value)
    pairs = [[part.strip() for part in pair.split(":")] for pair in text.split(",")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs) or len({pair[0] for pair in pairs}) < len(pairs):
        raise DatasetError(f'--{option} is {value!r}, expected name:text pairs such as "FLAIR:*flair*,T1:*t1*".')
    return dict(pairs)
