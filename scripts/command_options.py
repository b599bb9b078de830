"""The arguments of a command, checked against its function's signature before the function is called."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fire.parser import DefaultParseValue

from scripts.config_files import check_value
from scripts.nearest_name import OptionError, suggest

WORDS = {bool: "True or False", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


def check_arguments(command: Callable[..., Any], name: str, arguments: Sequence[str]) -> list[str]:
    """The arguments for Fire, with each text and path quoted, so that it does not read `2024` as a number.

    Args:
        command: a function, or a class whose public functions are subcommands.
        name: of the command, for messages.
        arguments: as they were typed.

    Raises:
        OptionError: an unknown, missing, surplus or repeated argument, or a value of another type.
    """
    if inspect.isclass(command):
        known = [member for member in vars(command) if not member.startswith("_")]
        if not arguments or arguments[0] not in known:
            given = arguments[0] if arguments else ""
            raise OptionError(f"{name} has no command {given!r}{suggest(given, known)}")
        return [arguments[0], *check_arguments(getattr(command, arguments[0]), f"{name} {arguments[0]}", arguments[1:])]
    parameters = inspect.signature(command).parameters
    types_ = typing.get_type_hints(command)
    checked, values, filled = [], [], set()
    for option, text in _split(arguments):
        if option is None:
            values.append(str(text))
            continue
        option, text = _resolve(option, text, parameters, name)
        if option in filled:
            raise OptionError(f"--{option} is given twice. Leave one out")
        filled.add(option)
        checked.append(f"--{option}={_check(option, text, types_.get(option, Any))}")
    places = [p for p in parameters.values() if p.kind is p.POSITIONAL_OR_KEYWORD and p.name not in filled]
    rest = next((p.name for p in parameters.values() if p.kind is p.VAR_POSITIONAL), None)
    if len(values) > len(places) and rest is None:
        takes = ", ".join(p.name for p in places) or "no further argument"
        raise OptionError(
            f"{name} cannot take {values[len(places)]!r}: it takes {takes}, and options with -- before them"
        )
    names = [p.name for p in places[: len(values)]] + [str(rest)] * (len(values) - len(places))
    needed = {
        p.name for p in parameters.values() if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    }
    missing = [n for n in parameters if n in needed - filled - set(names)]
    if missing:
        shown = ", ".join(n if parameters[n].kind is not inspect.Parameter.KEYWORD_ONLY else f"--{n}" for n in missing)
        raise OptionError(f"{name} needs {shown}. python -m scripts {name} --help says what it is")
    return [_check(n, text, types_.get(n, Any)) for n, text in zip(names, values, strict=True)] + checked


def _split(arguments: Sequence[str]) -> Iterator[tuple[str | None, str | None]]:
    """Options with their text, None for a bare flag, and other arguments under None: by Fire's rules."""
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if not _is_flag(argument):
            yield None, argument
            continue
        option, equals, text = argument.lstrip("-").partition("=")
        if not equals and waiting and not _is_flag(waiting[0]):
            yield option, waiting.pop(0)
        else:
            yield option, text if equals else None


def _is_flag(argument: str) -> bool:
    return argument.startswith("--") or re.match("-[a-zA-Z]", argument) is not None


def _resolve(
    option: str, text: str | None, parameters: typing.Mapping[str, inspect.Parameter], command: str
) -> tuple[str, str | None]:
    """The parameter that an option names: itself, `--no` and a flag, or the first letter of only one."""
    option = option.replace("-", "_")
    known = [p.name for p in parameters.values() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if option in known:
        return option, text
    if text is None and option.startswith("no") and option[2:] in known:
        return option[2:], "False"
    short = [name for name in known if name.startswith(option)]
    if len(option) == 1 and len(short) == 1:
        return short[0], text
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return option, text  # the function has further options of its own, which it checks first
    raise OptionError(f"no option --{option} of {command}{suggest(option, known, '--')}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is of a type, as far as that can be told; a whole number is also a number, True is not."""
    kinds = _kinds(hint)
    if any(kind not in (*WORDS, types.NoneType) for kind in kinds):
        return True
    if isinstance(value, int) and not isinstance(value, bool):
        return int in kinds or float in kinds
    return type(value) in kinds or (isinstance(value, (str, Path)) and bool({str, Path}.intersection(kinds)))


def describe_type(hint: Any) -> str:
    """A type in words, such as "a whole number"."""
    return " or ".join(WORDS[kind] for kind in _kinds(hint) if kind in WORDS)


def _kinds(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _check(name: str, text: str | None, hint: Any) -> str:
    """A text for Fire that it reads as a value of the type."""
    value, kinds = True if text is None else DefaultParseValue(text), _kinds(hint)
    if text is not None and fits("", hint) and all(kind in (*WORDS, types.NoneType) for kind in kinds):
        is_meant = text[:1] in ("'", '"') or (value is None and types.NoneType in kinds)
        return text if is_meant else repr(text)
    if not fits(value, hint):
        raise OptionError(f"--{name} is {'without a value' if text is None else text}, expected {describe_type(hint)}")
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        check_value(name, value)
    return "True" if text is None else text
