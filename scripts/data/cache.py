"""A cache of preprocessed volumes: memory-mapped, written atomically, keyed by file contents and transforms."""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import logging
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from enum import Enum
from pathlib import Path
from types import MethodType
from typing import Any

import numpy as np
import torch

from scripts.data.contract import DatasetError, Item, image_files
from scripts.data.pixel_files import pixel_files
from scripts.transforms.geometry import find_unpadded
from scripts.untrusted import find_irregular

logger = logging.getLogger(__name__)

PATIENCE = 60  # s, for another process that writes
SETTLED = 2 * 10**9  # ns: a file that changed later may change once more within one tick of the file system's clock
MOST_PENDING = 1000  # rows in memory before they are written
ARRAYS, SUMS = ("image.npy", "label.npy", "unpadded.npy"), "sums.json"
FORMAT = 2  # of entries: part of their keys


class VolumeCache:
    """Keeps the result of the deterministic transforms of an item: image and label as slices of one file each.

    An entry is a folder `<key>/` with `image.npy` (Z, C, S, S) float16, `label.npy` (Z, S, S) uint8, and `unpadded.npy`
    ((x0, x1), (y0, y1)), which pixels of a slice are no padding. It is made under another name and renamed when whole,
    so workers, ranks and runs can share the cache and a killed process leaves no half entry. `sums.json` has the
    SHA-256 of each file: an entry that a disk or a person has damaged is named and made again. float16 keeps 11 bits of
    an intensity in [-1, 1] in half the disk space. The key covers every byte that is read, see `pixel_files`; files
    that are as they were at an earlier start are not read for it, see `CacheIndex`, whose new rows `write` of `index`
    keeps.

    Args:
        folder: where entries live; made on first use.
        preprocessing: deterministic transforms from an item to `image` (C, S, S[, Z]) and `label` (1, S, S[, Z]).

    Raises:
        DatasetError: the folder cannot be written or the disk is full.
    """

    def __init__(self, folder: str | Path, preprocessing: Callable[[Item], Mapping[str, Any]]) -> None:
        self.folder = Path(folder).expanduser().absolute()
        self.preprocessing = preprocessing
        self.index = CacheIndex(self.folder)
        self._recipe = hashlib.sha256(json.dumps([FORMAT, describe(preprocessing)], sort_keys=True).encode())

    def entry(self, item: Item) -> Path:
        """The item's cache folder, made now if it is not there yet."""
        entry = self.folder / self._key(item)
        if os.path.isdir(entry) and (damage := self._find_damage(entry)):
            logger.warning(f"{entry}: {damage}, so it is made again.")
            self._remove(entry)
        if not os.path.isdir(entry):
            self._make(item, entry)
        return entry

    def _find_damage(self, entry: Path) -> str | None:
        """What is wrong with an entry; its files are read where they are not as they were when it was last whole."""
        try:
            if self.index.is_whole(entry.name):
                return None
            sums = json.loads((entry / SUMS).read_text(encoding="utf-8"))
            changed = [name for name in ARRAYS if self.index.hash_file(str(entry / name)).hex() != sums[name]]
        except (OSError, ValueError, KeyError, TypeError):
            return "a file is missing or cannot be read"
        if not changed:
            self.index.remember_whole(entry.name)
        return f"{changed[0]} is not as it was written" if changed else None

    def _remove(self, entry: Path) -> None:
        aside = Path(f"{self.folder}/.damaged-{entry.name}-{os.getpid()}")
        try:
            os.rename(entry, aside)
        except FileNotFoundError:
            return  # another process was faster
        except OSError as error:
            raise disk_error(error, self.folder, 0) from error
        shutil.rmtree(aside, ignore_errors=True)

    def _key(self, item: Item) -> str:
        digest = self._recipe.copy()
        digest.update(b"synthetic" if item.get("synthetic") else b"real")
        labels = [] if item["label"] is None else [item["label"]]
        for path in [*image_files(item), *labels]:
            files = pixel_files(path)
            digest.update(f"{len(files)} files of {'label' if path == item['label'] else 'image'}".encode())
            for file in files:
                if len(files) > 1:  # names order the images of a series, and tell a header from its pixels
                    digest.update(os.path.basename(file).encode() + b"\0")
                digest.update(self.index.hash_file(file))
        return digest.hexdigest()[:32]

    def _make(self, item: Item, entry: Path) -> None:
        ready = self.preprocessing(item)
        image, label = _slices_first(ready["image"]), _slices_first(ready["label"])[:, 0]
        unpadded = zip(find_unpadded(ready["image"]), image.shape[2:], strict=True)
        temporary = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(dir=self.folder, prefix=".making-"))
            temporary.chmod(0o755)  # mkdtemp makes it private
            np.save(temporary / "image.npy", image.astype(np.float16))  # (Z, C, S, S)
            np.save(temporary / "label.npy", label.astype(np.uint8))  # (Z, S, S)
            np.save(temporary / "unpadded.npy", [part.indices(side)[:2] for part, side in unpadded])  # (2, 2)
            sums = {name: hashlib.sha256((temporary / name).read_bytes()).hexdigest() for name in ARRAYS}
            (temporary / SUMS).write_text(json.dumps(sums), encoding="utf-8")
            os.rename(temporary, entry)
            self.index.remember_whole(entry.name)
        except OSError as error:
            if not entry.is_dir():  # otherwise another process was faster, and its entry is the same
                raise disk_error(error, self.folder, image.size * 2 + label.size) from error
        finally:
            if temporary is not None and temporary.is_dir():
                shutil.rmtree(temporary, ignore_errors=True)


