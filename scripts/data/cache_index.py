"""What a cache remembers of earlier starts: contents of files, and which slices of its entries pass a rule."""

from __future__ import annotations

import hashlib
import logging
import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import numpy as np

from scripts.data.contract import DatasetError

logger = logging.getLogger(__name__)

PATIENCE = 60  # s, for another process that writes
SETTLED = 2 * 10**9  # ns: a file that changed later may change once more within one tick of the file system's clock
MOST_PENDING = 1000  # rows in memory before they are written


class CacheIndex:
    """Remembers, in `index.sqlite` beside the entries of a cache, what would take long to find out at each start.

    A file's SHA-256 is kept with its size, times (of contents and of the inode, ns) and inode: while these are the same
    it is not read again. Which slices pass a rule follows from the entry, whose name says its content. Several
    processes may use one index; each reads it once and adds what it found. The file is made with the first row; one
    that is no such index is a DatasetError.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "index.sqlite"
        self._known: dict[str, bytes] = {}
        self._new: dict[str, bytes] = {}
        if self.file.exists():
            self._load()

    def hash_file(self, path: str) -> bytes:
        """SHA-256 of a file's content, from the index while the file is as it was; DatasetError where unreadable."""
        try:
            status = os.stat(path)
            state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino} {path}"
            if state in self._known:
                return self._known[state]
            now = time.time_ns()
            with open(path, "rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise DatasetError(
                f"Cannot read {path}: {error.strerror}. Correct its path in dataset.json or restore the file."
            ) from None
        if now - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED:
            self._remember(state, content)
        return content

    def kept_slices(self, entry: str, rule: str) -> np.ndarray | None:
        """The mask (Z,) of the slices of an entry that pass a rule; None where that is not known."""
        kept = self._known.get(f"slices {entry} {rule}")
        return None if kept is None else np.frombuffer(kept, np.uint8).astype(bool)

    def remember_slices(self, entry: str, rule: str, kept: np.ndarray) -> None:
        """Notes the mask (Z,) of an entry's slices that pass a rule."""
        self._remember(f"slices {entry} {rule}", kept.astype(np.uint8).tobytes())

    def _remember(self, key: str, value: bytes) -> None:
        self._known[key] = self._new[key] = value
        if len(self._new) >= MOST_PENDING:
            self.write()

    def write(self) -> None:
        """Adds what is new to the file; a cache that cannot be written only loses time at the next start."""
        if not self._new:
            return
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=PATIENCE)) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS known (key TEXT PRIMARY KEY, value BLOB NOT NULL)")
                connection.executemany("INSERT OR REPLACE INTO known VALUES (?, ?)", list(self._new.items()))
        except (OSError, sqlite3.OperationalError) as error:
            logger.warning(f"{self.file} cannot be written ({error}), so the next start reads all files once more.")
        self._new.clear()

    def _load(self) -> None:
        try:
            with closing(sqlite3.connect(f"{self.file.as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
                if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'known'").fetchall():
                    self._known = dict(connection.execute("SELECT key, value FROM known"))
        except sqlite3.OperationalError as error:
            logger.warning(f"{self.file} cannot be read ({error}), so this start reads all files once more.")
        except sqlite3.DatabaseError as error:
            raise DatasetError(f"{self.file}: {error}. Delete the file: the next start makes it anew.") from None
