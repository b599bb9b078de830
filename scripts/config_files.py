"""The bundle's own config files and the check of their options; without MONAI, which takes seconds to load."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from scripts.nearest_name import OptionError
from scripts.option_kinds import KINDS, is_expression

FOLDER = Path(__file__).parents[1] / "configs"


def own_version() -> str:
    """The bundle's version, as its metadata say it."""
    return str(json.loads((FOLDER / "metadata.json").read_text(encoding="utf-8"))["version"])


def own_path(path: str) -> str:
    """A file of the bundle as it is called from the working folder: relative in the bundle's own."""
    return path if Path(path).is_file() else str(FOLDER.parent / path)


def check_value(name: str, value: Any, default: Any = None) -> None:
    """Refuses a value that the option of that name cannot take. Expressions and references stand for any.

    Args:
        name: of the option.
        value: of it; None where the default is none, or computed, or an overlay of the bundle says so.
        default: the config's own.

    Raises:
        OptionError: it names the value, what is expected, and a plain default.
    """
    kind, plain = KINDS.get(name), default is not None and not isinstance(default, dict) and not is_expression(default)
    if kind is None or is_expression(value) or kind.fits(value):
        return
    if value is None and (
        not plain or any(name in c and c[name] is None and "run" not in c for c in own_configs().values())
    ):
        return
    raise OptionError(f"--{name} is {value}, expected {kind.words}{f' (default {default})' if plain else ''}")


@cache
def own_configs() -> dict[str, dict[str, Any]]:
    """The bundle's config files by name."""
    return {
        file.name: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(FOLDER.glob("*.json"))
        if file.name != "metadata.json"
    }
