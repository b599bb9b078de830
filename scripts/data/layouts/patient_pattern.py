"""Patients as `--patient_pattern` of `prepare` finds them in names, cases or paths."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from scripts.data.contract import DatasetError, Item, case_name


def name_by_pattern(items: Sequence[Item], root: Path, pattern: str) -> None:
    """Makes what the pattern finds the patient of each item.

    A pattern with a `/` is searched in the path below `root`, without suffix; another one in the patients that the
    source gives, where it finds one in each, else in the names of the cases or files, else in the paths.

    Args:
        items: with `image`, and `patient` or `case` where the source gives one.
        root: the data set's folder.
        pattern: a regular expression with one group.

    Raises:
        DatasetError: no regular expression, not one group, or nowhere a match for every item.
    """
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"patient_pattern {pattern!r} is no regular expression: {error}.") from None
    if compiled.groups != 1:
        raise DatasetError(f"patient_pattern {pattern!r} has {compiled.groups} groups, expected one. Try '^([^_]+)_'.")
    paths = [case_name(item, root) for item in items]
    files = [case_name({"image": item["image"]}, root) for item in items]
    given = [str(item.get("patient") or "") for item in items]
    names = [path.rpartition("/")[2] for path in paths]
    for texts in [files] if "/" in pattern else [given, names, files]:
        matches = [compiled.search(text) for text in texts]
        if all(match and match[1] for match in matches):
            for item, match in zip(items, matches, strict=True):
                item["patient"] = match and match[1]
            return
    missing = next(text for text, match in zip(texts, matches, strict=True) if not (match and match[1]))
    raise DatasetError(f"patient_pattern {pattern!r} finds no patient in {missing!r}. Try '^([^_]+)_' or '^([^/]+)/'.")