class CacheIndex:
    """Remembers, in `index.sqlite` beside the entries of a cache, what would take long to find out at each start.

    A file's SHA-256 is kept with its size, times (of contents and of the inode, ns) and inode: while these are the same
    it is not read again, and an entry is taken for whole while its arrays are so. Which slices pass a rule follows from
    the entry, whose name says its content. Several processes may use one index; each reads it once and adds what it
    found. The file is made with the first row; one that is no such index is a DatasetError.
    """

    def __init__(self, folder: Path) -> None:
        self.file = folder / "index.sqlite"
        self._known: dict[str, bytes] = {}
        self._new: dict[str, bytes] = {}
        try:
            if self.file.exists():
                address = f"{self.file.as_uri()}?mode=ro"
                with closing(sqlite3.connect(address, uri=True, timeout=PATIENCE)) as connection:
                    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'known'").fetchall():
                        self._known = dict(connection.execute("SELECT key, value FROM known"))
        except sqlite3.OperationalError as error:
            logger.warning(f"{self.file} cannot be read ({error}), so this start reads all files once more.")
        except sqlite3.DatabaseError as error:
            raise DatasetError(f"{self.file}: {error}. Delete the file: the next start makes it anew.") from None

    def hash_file(self, path: str) -> bytes:
        """SHA-256 of a file's content, from the index while the file is as it was; DatasetError where unreadable."""
        if kind := find_irregular(path):
            raise DatasetError(f"{path} is {kind}, expected a file. Correct its path in dataset.json.")
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

    def is_whole(self, entry: str) -> bool:
        """Whether an entry's arrays are as they were when somebody wrote or read them whole; OSError without them."""
        return self._state_of(entry) in self._known

    def remember_whole(self, entry: str) -> None:
        """Notes that an entry's arrays have the sums that they were written with."""
        self._remember(self._state_of(entry), b"")

    def _state_of(self, entry: str) -> str:
        states = [os.stat(f"{self.file.parent}/{entry}/{name}") for name in ARRAYS]
        return f"whole {entry} {[(each.st_size, each.st_mtime_ns, each.st_ctime_ns, each.st_ino) for each in states]}"

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


def describe(thing: Any) -> Any:
    """A JSON description of a transform and its settings that is the same in every process.

    Objects become their class and attributes; random states are left out, as is what MONAI's transforms keep per thread
    from their first call on, and unknown things raise TypeError rather than share a key by accident.
    """
    if thing is None or isinstance(thing, (bool, int, float, str)):
        return thing
    if isinstance(thing, np.random.RandomState):
        return None
    if isinstance(thing, (Enum, Path, torch.dtype, torch.device, np.dtype)):
        return str(thing)
    if isinstance(thing, (np.ndarray, np.generic, torch.Tensor)):
        return np.asarray(thing).tolist()
    if isinstance(thing, Mapping):
        return {str(key): describe(value) for key, value in sorted(thing.items(), key=lambda pair: str(pair[0]))}
    if isinstance(thing, (set, frozenset)):
        return sorted(map(str, thing))
    if isinstance(thing, (list, tuple)):
        return [describe(value) for value in thing]
    if isinstance(thing, functools.partial):
        return [describe(thing.func), describe(thing.args), describe(thing.keywords)]
    if isinstance(thing, MethodType):
        return [describe(thing.__self__), thing.__name__]
    if isinstance(thing, type) or (callable(thing) and hasattr(thing, "__qualname__")):
        if "<lambda>" in thing.__qualname__ or getattr(thing, "__closure__", None):
            raise TypeError(f"Cannot describe {thing!r} for the cache key: use a named one without outer variables.")
        return f"{thing.__module__}.{thing.__qualname__}"
    if hasattr(thing, "__dict__"):
        settings = {k: v for k, v in vars(thing).items() if k != "R" and not isinstance(v, threading.local)}
        return {"class": f"{type(thing).__module__}.{type(thing).__qualname__}", "settings": describe(settings)}
    raise TypeError(f"Cannot describe {thing!r} for the cache key; use plain settings in cached transforms.")


def _slices_first(array: Any) -> np.ndarray:
    """(C, X, Y) -> (1, C, X, Y); (C, X, Y, Z) -> (Z, C, X, Y)."""
    plain = np.asarray(array)
    return np.ascontiguousarray(plain[None] if plain.ndim == 3 else plain.transpose(3, 0, 1, 2))


def disk_error(error: OSError, folder: Path, size: int) -> DatasetError:
    """What to tell the user when `size` bytes cannot be written to the cache's folder."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DatasetError(
            f"The disk of the cache {folder} is full (this volume needs {size / 2**20:.1f} MiB). "
            "Free space there, or name another folder with --cache_dir."
        )
    return DatasetError(f"Cannot write the cache {folder}: {error.strerror}. Name a writable one with --cache_dir.")
