"""Paths given to MONAI's runner as they were typed: it reads `2024` as a number, `data#1` as `data`, `$x` as code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser, ReferenceResolver

from scripts.nearest_name import OptionError
from scripts.option_kinds import is_expression
from scripts.untrusted import find_fault, find_irregular

ENDINGS = ("_dir", "_file", "_root")


def keep_paths_as_typed(parser: ConfigParser, arguments: Sequence[str] | None = None) -> None:
    """Gives top-level path options back their text, before anything reads them.

    Args:
        parser: the running config.
        arguments: the command line, by default this process's.

    Raises:
        OptionError: a path that is not a text, and not on the command line; something else than a folder in the place
            of one, or than a file.
    """
    typed = _typed(sys.argv[1:] if arguments is None else arguments)
    config = parser.get()
    for name, value in config.items():
        if not name.endswith((*ENDINGS, "_files")) or value is None or isinstance(value, dict):
            continue
        if isinstance(value, (list, tuple)):
            for each in value:
                _check_place(name, each)
            continue
        text = _as_text(name, value, typed.get(name, ""))
        if text[:1] not in ("$", "@") or Path(text).exists():  # else code or a reference
            _check_place(name, text)
            config[name] = text
            # As the result, in which MONAI looks for no references; parser[name] would forget what it is resolving.
            parser.ref_resolver.resolved_content[name] = text


def _check_place(name: str, path: Any) -> None:
    """Refuses what is there already and is no file, or folder, and a place that lies below a file."""
    if is_expression(path):
        return
    if not isinstance(path, (str, Path)) or not str(path) or find_fault(str(path), is_path=True):
        raise OptionError(f"--{name} is {path!r}, expected a path. Correct it")
    place = Path(path).expanduser()
    kind = None if place.is_dir() else "a file" if place.is_file() else find_irregular(place)
    if name.endswith(("_file", "_files")):
        kind = find_irregular(place)
    if kind:
        wanted = "a file" if "_file" in name else "a folder"
        raise OptionError(f"--{name} is {path}, which is {kind}, expected {wanted}. Name another place")
    above = next((folder for folder in place.absolute().parents if folder.exists()), None)
    if above is not None and not above.is_dir():
        raise OptionError(f"--{name} is {path}, but {above} is no folder. Name another place")


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
