from __future__ import annotations

import errno
import functools
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, EnsureTyped, RandFlipd

from scripts.data import cache
from scripts.data.cache import CacheIndex, VolumeCache, describe
from scripts.data.contract import DatasetError
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.intensity import ToSignedRanged

ROOT = Path(__file__).parents[2]


class LoadArrays:
    """Reads .npy files, so that these tests need no medical format."""

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, item):
        return {"image": np.load(item["image"]) * self.gain, "label": np.load(item["label"])}


@pytest.fixture
def item(tmp_path: Path) -> dict[str, str]:
    generator = np.random.default_rng(0)
    np.save(tmp_path / "image.npy", generator.uniform(-1, 1, (2, 4, 4, 3)))
    np.save(tmp_path / "label.npy", generator.integers(0, 3, (1, 4, 4, 3)))
    return {"image": str(tmp_path / "image.npy"), "label": str(tmp_path / "label.npy")}


def start(code: str, *arguments: object, seed: int = 0) -> subprocess.Popen:
    """Another process with this file's `LoadArrays` as `LoadArrays`."""
    head = "import sys, time, numpy as np\nfrom scripts.data.cache import VolumeCache, describe\n"
    load = (
        "class LoadArrays:\n"
        "    def __call__(self, item):\n"
        "        return {'image': np.load(item['image']), 'label': np.load(item['label'])}\n"
    )
    environment = {**os.environ, "PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", head + load + code, *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return output.strip()


def test_entry_holds_slices_first_and_is_made_once(tmp_path, item):
    cache = VolumeCache(tmp_path / "cache", LoadArrays())
    entry = cache.entry(item)
    image, label = np.load(entry / "image.npy"), np.load(entry / "label.npy")
    assert (image.dtype, label.dtype) == (np.float16, np.uint8)
    np.testing.assert_array_equal(image, np.load(item["image"]).transpose(3, 0, 1, 2).astype(np.float16))
    np.testing.assert_array_equal(label, np.load(item["label"])[0].transpose(2, 0, 1))
    made = (entry / "image.npy").stat().st_mtime_ns
    assert VolumeCache(tmp_path / "cache", LoadArrays()).entry(item) == entry
    assert (entry / "image.npy").stat().st_mtime_ns == made


def test_plane_images_are_one_slice(tmp_path, item):
    np.save(item["image"], np.zeros((3, 4, 5)))
    np.save(item["label"], np.zeros((1, 4, 5)))
    entry = VolumeCache(tmp_path / "cache", LoadArrays()).entry(item)
    assert np.load(entry / "image.npy").shape == (1, 3, 4, 5)
    assert np.load(entry / "label.npy").shape == (1, 4, 5)


def test_other_content_transform_or_origin_is_another_entry(tmp_path, item):
    folder = tmp_path / "cache"
    entries = {VolumeCache(folder, LoadArrays()).entry(item), VolumeCache(folder, LoadArrays(2.0)).entry(item)}
    entries.add(VolumeCache(folder, LoadArrays()).entry({**item, "synthetic": {"system": "redgan"}}))
    np.save(item["label"], np.zeros((1, 4, 4, 3)))
    entries.add(VolumeCache(folder, LoadArrays()).entry(item))
    np.save(item["image"], np.zeros((2, 4, 4, 3)))
    entries.add(VolumeCache(folder, LoadArrays()).entry(item))
    assert len(entries) == 5


def test_a_copy_of_the_same_files_elsewhere_shares_the_entry(tmp_path, item):
    copies = {key: str(tmp_path / f"copy_{key}.npy") for key in item}
    for key, file in copies.items():
        Path(file).write_bytes(Path(item[key]).read_bytes())
    cache = VolumeCache(tmp_path / "cache", LoadArrays())
    assert cache.entry(item) == cache.entry(copies)


def test_a_folder_counts_with_the_names_and_contents_of_its_files(tmp_path, item):
    folder = tmp_path / "series"
    folder.mkdir()
    for name in ("a.dcm", "b.dcm"):
        (folder / name).write_text(name)
    shutil.copytree(folder, tmp_path / "copy")

    def key(series: Path) -> str:
        return VolumeCache(tmp_path / "cache", LoadArrays())._key({**item, "image": str(series)})

    keys = [key(folder)]
    assert key(tmp_path / "copy") == keys[0]
    (folder / "a.dcm").rename(folder / "c.dcm")
    keys.append(key(folder))
    (folder / "c.dcm").write_text("other")
    keys.append(key(folder))
    (folder / "d.dcm").touch()
    keys.append(key(folder))
    assert len(set(keys)) == 4


def test_the_description_is_the_same_in_every_process():
    code = (
        "import json\nfrom monai.transforms import Compose\n"
        "from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned\n"
        "print(json.dumps(describe([Compose([CanonicalOrientationd('image'), FitInPlaned('image', 8)]),"
        " {'b', 'a', 'c'}, np.float32(1)]), sort_keys=True))"
    )
    there = finish(start(code, seed=1234))  # this process has another hash seed
    here = [Compose([CanonicalOrientationd("image"), FitInPlaned("image", 8)]), {"b", "a", "c"}, np.float32(1)]
    assert there == json.dumps(describe(here), sort_keys=True)
    assert '"image_size": 8' in there


def test_settings_tell_descriptions_apart():
    preprocessing = [
        Compose([CanonicalOrientationd("image"), FitInPlaned("image", 8)]),
        Compose([CanonicalOrientationd("image"), FitInPlaned("image", 9)]),
        Compose([CanonicalOrientationd("label"), FitInPlaned("image", 8)]),
        Compose([ToSignedRanged("image"), FitInPlaned("image", 8)]),
        Compose([ToSignedRanged("image", [0, 255]), FitInPlaned("image", 8)]),
        Compose([EnsureTyped("image", dtype=torch.float32)]),
        Compose([EnsureTyped("image", dtype=torch.float16)]),
        functools.partial(np.clip, a_min=0),
        functools.partial(np.clip, a_min=1),
        LoadArrays(1.0).__call__,
        LoadArrays(2.0).__call__,
    ]
    assert len({str(describe(thing)) for thing in preprocessing}) == len(preprocessing)


def test_random_states_do_not_count():
    flips = [RandFlipd("image", 0.5).set_random_state(seed) for seed in (1, 2)]
    assert describe(flips[0]) == describe(flips[1])


def test_a_transform_that_was_used_is_described_as_before():
    transform = Compose([CanonicalOrientationd("image"), FitInPlaned("image", 8)])
    before = describe(transform)
    transform({"image": MetaTensor(torch.zeros(1, 9, 9, 2), affine=torch.eye(4))})
    assert describe(transform) == before


def test_what_cannot_be_told_apart_is_refused():
    outer = 3
    for thing in (lambda item: item, functools.partial(lambda item: item), object()):
        with pytest.raises(TypeError, match=r"Cannot describe .* for the cache key"):
            describe(thing)

    def closure(item):
        return item[outer]

    with pytest.raises(TypeError, match="without outer variables"):
        describe(closure)


def test_two_processes_at_once_make_one_entry_and_neither_fails(tmp_path, item):
    code = (
        "cache = VolumeCache(sys.argv[1], LoadArrays())\n"
        "save = np.save\n"
        "np.save = lambda *a: (time.sleep(0.3), save(*a))\n"  # both are surely at work together
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "print(cache.entry({'image': sys.argv[2], 'label': sys.argv[3]}))"
    )
    processes = [start(code, tmp_path / "cache", item["image"], item["label"]) for _ in range(2)]
    assert [process.stdout.readline() for process in processes] == ["ready\n", "ready\n"]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    first, second = map(finish, processes)
    assert first == second
    assert [entry.name for entry in (tmp_path / "cache").iterdir()] == [Path(first).name]
    assert np.load(Path(first) / "image.npy").shape == (3, 2, 4, 4)


def test_killed_while_writing_leaves_no_half_entry(tmp_path, item):
    code = (
        "save = np.save\n"
        "def slow(file, array):\n"
        "    save(file, array)\n"
        "    print('saved', flush=True)\n"
        "    time.sleep(60)\n"
        "np.save = slow\n"
        "VolumeCache(sys.argv[1], LoadArrays()).entry({'image': sys.argv[2], 'label': sys.argv[3]})"
    )
    process = start(code, tmp_path / "cache", item["image"], item["label"])
    assert process.stdout.readline() == "saved\n"  # the image is there, the label is not
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not [entry for entry in (tmp_path / "cache").iterdir() if not entry.name.startswith(".making-")]
    entry = VolumeCache(tmp_path / "cache", LoadArrays()).entry(item)
    assert sorted(file.name for file in entry.iterdir()) == ["image.npy", "label.npy", "sums.json", "unpadded.npy"]


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path, item, monkeypatch):
    def full(file, array):
        Path(file).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    cache = VolumeCache(tmp_path / "cache", LoadArrays())
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(
        DatasetError, match=r"disk of the cache .*cache is full \(this volume needs .* MiB\).*--cache_dir"
    ):
        cache.entry(item)
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_error(tmp_path, item):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DatasetError, match=r"Cannot write the cache .*cache: .*Name a writable one with --cache_dir"):
        VolumeCache(tmp_path / "cache", LoadArrays()).entry(item)


def test_a_missing_file_is_named(tmp_path, item):
    with pytest.raises(DatasetError, match=r"Cannot read .*absent\.npy: No such file.* dataset\.json"):
        VolumeCache(tmp_path / "cache", LoadArrays()).entry({**item, "image": str(tmp_path / "absent.npy")})


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
