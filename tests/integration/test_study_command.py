"""`python -m scripts study`: from a folder to the page, with its jobs run in forks of this process."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import scripts.experiments.command as command
from scripts.data.phantom import write_phantom
from scripts.experiments.collect import collect
from scripts.experiments.jobs import Job
from scripts.nearest_name import OptionError
from scripts.report.page import write_report
from scripts.scores.results import read_results

from .studies import EXPERIMENTS, UNET, run_forked

ROOT = EXPERIMENTS.parents[1]


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files of the studies that were run, whose workflow is a loop here."""
    files: list[Path] = []

    def run(file: Path, jobs: Sequence[Job], *, command: str, targets: Sequence[Path] = (), **_: Any) -> None:
        files.append(file)
        waiting = list(jobs)
        while waiting:
            job = next(job for job in waiting if all(file.exists() for file in job.reads))
            began = time.time()
            run_forked(job)
            job.benchmark.write_text(f"s\tmax_rss\n{time.time() - began}\t100\n")
            waiting.remove(job)
        if not targets:
            collect(str(file), command=command)
            write_report(file.parent)

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setattr(command, "run_workflow", run)
    return files


@pytest.mark.slow
def test_a_folder_becomes_a_page(
    started: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "scripts")
    data = write_phantom(tmp_path / "phantom", patients=15, image_size=32, slices=4)
    monkeypatch.setattr(command, "SHARED", str(tmp_path / "cache"))
    monkeypatch.setattr("scripts.experiments.outline.EPOCH", 16)
    monkeypatch.setattr("scripts.experiments.outline.LEAST_EPOCH", 16)
    output = tmp_path / "study"
    asked = {"arms": "real,real+classical,real+redgan", "image_size_pixels": 32, "output": str(output), "hours": 0.5}
    command.study(str(data), **asked, cores=2, plan=True)
    assert [file.parent.name for file in started] == ["calibration"]
    assert "Planned" in caplog.text
    content = json.loads((output / "study.json").read_text())
    assert set(content["systems"]) == {"redgan"}
    assert json.loads((output / "draft.json").read_text())["costs"]["redgan_train"]["unit"] > 0

    with pytest.raises(OptionError, match="is there, of another command"):
        command.study(str(data), **{**asked, "hours": 3.0})

    content["segmenters"]["unet"] = UNET
    content["systems"]["redgan"]["generator"] |= {"max_epochs": 1}
    (output / "study.json").write_text(json.dumps({**content, "folds": [0]}))
    command.study(str(output / "study.json"), seeds="0,1")
    assert len(started) == 2
    results = read_results(output)
    assert results.seeds == [0, 1]
    assert results.run.command == "python -m scripts study study.json"
    told = caplog.text
    assert f"segmentation: {results.verdicts[0].sentence}" in told
    assert "test patients" in told


def test_an_edited_study_says_itself_what_is_compared() -> None:
    with pytest.raises(OptionError, match="--systems drafts the study of a folder"):
        command.study("x.json", systems="redgan")


def test_numbers_are_asked_for_with_commas() -> None:
    with pytest.raises(OptionError, match=r"--seeds is a,b, expected numbers with commas between them, such as 0,1"):
        command.study("x.json", seeds="a,b")
