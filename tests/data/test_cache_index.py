"""A file is read once, until it changes; several indexes add to one file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from scripts.data import cache
from scripts.data.cache import CacheIndex
from scripts.data.contract import DatasetError


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(cache, "SETTLED", -1)  # files of this test are young
    (tmp_path / "a.png").write_bytes(b"one")
    return str(tmp_path / "a.png")


def test_an_unchanged_file_is_not_read_again(tmp_path: Path, file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    index = CacheIndex(tmp_path / "cache")
    assert index.hash_file(file) == hashlib.sha256(b"one").digest()
    index.write()
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert CacheIndex(tmp_path / "cache").hash_file(file) == hashlib.sha256(b"one").digest()


def test_a_file_of_equal_size_and_time_is_read_anew(tmp_path: Path, file: str) -> None:
    index = CacheIndex(tmp_path / "cache")
    index.hash_file(file)
    before = os.stat(file)
    Path(file).write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert index.hash_file(file) == hashlib.sha256(b"two").digest()


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path, file: str, monkeypatch) -> None:
    monkeypatch.setattr(cache, "SETTLED", 10**12)
    index = CacheIndex(tmp_path / "cache")
    index.hash_file(file)
    index.write()
    assert not index.file.exists()


def test_two_processes_add_to_one_index(tmp_path: Path) -> None:
    first, second = CacheIndex(tmp_path), CacheIndex(tmp_path)
    first.remember_slices("a", "rule", np.array([True, False]))
    second.remember_slices("b", "rule", np.array([True]))
    first.write()
    second.write()
    known = CacheIndex(tmp_path)
    assert [known.kept_slices(entry, "rule").tolist() for entry in "ab"] == [[True, False], [True]]  # type: ignore[union-attr]


def test_a_broken_index_is_named(tmp_path: Path) -> None:
    (tmp_path / "index.sqlite").write_bytes(b"no database, but long enough to be read as one" * 100)
    with pytest.raises(DatasetError, match=r"index\.sqlite: .*Delete the file"):
        CacheIndex(tmp_path)
