"""What `--help` says of a command: read from the source, so that nothing is imported for it."""

from __future__ import annotations

import ast
import inspect
import re
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

KINDS = {"bool": "True|False", "int": "N", "float": "NUMBER", "Path": "PATH"}
INDENT = 4
ROOT = Path(__file__).parent


def describe_command(source: Path, function: str, name: str, subcommand: str = "") -> str:
    """The help of a command, or of a subcommand of one that is a class.

    Args:
        source: file of the function or class.
        function: its name in there.
        name: of the command.
        subcommand: of a class; without one, or with one that it lacks, its subcommands are listed.
    """
    module = ast.parse(source.read_text(encoding="utf-8"))
    node = _find(module, function)
    if isinstance(node, ast.FunctionDef):
        return _describe_function(node, name)
    members = {member: each for member, each in _list_members(module, node) if not member.startswith("_")}
    if subcommand in members:
        return _describe_function(members[subcommand], f"{name} {subcommand}")
    lines = [f"  {member:<14} {_summary(each)}" for member, each in members.items()]
    return "\n".join([f"python -m scripts {name} <command> [options]", "", *_wrap(_summary(node)), "", *lines])


def _find(module: ast.Module, name: str) -> ast.FunctionDef | ast.ClassDef:
    return next(n for n in module.body if isinstance(n, ast.FunctionDef | ast.ClassDef) and n.name == name)


def _list_members(module: ast.Module, node: ast.ClassDef) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions of a class, those of other modules too: `score = staticmethod(score_readers)`."""
    sources = {a.name: n.module for n in module.body if isinstance(n, ast.ImportFrom) for a in n.names}
    for each in node.body:
        match each:
            case ast.FunctionDef(name=name):
                yield name, each
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call(args=[ast.Name(id=function)])):
                file = ROOT / f"{str(sources[function]).partition('scripts.')[2].replace('.', '/')}.py"
                found = _find(ast.parse(file.read_text(encoding="utf-8")), function)
                if isinstance(found, ast.FunctionDef):
                    yield name, found


def _describe_function(node: ast.FunctionDef, name: str) -> str:
    text, told = _read_docstring(ast.get_docstring(node) or "")
    named = [argument for argument in node.args.args if argument.arg != "self"]
    defaults: list[ast.expr | None] = [None] * (len(named) - len(node.args.defaults)) + list(node.args.defaults)
    options = list(zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True))
    places = [(argument, default) for argument, default in zip(named, defaults, strict=True) if default is None]
    options = [(a, d) for a, d in zip(named, defaults, strict=True) if d is not None] + options
    words = [argument.arg.upper() for argument, _ in places]
    rows = [(argument.arg.upper(), told.get(argument.arg, "")) for argument, _ in places]
    if node.args.vararg is not None:
        words.append(f"{node.args.vararg.arg.upper()} ...")
        rows.append((node.args.vararg.arg.upper(), told.get(node.args.vararg.arg, "")))
    needed = [(argument, default) for argument, default in options if default is None]
    words += [f"--{argument.arg} {_kind(argument)}" for argument, _ in needed]
    lines = [f"python -m scripts {name} {' '.join(words)} [options]", "", *text]
    for row in rows:
        lines += ["", f"  {row[0]}", *_wrap(row[1], INDENT)]
    if options:
        lines += ["", "Options:"]
    for argument, default in [*needed, *(each for each in options if each not in needed)]:
        shown = "" if default is None else ast.unparse(default).strip("'\"")
        given = f" (default {shown})" if shown not in ("", "None") else " (needed)" if default is None else ""
        lines += [f"  --{argument.arg} {_kind(argument)}{given}", *_wrap(told.get(argument.arg, ""), INDENT)]
    return "\n".join(lines)


def _kind(argument: ast.arg) -> str:
    hint = ast.unparse(argument.annotation) if argument.annotation is not None else ""
    return next((KINDS[word] for word in re.findall(r"\w+", hint) if word in KINDS), "VALUE")


def _summary(node: ast.FunctionDef | ast.ClassDef) -> str:
    return (ast.get_docstring(node) or "").partition("\n\n")[0].replace("\n", " ")


def _read_docstring(docstring: str) -> tuple[list[str], dict[str, str]]:
    """The paragraphs before the sections, as lines, and what `Args` says of each argument."""
    before, _, sections = inspect.cleandoc(docstring).partition("\nArgs:\n")
    before = re.split(r"\n(?:Returns|Raises|Yields):\n", before)[0]
    listed = re.split(r"\n\n", sections)[0]
    entries = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", listed, re.MULTILINE)
    told = {name: " ".join(text.split()) for names, text in entries for name in re.split(r",\s*", names)}
    paragraphs = [_wrap(" ".join(paragraph.split())) for paragraph in before.strip().split("\n\n")]
    return [line for paragraph in paragraphs for line in ["", *paragraph]][1:], told


def _wrap(text: str, indent: int = 0) -> Sequence[str]:
    """Lines of a text, as wide as the terminal, at most 120."""
    width = min(shutil.get_terminal_size((100, 24)).columns, 120)
    return textwrap.wrap(text, width, initial_indent=" " * indent, subsequent_indent=" " * indent)
