"""Which files are read with one path: headers name files of pixels, folders hold DICOM series."""

from __future__ import annotations

import os
import re
from pathlib import Path

from scripts.data.contract import DatasetError

HEADERS = (".mhd", ".mha", ".nhdr", ".nrrd")  # text that may name other files
SISTERS = ((".hdr", ".img", ".hdr.gz", ".img.gz", ".mat"), (".head", ".brik", ".brik.gz"), (".par", ".rec"))
DATA_LINE = re.compile(r"^\s*(?:ElementDataFile\s*=|data ?file:)\s*(.*?)\s*$", re.IGNORECASE)
HEAD = 1 << 16  # bytes in which a header names its files
INSIDE = ("local", "")


def pixel_files(path: str) -> list[str]:
    """All files whose bytes become the pixels of a path: itself, and what its header names or its folder holds.

    MetaImage and NRRD headers name one file, a numbered pattern or a list, of which a missing one is a DatasetError;
    NIfTI and Analyze pairs, AFNI and PAR/REC are sisters of one name.
    """
    lower = path.lower()
    if lower.endswith(HEADERS):
        return [path, *_named_files(path)]
    for group in SISTERS:
        if lower.endswith(group):
            return _find_sisters(path, group)
    if os.path.isdir(path):
        return sorted(entry.path for entry in os.scandir(path) if entry.is_file() and entry.name[0] != ".")
    return [path]


def _find_sisters(path: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files beside one that have its name and one of the suffixes, whatever the case of letters."""
    own = max((suffix for suffix in suffixes if path.lower().endswith(suffix)), key=len)
    name = Path(path).name[: -len(own)]
    wanted = {(name + suffix).lower() for suffix in suffixes}
    return sorted(str(file) for file in Path(path).parent.iterdir() if file.name.lower() in wanted)


def _named_files(path: str) -> list[str]:
    with open(path, "rb") as stream:
        lines = stream.read(HEAD).decode("latin-1").split("\n")
    for number, line in enumerate(lines):
        match = DATA_LINE.match(line)
        if match is None:
            if not line.strip() and path.lower().endswith((".nrrd", ".nhdr")):
                return []  # pixels follow a blank line
            continue
        value = match[1]
        if value.lower() in INSIDE:
            return []
        if value.lower().startswith("list"):
            names = [name.strip() for name in lines[number + 1 :] if name.strip()]
        else:
            names = _unfold(value)
        files = [os.path.join(os.path.dirname(path), name) for name in names]
        missing = [file for file in files if not os.path.exists(file)]
        if missing:
            raise DatasetError(f"{path} names {missing[0]}, which is not there. Restore the file, or remove the item.")
        return files
    return []


def _unfold(value: str) -> list[str]:
    """The names that `slice%03d.raw 1 20 1` stands for; any other text is one name."""
    words = value.split()
    if "%" not in words[0] or len(words) < 3:
        return [value]
    first, last, *step = (int(word) for word in words[1:4])
    return [words[0] % number for number in range(first, last + 1, *(step or [1]))]
