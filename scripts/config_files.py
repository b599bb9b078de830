"""The bundle's own config files and the types of their options; without MONAI, which takes seconds to load."""

from __future__ import annotations

import json
import numbers
from functools import cache
from pathlib import Path
from typing import Any

from scripts.nearest_name import OptionError

FOLDER = Path(__file__).parents[1] / "configs"
WORDS = {"synthetic_ratio": "all"}  # options of numbers that also take a word
TYPES: tuple[tuple[type, type, str], ...] = (
    (bool, bool, "True or False"),
    (int, numbers.Integral, "a whole number"),
    (float, numbers.Real, "a number"),
)


def own_path(path: str) -> str:
    """A file of the bundle as it is called from the working folder: relative in the bundle's own."""
    return path if Path(path).is_file() else str(FOLDER.parent / path)


def check_type(name: str, value: Any, default: Any) -> None:
    """Refuses a plain value of another type than the default's; expressions and references stand for any."""
    if value is None or value == WORDS.get(name) or (isinstance(value, str) and value.startswith(("$", "@", "%"))):
        return
    if isinstance(default, list) and isinstance(value, str):
        raise OptionError(f"--{name} is {value}, expected a list such as {json.dumps(default)}")
    for kind, wanted, words in TYPES:
        if isinstance(default, kind):
            if not isinstance(value, wanted) or (isinstance(value, bool) and kind is not bool):
                raise OptionError(f"--{name} is {value}, expected {words} (default {default})")
            return


@cache
def own_configs() -> dict[str, dict[str, Any]]:
    """The bundle's config files by name."""
    return {
        file.name: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(FOLDER.glob("*.json"))
        if file.name != "metadata.json"
    }
