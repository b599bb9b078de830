"""Names that nothing here knows: one kind of error, which says the known name that is most like it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LISTED = 12  # so many known names are listed where none is alike


class OptionError(ValueError):
    """An option or argument that this command does not have, or that it cannot take."""


def suggest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """What to say behind an unknown name: `; did you mean --epochs?`, else the known names if they are few.

    Args:
        name: as it was given, without the prefix.
        known: the names that exist here.
        prefix: what stands before names, such as `--`.
    """
    names = sorted(set(known))
    near = difflib.get_close_matches(name, names, n=1) or [n for n in names if n.startswith(name) or name.startswith(n)]
    if near:
        return f"; did you mean {prefix}{near[0]}?"
    if not names:
        return "; it has none"
    return f"; expected one of {prefix}{f', {prefix}'.join(names)}" if len(names) <= LISTED else ""
