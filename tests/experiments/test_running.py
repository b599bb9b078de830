"""How a study is run: its progress, and that only one command runs it."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

from scripts.experiments.costs import OVERHEAD, Cost
from scripts.experiments.jobs import Job
from scripts.experiments.running import Progress, _only_one, is_done
from scripts.nearest_name import OptionError


def write_job(folder: Path, seconds: float | None = None) -> Job:
    """A job that has started and, after so many seconds, ended."""
    job = Job("train", folder, (folder / "model.pt",))
    folder.mkdir()
    job.log.touch()
    if seconds is not None:
        job.output.touch()
        job.benchmark.write_text(f"s\tmax_rss\n{seconds}\t1\n")
    return job


def test_weights_that_a_training_keeps_meanwhile_are_no_end_of_it(tmp_path: Path) -> None:
    job = write_job(tmp_path / "a")
    job.output.touch()
    assert not is_done(job)
    job.benchmark.write_text("s\n3\n")
    assert is_done(job)
    later = time.time() + 5
    os.utime(job.log, (later, later))  # it runs once more
    assert not is_done(job)


def test_the_time_left_drifts_as_what_has_ended_did(tmp_path: Path) -> None:
    jobs = [Job("train", tmp_path / name, (tmp_path / name / "model.pt",)) for name in "abcd"]
    progress = Progress(jobs, {"train": Cost(100.0 - OVERHEAD)}, cores=1)
    assert (progress.update(), progress.seconds_left()) == ([], 400.0)
    running = write_job(tmp_path / "a")
    assert progress.update() == []
    running.output.touch()
    running.benchmark.write_text("s\n150\n")
    assert progress.update() == [(jobs[0], 150.0)]
    assert progress.seconds_left() == pytest.approx(450.0)


def test_a_second_command_is_refused_while_the_first_is_at_work(tmp_path: Path) -> None:
    file = tmp_path / "study.lock"
    with _only_one(file) as lock:
        with pytest.raises(OptionError, match="is being written"), _only_one(file):
            pass  # it has just begun and not said who it is
        lock.write(f"{os.getpid()} 1")
        lock.flush()
        with pytest.raises(OptionError, match=rf"is being written by process {os.getpid()}"), _only_one(file):
            pass


def test_the_workflow_of_a_killed_command_is_ended_first(tmp_path: Path) -> None:
    file = tmp_path / "study.lock"
    with _only_one(file) as lock:
        left = subprocess.Popen(["sleep", "60"], start_new_session=True, pass_fds=[lock.fileno()])
        ended = subprocess.Popen(["true"])
        ended.wait()
        lock.write(f"{ended.pid} {left.pid}")
    with _only_one(file):
        assert left.wait(timeout=5) < 0
