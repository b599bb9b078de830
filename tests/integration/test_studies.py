"""The five published studies, each from its one file, from the phantom to a page of sections."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.utils import update_config

from scripts.data.contract import read_dataset
from scripts.experiments.collect import collect
from scripts.experiments.study import read_study
from scripts.report.page import write_report
from scripts.scores.results import Results, read_results

from .studies import EXPERIMENTS, SMALLER, run_jobs, shrink

ROOT = EXPERIMENTS.parents[1]
SECTIONS = {
    "redgan_lgg": ("memorisation", "quality", "selection", "classes", "cases", "pictures"),
    "lcgan_covid_ct": ("memorisation", "amounts", "labels", "selection", "published"),
    "pggan_ensemble_lgg": ("memorisation", "amounts", "selection", "annotations", "choice", "quality", "published"),
    "cpggan_lgg": ("froc", "presence", "memorisation", "cases", "published"),
    "feature_acgan_lgg": ("amounts", "counts", "memorisation", "published"),
}


@pytest.fixture(autouse=True)
def in_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def check_page(results: Results, folder: Path, sections: tuple[str, ...]) -> None:
    page = (folder / "report.html").read_text()
    assert results.title in page
    for section in ("verdict", "scores", "differences", "training", "curves", "run", "methods", *sections):
        assert f'id="{section}"' in page, section
    assert str(folder) not in page


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLER)
def test_a_published_study_ends_in_a_page_of_sections(name: str, tmp_path: Path) -> None:
    content = read_study([EXPERIMENTS / f"{name}.json"])
    update_config(content, shrink(name, tmp_path))
    (tmp_path / "study.json").write_text(json.dumps(content))
    run_jobs(content)
    collect(str(tmp_path / "study.json"))
    folder = tmp_path / "results"
    write_report(folder)
    results = read_results(folder)
    assert [arm.name for arm in results.arms] == content["tasks"][results.tasks[0].name]["arms"]
    if "patience_epochs" in content:
        assert {training.stopped for training in results.trainings} <= {"plateau", "cap"}
        assert all(math.isnan(t.equal_score) or t.equal_score <= t.score for t in results.trainings)
    check_page(results, folder, SECTIONS[name])


@pytest.mark.slow
def test_a_workflow_ends_in_the_page_and_has_nothing_left_to_do(tmp_path: Path) -> None:
    content = shrink("redgan_lgg", tmp_path)
    content["tasks"] = {"segmentation": {"network": "unet", "arms": ["real", "real+redgan"]}}
    content |= {"title": "Tiny", "seeds": [5], "fractions": [0.7]}
    file = tmp_path / "tiny.json"
    file.write_text(json.dumps(content))
    command = [sys.executable, "-m", "snakemake", "-s", "scripts/experiments/study.smk", "--configfile", str(file)]
    command += ["--cores", "2", "--nolock", "--config", "seeds=[0]"]
    for said in ("1 of 1", "Nothing to be done"):
        finished = subprocess.run(command, env={**os.environ}, capture_output=True, text=True, check=False)
        told = finished.stdout + finished.stderr
        assert finished.returncode == 0, told
        assert said.replace("1 of 1", "(100%) done") in told
    results = read_results(tmp_path / "results")
    assert results.seeds == [0]  # what --config changed is collected too
    assert results.run.command.startswith("snakemake -s scripts/experiments/study.smk --configfile tiny.json")
    view = read_dataset(tmp_path / "results" / "jobs" / "fraction_0.7" / "fold0" / "data")
    tested = {item["patient"] for item in view.splits["test"]}
    assert results.tasks[0].tested["patients"] == len(tested) > 3  # those who are left out of training among them
    assert results.verdicts[0].finding == "cannot tell"
    assert results.verdicts[0].sentence.startswith("Cannot tell: no network learned the task")
    check_page(results, tmp_path / "results", ("quality", "cases", "pictures"))
