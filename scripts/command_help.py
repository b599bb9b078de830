"""What a command takes, from its source: to say it, nothing that the command needs is imported."""

from __future__ import annotations

import ast
import importlib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def read_signature(module: str, name: str) -> Any:
    """A function, or a class with its methods, whose bodies are their docstrings.

    What defaults and class attributes name is found alike: constants of the module, and what it imports from `scripts`.
    Where they name anything else, the command itself is imported.
    """
    tree = ast.parse((ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8"))
    origins = {
        alias.name: node.module for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    tree.body = [node for node in tree.body if _is_needed(node, name)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.body = [node.body[0] if ast.get_docstring(node) else ast.Pass()]
    code, known = compile(tree, module, "exec"), {"__name__": module}
    while name not in known:
        try:
            exec(code, known)
        except NameError as error:
            origin = origins.get(error.name) or ""
            if not origin.startswith("scripts."):
                return getattr(importlib.import_module(module), name)
            known[error.name] = read_signature(origin, error.name)
    return known[name]


def _is_needed(node: ast.stmt, name: str) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module == "__future__"
    if isinstance(node, ast.Assign):
        return all(isinstance(part, (ast.Constant, ast.Tuple, ast.expr_context)) for part in ast.walk(node.value))
    return getattr(node, "name", None) == name
