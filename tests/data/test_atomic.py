from __future__ import annotations

import errno
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

from scripts.data.atomic import WriteError, replacing, replacing_folder, write_whole


def test_a_file_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    file = tmp_path / "new" / "label.nii.gz"
    with replacing(file) as temporary:
        temporary.write_text("whole")
        assert not file.exists()
        assert temporary.name.endswith("label.nii.gz")  # by which libraries choose the format
    assert {path.name: path.read_text() for path in file.parent.iterdir()} == {"label.nii.gz": "whole"}


def test_after_an_error_the_old_file_is_there_alone(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("old")

    def write_half() -> None:
        with replacing(file) as temporary:
            temporary.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"table.csv": "old"}


def test_what_killed_runs_left_behind_of_a_file_is_removed(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name in (f".tmp-{dead.pid}-a.pt", f".tmp-{os.getppid()}-a.pt", f".tmp-{dead.pid}-b.pt"):
        (tmp_path / name).touch()
    write_whole(tmp_path / "a.pt", "new")
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == sorted([f".tmp-{os.getppid()}-a.pt", f".tmp-{dead.pid}-b.pt", "a.pt"])


def test_a_folder_is_whole_or_absent(tmp_path: Path) -> None:
    with suppress(ZeroDivisionError), replacing_folder(tmp_path / "set") as folder:
        (folder / "half").touch()
        raise ZeroDivisionError
    assert not os.listdir(tmp_path)
    for name in ("a", "b"):
        with replacing_folder(tmp_path / "set", replace=True) as folder:
            (folder / name).touch()
            assert not (tmp_path / "set" / name).exists()
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["set", "set/b"]
    with (
        pytest.raises(WriteError, match="not empty, another run was faster"),
        replacing_folder(tmp_path / "set") as folder,
    ):
        (folder / "c").touch()


def write_torch(file: Path, size: int) -> None:
    with open(file, "wb") as stream:
        torch.save(torch.zeros(size, dtype=torch.uint8), stream)


def write_array(file: Path, size: int) -> None:
    with open(file, "wb") as stream:
        np.save(stream, np.zeros(size, np.uint8))


def write_image(file: Path, size: int) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (size >> 10, 1 << 10), np.uint8)).save(file, "PNG")


# Libraries that say what the disk said, that hide it behind their own error, or that say nothing but a number of bytes.
WRITERS = {
    "bytes": lambda file, size: file.write_bytes(bytes(size)),
    "array": write_array,
    "torch": write_torch,
    "image": write_image,
    "volume": lambda file, size: nib.Nifti1Image(np.zeros((size >> 10, 1 << 10, 1), np.uint8), np.eye(4)).to_filename(
        file
    ),
}


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A disk of 1 MiB; only root can have one."""
    disk = tmp_path_factory.mktemp("disk")
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("no right to mount")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_with_what_is_needed_and_leaves_the_old_file_alone(name: str, small_disk: Path) -> None:
    file = small_disk / "file.nii"
    write_whole(file, "old")
    message = r"^Cannot write .*file\.nii: the disk is full, more than \S+ [KM]iB are needed and \S+ [KM]iB free"
    with pytest.raises(WriteError, match=message), replacing(file) as temporary:
        WRITERS[name](temporary, 3 << 20)
    assert {path.name: path.read_text() for path in small_disk.iterdir()} == {"file.nii": "old"}
    with pytest.raises(WriteError, match=r"full, 3\.00 MiB are needed and \S+ [KM]iB free"):
        write_whole(file, bytes(3 << 20))
    with pytest.raises(WriteError, match=r"set: the disk is full"), replacing_folder(small_disk / "set") as folder:
        WRITERS[name](folder / "file.nii", 3 << 20)
    assert [path.name for path in small_disk.iterdir()] == ["file.nii"]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (errno.EROFS, "Read-only file system. Name a writable folder."),
        (errno.EACCES, "Permission denied. Name a writable"),
        (errno.EEXIST, "File exists, a file lies where a folder must be. Name a writable"),
    ],
)
def test_what_the_disk_refuses_is_said(error: int, message: str, tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=rf"^Cannot write {tmp_path}/a: {message}"), replacing(tmp_path / "a"):
        raise OSError(error, "", str(tmp_path / "a"))


def test_other_errors_are_left_as_they_are(tmp_path: Path) -> None:
    for error in (PermissionError(errno.EACCES, "", "/elsewhere/image.png"), KeyError("a"), ValueError("b")):
        with pytest.raises(type(error)), replacing(tmp_path / "a"):
            raise error
