"""Locks: held by one process at a time, named, and released by death."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.data import claims
from scripts.data.atomic import WriteError, held
from scripts.data.claims import ClaimError, claim

HOLD = "import sys, time; from pathlib import Path; from scripts.data.claims import claim; claim(Path(sys.argv[1]))"
STAY = "; print('claimed', flush=True); time.sleep(60)"


@pytest.fixture(autouse=True)
def unheld(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Claims of a test end with it."""
    monkeypatch.setattr(claims, "_locks", {})
    held.clear()
    yield
    for descriptor, _ in claims._locks.values():
        os.close(descriptor)
    held.clear()


def hold(place: Path, more: str = STAY) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD + more, str(place)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert "claimed" not in more or process.stdout.readline() == "claimed\n"
    return process


def test_the_second_process_is_told_who_writes_and_death_frees_the_place(tmp_path: Path) -> None:
    other = hold(tmp_path / "run")
    with pytest.raises(
        ClaimError, match=rf"run is being written by process {other.pid} of \S+ since 20\d\d-.*Wait for"
    ):
        claim(tmp_path / "run")
    claim(tmp_path / "run2")
    other.send_signal(signal.SIGKILL)
    other.communicate()
    claim(tmp_path / "run")


def test_a_fork_does_not_keep_the_place(tmp_path: Path) -> None:
    fork = "; import os; child = os.fork(); child and print('claimed', flush=True); child or time.sleep(9); os._exit(0)"
    parent = hold(tmp_path / "run", fork)
    assert parent.wait() == 0
    claim(tmp_path / "run")


def test_a_rank_that_outlives_its_training_keeps_the_place(tmp_path: Path) -> None:
    begin = HOLD.replace("claim(Path(sys.argv[1]))", "claim(Path(sys.argv[1]), int(sys.argv[2]), lambda: [1, 2])")
    ranks = []
    for rank in "01":
        command = [sys.executable, "-c", begin + STAY, str(tmp_path / "run"), rank]
        ranks.append(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
        assert ranks[-1].stdout.readline() == "claimed\n"
    for rank in ranks:
        with pytest.raises(ClaimError, match=r"run is being written by process 1, 2 of"):
            claim(tmp_path / "run")
        rank.kill()
        rank.communicate()
    claim(tmp_path / "run")


def test_a_process_that_ends_leaves_no_lock_and_none_inside_its_place(tmp_path: Path) -> None:
    assert hold(tmp_path / "run", f"; claim(Path({str(tmp_path / 'run' / 'model.pt')!r}))").wait() == 0
    assert os.listdir(tmp_path) == []


def test_of_the_dead_nothing_is_left_and_of_the_living_everything(tmp_path: Path) -> None:
    dead = subprocess.Popen(["true"])
    dead.wait()
    living = [f".tmp-{os.getppid()}-a.pt", "sub/a.pt", f"other/.tmp-{dead.pid}-b.png", ".tmp-notes", ".other.lock"]
    gone = [f".tmp-{dead.pid}-a.pt", f"sub/.tmp-{dead.pid}-b.png", f".tmp-{dead.pid}-set/images/c.png"]
    for name in (*living, *gone):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).touch()
    (tmp_path / f".tmp-{dead.pid}-run").mkdir()
    claim(tmp_path / "run")
    found = {str(file.relative_to(tmp_path / "run")) for file in (tmp_path / "run").rglob("*") if file.is_file()}
    assert found == set(living)
    assert sorted(os.listdir(tmp_path)) == [".run.lock", "run"]


def test_a_file_in_the_place_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=re.escape("a file lies where a folder must be")):
        claim(tmp_path / "file" / "run")


def test_a_removed_lock_is_made_anew(tmp_path: Path) -> None:
    other = hold(tmp_path / "run", "")  # ends, and removes its lock
    end = time.monotonic() + 30
    while other.poll() is None and time.monotonic() < end:
        try:
            claim(tmp_path / "run")
            break
        except ClaimError:
            continue
    other.wait()
    claim(tmp_path / "run")
    assert (tmp_path / ".run.lock").exists()
