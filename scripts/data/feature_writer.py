"""A feature set written batch by batch: memory stays constant, and a killed run goes on after its last batch."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from scripts.data.contract import SPLITS, DatasetError, Item, write_json
from scripts.data.feature_format import ChannelMoments, FeatureDescription
from scripts.data.features import ARRAY, MANIFEST, FeatureSet, hidden_name

ITEMS = "items.jsonl"  # the recipe, then a line for each row, until the set is whole


class FeatureWriter:
    """Writes a feature set in a hidden folder beside its place, and moves it there when it is whole.

    Numbers go through an ordinary file handle: a memory map of the whole file would keep all that is written in the
    process's memory. A set of other settings in the same place stays until the new one is whole, then it is replaced.

        with FeatureWriter(folder, description, count) as writer:
            for batch, items in batches[writer.rows :]:
                writer.append(batch, items)
            writer.finish()

    Args:
        folder: of the set.
        description: what its manifest says.
        count: rows that it will have, or at most.
        settings: name -> plain value of what else must be the same when a killed run goes on.

    `rows` are there already: those of the run that was killed, or all where the set is whole.

    Raises:
        DatasetError: on entering, if the folder holds something else, cannot be written, or the disk has not the room.
    """

    def __init__(
        self,
        folder: str | Path,
        description: FeatureDescription,
        count: int,
        *,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        if count < 1:
            raise DatasetError(f"The number of features to write is {count}, expected 1 or more.")
        self.folder = Path(folder).expanduser().absolute()
        self.description = description
        self.count = count
        content = {"description": description.to_json(), "count": count, "settings": dict(settings or {})}
        self.recipe = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
        self.hidden = self.folder.parent / hidden_name(self.folder)
        self.header = _make_header(description, count)
        self._streams = contextlib.ExitStack()
        self._array: IO[bytes] | None = None
        self._items: IO[bytes] | None = None
        try:
            whole = FeatureSet(self.folder)
            self.complete = whole.manifest.get("recipe") == self.recipe
        except DatasetError:  # not there, or broken: it is made anew
            self.complete = False
        self.rows = len(whole) if self.complete else self._find_progress()

    def __enter__(self) -> FeatureWriter:
        if self.complete:
            return self
        with self._explain():
            known = {ARRAY, MANIFEST, ITEMS}
            there = {entry.name for entry in self.folder.iterdir()} if self.folder.exists() else set()
            if foreign := sorted(there - known):
                raise DatasetError(
                    f"{self.folder} holds {foreign[0]}, expected nothing or features. Name another folder."
                )
            self._check_disk()
            self.hidden.mkdir(parents=True, exist_ok=True)
            mode = "r+b" if self.rows else "w+b"
            self._items = self._streams.enter_context(open(self.hidden / ITEMS, mode))
            self._array = self._streams.enter_context(open(self.hidden / ARRAY, mode))
            self._items.write(self.recipe.encode() + b"\n")
            for _ in range(self.rows):
                self._items.readline()
            self._items.truncate()
            self._array.write(self.header)
            self._array.truncate(len(self.header) + self.rows * self.description.row_bytes)
            self._array.seek(0, os.SEEK_END)
        return self

    def __exit__(self, *error: object) -> None:
        with self._explain():
            self._close()

    def append(self, features: np.ndarray | torch.Tensor, items: Sequence[Item]) -> None:
        """Writes the next rows.

        Args:
            features: (B, C, H, W), any floating dtype and device.
            items: B of them, with `source`, `patient`, `class`, `split` and `synthetic`.

        Raises:
            DatasetError: a number that the dtype cannot hold or below the level's minimum, a row too many, a synthetic
                row outside the training split, or a full disk.
        """
        assert self._array is not None, "the writer must be entered"
        assert self._items is not None
        stored = self._convert(features)  # (B, C, H, W)
        rows = [_check_item(item) for item in items]
        if len(rows) != len(stored) or self.rows + len(rows) > self.count:
            raise DatasetError(f"{len(stored)} features of {len(rows)} items after {self.rows} of {self.count} rows.")
        with self._explain():
            self._array.write(stored.data)
            self._array.flush()
            self._items.writelines(json.dumps(row).encode() + b"\n" for row in rows)
            self._items.flush()
            self.rows += len(rows)

    def finish(self, extra: Mapping[str, Any] | None = None) -> FeatureSet:
        """Completes the set with the rows that were written, `extra` keys in its manifest, and moves it to its place.

        Raises:
            DatasetError: no row, no training row to take mean and std from, or a full disk.
        """
        if self.complete:
            return FeatureSet(self.folder)
        assert self._array is not None, "the writer must be entered"
        with self._explain():
            self._array.seek(0)
            self._array.write(_make_header(self.description, self.rows))
            self._array.flush()
            os.fsync(self._array.fileno())
            self._close()
            items = [json.loads(line) for line in (self.hidden / ITEMS).read_text(encoding="utf-8").splitlines()[1:]]
            moments = ChannelMoments(self.description.feature_shape[0])
            for row, item in enumerate(items):
                if item["split"] == "training":
                    moments.add(np.load(self.hidden / ARRAY, mmap_mode="r")[row])  # mapped anew, to keep no pages
            if not moments.count:
                raise DatasetError(f"None of the {self.rows} features for {self.folder} is a training one. Write some.")
            manifest = {
                **self.description.to_json(),
                **(extra or {}),
                "recipe": self.recipe,
                "mean": moments.mean.tolist(),
                "std": moments.compute_std().tolist(),
                "items": items,
            }
            write_json(self.hidden / MANIFEST, manifest)
            self._publish()
        self.complete = True
        return FeatureSet(self.folder)

    def _convert(self, features: np.ndarray | torch.Tensor) -> np.ndarray:
        """The features as they are stored, (B, C, H, W) in C order."""
        tensor = torch.as_tensor(features).detach()
        if tuple(tensor.shape[1:]) != self.description.feature_shape:
            raise DatasetError(f"Features are {tuple(tensor.shape[1:])}, expected {self.description.feature_shape}.")
        stored = tensor.to(getattr(torch, self.description.dtype)).cpu().contiguous().numpy()
        if not np.isfinite(stored).all():
            largest = float(tensor.float().abs().max())
            raise DatasetError(
                f"A feature's largest value is {largest:g}, which {self.description.dtype} cannot hold. "
                + ("Pass --feature_dtype float32." if np.isfinite(largest) else "Mend or retrain the network.")
            )
        minimum = self.description.minimum
        if minimum is not None and stored.size and stored.min() < minimum:
            raise DatasetError(f"A feature is {stored.min():g}, expected at least {minimum:g}. Describe no minimum.")
        return stored

    def _close(self) -> None:
        self._streams.close()
        self._array = self._items = None

    def _find_progress(self) -> int:
        """Rows that a killed run of the same settings has left, of which numbers and item are whole."""
        try:
            recipe, *lines = (self.hidden / ITEMS).read_bytes().split(b"\n")
            size = (self.hidden / ARRAY).stat().st_size
        except OSError:
            return 0
        numbers = max(0, size - len(self.header)) // self.description.row_bytes
        return min(len(lines) - 1, numbers) if recipe == self.recipe.encode() and lines else 0

    def _check_disk(self) -> None:
        place = next(parent for parent in self.folder.parents if parent.exists())
        begun = (self.hidden / ARRAY).stat().st_size if (self.hidden / ARRAY).exists() else 0
        needed = max(0, self.count * self.description.row_bytes - begun)
        free = shutil.disk_usage(place).free
        if needed > free:
            raise DatasetError(
                f"{self.count} features {self.description.feature_shape} need {needed / 1e9:.1f} GB, {place} has "
                f"{free / 1e9:.1f} GB free. Free space, name another --output_dir, or take a level with fewer values."
            )

    @contextlib.contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            left = (self.count - self.rows) * self.description.row_bytes / 2**20
            progress = f"{self.rows} of {self.count} features, {left:.1f} MiB more are needed"
            reason = f"the disk is full after {progress}" if full else error.strerror
            raise DatasetError(
                f"Cannot write {self.hidden}: {reason}. Free space and start again, which goes on from there, or name "
                "another --output_dir."
            ) from error

    def _publish(self) -> None:
        old = self.folder.parent / f".{self.folder.name}.old"
        shutil.rmtree(old, ignore_errors=True)
        if self.folder.exists():
            os.rename(self.folder, old)
        os.rename(self.hidden, self.folder)
        shutil.rmtree(old, ignore_errors=True)
        (self.folder / ITEMS).unlink(missing_ok=True)


def _make_header(description: FeatureDescription, rows: int) -> bytes:
    """Of an npy file; NumPy makes it equally long for any number of rows."""
    shape = (rows, *description.feature_shape)
    fields = {"descr": np.dtype(description.dtype).str, "fortran_order": False, "shape": shape}
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, fields)
    return stream.getvalue()


def _check_item(item: Mapping[str, Any]) -> Item:
    row = {key: item[key] for key in ("source", "patient", "class", "split")}
    row["synthetic"] = item.get("synthetic") or None
    if row["split"] not in SPLITS or (row["synthetic"] and row["split"] != "training"):
        raise DatasetError(
            f"{row['source']} is of the split {row['split']!r}, expected one of {', '.join(SPLITS)}, and training for "
            "synthetic features."
        )
    return row
