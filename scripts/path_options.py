"""Paths given to MONAI's runner as they were typed: it reads `2024` as a number, `data#1` as `data`, `$x` as code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, ReferenceResolver

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
        if not name.endswith(ENDINGS) or value is None or isinstance(value, (dict, list, tuple)):
            continue
        text = _as_text(name, value, typed.get(name, ""))
        if text[:1] not in ("$", "@") or Path(text).exists():  # else code or a reference
            config[name] = text
            # As the result, in which MONAI looks for no references; parser[name] would forget what it is resolving.
            parser.ref_resolver.resolved_content[name] = text


def _as_text(name: str, value: Any, typed: str) -> str:
    if typed and typed[0] not in "'\"":
        read = DefaultParseValue(typed)
        if value in (read, ReferenceResolver.normalize_id(read)):
            return typed
    if isinstance(value, bool) or not isinstance(value, (str, int, Path)):
        raise OptionError(f"--{name} is {value!r}, expected a path as text. Put ./ before it, as in ./{value}")
    return str(value).replace("::", "#") if str(value)[:1] not in ("$", "@") else str(value)


def _typed(arguments: Sequence[str]) -> dict[str, str]:
    """Option -> its text on a command line in Fire's forms `--name text` and `--name=text`."""
    typed = {}
    for n, argument in enumerate(arguments):
        if argument.startswith("-"):
            name, equals, text = argument.lstrip("-").partition("=")
            typed[name.replace("-", "_")] = text if equals else "".join(arguments[n + 1 : n + 2])
    return typed
