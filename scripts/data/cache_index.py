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

TABLES = """
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, state TEXT NOT NULL, sha256 BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS slices (entry TEXT, rule TEXT, kept BLOB NOT NULL, PRIMARY KEY (entry, rule));
"""
PATIENCE = 60  # s, for another process that writes
SETTLED = 2 * 10**9  # ns: a file that changed later may change once more within one tick of the file system's clock
MOST_PENDING = 1000  # rows in memory before they are written


class CacheIndex:
    """Remembers, in `index.sqlite` beside the entries of a cache, what would take long to find out at each start.

    A file's SHA-256 is kept with its size, times (of contents and of the inode, ns) and inode: while these are the same
    it is not read again. Which slices pass a rule follows from the entry, whose name says its content. Several
    processes may use one index; each reads it once and adds what it found.

    Args:
        folder: of the cache; it is made with the first row.

    Raises:
        DatasetError: the file is there, but no such index.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "index.sqlite"
        self._files: dict[str, tuple[str, bytes]] = {}
        self._slices: dict[tuple[str, str], np.ndarray] = {}
        self._new_files: dict[str, tuple[str, bytes]] = {}
        self._new_slices: dict[tuple[str, str], np.ndarray] = {}
        if self.file.exists():
            self._load()

    def hash_file(self, path: str) -> bytes:
        """SHA-256 of a file's content, from the index while the file is as it was.

        Raises:
            DatasetError: the file cannot be read.
        """
        try:
            status = os.stat(path)
            state = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
            known = self._files.get(path)
            if known is not None and known[0] == state:
                return known[1]
            now = time.time_ns()
            with open(path, "rb") as stream:
                content = hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            raise DatasetError(
                f"Cannot read {path}: {error.strerror}. Correct its path in dataset.json or restore the file."
            ) from None
        if now - max(status.st_mtime_ns, status.st_ctime_ns) > SETTLED:
            self._files[path] = self._new_files[path] = (state, content)
            self._write_many()
        return content

    def kept_slices(self, entry: str, rule: str) -> np.ndarray | None:
        """The mask (Z,) of the slices of an entry that pass a rule; None where that is not known."""
        return self._slices.get((entry, rule))

    def remember_slices(self, entry: str, rule: str, kept: np.ndarray) -> None:
        """Notes the mask (Z,) of an entry's slices that pass a rule."""
        self._slices[entry, rule] = self._new_slices[entry, rule] = kept
        self._write_many()

    def write(self) -> None:
        """Adds what is new to the file; a cache that cannot be written only loses time at the next start."""
        if not self._new_files and not self._new_slices:
            return
        files = [(path, *row) for path, row in self._new_files.items()]
        slices = [(*key, kept.astype(np.uint8).tobytes()) for key, kept in self._new_slices.items()]
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=PATIENCE)) as connection, connection:
                connection.executescript(TABLES)
                connection.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", files)
                connection.executemany("INSERT OR REPLACE INTO slices VALUES (?, ?, ?)", slices)
        except (OSError, sqlite3.OperationalError) as error:
            logger.warning(f"{self.file} cannot be written ({error}), so the next start reads all files once more.")
        self._new_files.clear()
        self._new_slices.clear()

    def _write_many(self) -> None:
        if len(self._new_files) + len(self._new_slices) >= MOST_PENDING:
            self.write()

    def _load(self) -> None:
        try:
            with closing(sqlite3.connect(f"{self.file.as_uri()}?mode=ro", uri=True, timeout=PATIENCE)) as connection:
                if not connection.execute("SELECT name FROM sqlite_master").fetchall():
                    return  # another process is making it
                for path, state, content in connection.execute("SELECT path, state, sha256 FROM files"):
                    self._files[path] = (state, content)
                for entry, rule, kept in connection.execute("SELECT entry, rule, kept FROM slices"):
                    self._slices[entry, rule] = np.frombuffer(kept, np.uint8).astype(bool)
        except sqlite3.OperationalError as error:
            logger.warning(f"{self.file} cannot be read ({error}), so this start reads all files once more.")
        except sqlite3.DatabaseError as error:
            raise DatasetError(f"{self.file}: {error}. Delete the file: the next start makes it anew.") from None
