"""Tests that a study's jobs run in workers as they would in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.experiments.jobs import LAUNCH, Job

ROOT = Path(__file__).parents[2]
WARM = [sys.executable, "-W", "ignore", "-m", "scripts.experiments.workers"]


def phantom(folder: Path, patients: str = "3") -> Job:
    """A command as a job."""
    written = folder / "data" / "dataset.json"
    options = {"folder": str(written.parent), "patients": patients, "image_size": 32, "slices": 1}
    return Job("phantom", folder / "data", (written,), options=options, arguments=("--seed=1",))


@pytest.mark.slow
@pytest.mark.parametrize("start", [[], WARM], ids=["process", "worker"])
def test_a_job_is_run_logged_and_measured(start: list[str], tmp_path: Path) -> None:
    job, bad = phantom(tmp_path), phantom(tmp_path / "bad", patients="none")
    line = f"{job.shell} && {bad.shell}"
    ended = subprocess.run([*start, "sh", "-c", line], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert job.output.exists()
    assert job.log.exists()
    seconds, mebibytes = map(float, job.benchmark.read_text(encoding="utf-8").splitlines()[1].split("\t"))
    assert 0 < seconds < 100
    assert 30 < mebibytes < 4000
    assert "patients is none" in ended.stderr  # the log's end
    assert not bad.benchmark.exists()


@pytest.mark.slow
def test_a_worker_ends_with_who_asked_for_it(tmp_path: Path) -> None:
    script = "import time; open({!r}, 'w').close(); time.sleep(3); open({!r}, 'w').close()"
    (tmp_path / "sleeper.py").write_text(script.format(str(tmp_path / "began"), str(tmp_path / "ended")), "utf-8")
    asks = " ".join([*LAUNCH, str(tmp_path / "log"), str(tmp_path / "benchmark"), "1", "sleeper"])
    waits = f"while [ ! -e {tmp_path}/began ]; do sleep .1; done"
    line = f"{asks} & {waits}; kill -9 $!; sleep 4"
    subprocess.run([*WARM, "sh", "-c", line], cwd=ROOT, env={"PYTHONPATH": str(tmp_path)}, check=True, timeout=100)
    assert (tmp_path / "began").exists()
    assert not (tmp_path / "ended").exists()
