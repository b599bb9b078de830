"""Files that are whole or absent: written under a hidden name beside their place, and then moved there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Where to write a file: what lies there at the end of the block becomes `file`, whose folder is made.

    After an error there is the old file, or none, and nothing beside it.

        with replacing(file) as temporary:
            image.save(temporary)

    Yields:
        A path in the same folder, whose name ends as the file's, so that libraries know the format.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(f".tmp-{os.getpid()}-{file.name}")
    try:
        yield temporary
        os.replace(temporary, file)
    finally:
        temporary.unlink(missing_ok=True)


def remove_left_behind(file: Path) -> None:
    """Removes what runs that were killed while they wrote the file have left beside it."""
    for temporary in file.parent.glob(f".tmp-*-{file.name}"):
        temporary.unlink(missing_ok=True)
