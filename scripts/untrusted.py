"""What files of others hold: texts that are no code, and files that can be read to their end."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Any

CODE = ("$", "@", "%")  # with which MONAI marks an expression, a reference and a macro
# Their texts are put behind a folder's name, compared or decoded, and never end in a config.
PATH_KEYS = frozenset(("image", "label", "source", "anatomy", "case", "file_name", "counts"))
SUSPECT = re.compile(r'"(?:\\u|[$@%_])|\\u|\x00')  # what every faulty text has in JSON


def find_fault(text: str, *, is_path: bool = False) -> str | None:
    """Why a text cannot be a name, or a path, that ends in a config or a file; None where it can."""
    if not is_path and text.startswith(CODE):
        return f"{text!r} begins with {text[0]}, which a MONAI config reads as code. Choose another name"
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return f"{text!r} holds a character that no file name can have. Remove it"
    return None


def find_faulty_text(content: Any, key: str = "") -> str | None:
    """The first fault of any text in a JSON value, names of keys too; None where there is none.

    A key such as `_target_` is one: MONAI builds whatever it names.
    """
    if isinstance(content, str):
        fault = find_fault(content, is_path=key in PATH_KEYS)
        return fault and f"{key}: {fault}"
    if isinstance(content, list):
        return next((fault for each in content if (fault := find_faulty_text(each, key))), None)
    if not isinstance(content, dict):
        return None
    for name, value in content.items():
        if re.fullmatch("_.*_", name):
            return f"the key {name!r} is one of a config, not of data. Remove it"
        if fault := find_fault(name) or find_faulty_text(value, name):
            return fault
    return None


def find_irregular(path: str | Path) -> str | None:
    """What stands at a path in place of a file; None for a file, or nothing.

    Whoever opens a FIFO waits for ever, and a device may have no end.
    """
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return None
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a FIFO", stat.S_IFSOCK: "a socket"}
    return None if stat.S_ISREG(mode) else kinds.get(stat.S_IFMT(mode), "a device")
