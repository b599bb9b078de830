"""Paths on the command line of MONAI's runner as they were typed: it reads `2024` as a number, `data#1` as `data`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigItem, ConfigParser

from scripts.nearest_name import OptionError

ENDINGS = ("_dir", "_file", "_root")


def keep_paths_as_typed(parser: ConfigParser, arguments: Sequence[str] | None = None) -> None:
    """Gives top-level path options back their text, before anything reads them.

    Args:
        parser: the running config.
        arguments: the command line, by default this process's.

    Raises:
        OptionError: a path that is not a text, and not on the command line.
    """
    typed = _typed(sys.argv[1:] if arguments is None else arguments)
    config = parser.get()
    for name, value in config.items():
        if name.endswith(ENDINGS) and value is not None and not isinstance(value, dict):
            text = _as_text(name, value, typed.get(name))
            if text != value:
                config[name] = text
                # Not parser[name]: that forgets what is being resolved right now.
                parser.ref_resolver.items[name] = ConfigItem(text, id=name)


def _as_text(name: str, value: Any, typed: str | None) -> str:
    is_expression = isinstance(value, str) and value[:1] in ("$", "@")
    if typed is not None and typed[:1] not in ("'", '"') and typed != value and DefaultParseValue(typed) == value:
        return typed
    if is_expression and Path(value).exists():
        return f"./{value}"  # a folder whose name reads as an expression
    if isinstance(value, bool) or not isinstance(value, (str, int, Path)):
        raise OptionError(f"--{name} is {value!r}, expected a path as text. Put ./ before it, as in ./{value}")
    return str(value)


def _typed(arguments: Sequence[str]) -> dict[str, str]:
    """Option -> its text on a command line in Fire's forms `--name text` and `--name=text`."""
    typed = {}
    for n, argument in enumerate(arguments):
        if argument.startswith("-"):
            name, equals, text = argument.lstrip("-").partition("=")
            typed[name.replace("-", "_")] = text if equals else "".join(arguments[n + 1 : n + 2])
    return typed
