"""`study`: which of these helps on my data? Drafts the study of a folder that fits into the hours, and runs it."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from scripts.data.contract import DatasetError, read_dataset, write_json
from scripts.data.doctor import doctor
from scripts.data.splits import select_items
from scripts.experiments.cells import Cell
from scripts.experiments.costs import Cost, estimate, kind, measure, representatives
from scripts.experiments.drafting import (
    Choice,
    Wishes,
    applicable_tasks,
    check_tasks,
    draft_study,
    list_choices,
    useful_systems,
)
from scripts.experiments.fitting import Budget, fit_study, tell_power
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline, outline_dataset
from scripts.experiments.planning import plan_study
from scripts.experiments.running import run_workflow
from scripts.experiments.study import Study, open_study, read_study
from scripts.nearest_name import OptionError
from scripts.scores.results import Results, read_results

logger = logging.getLogger(__name__)

CALIBRATION = 0.02  # scale of its trainings
LONG = 8.0  # hours from which on further tasks are compared unasked
SHARED = "cache"


def study(
    source: str,
    *,
    systems: str = "",
    tasks: str = "",
    arms: str = "",
    folds: str = "",
    seeds: str = "",
    fractions: str = "",
    hours: float = 4.0,
    image_size_pixels: int | None = None,
    output: str = "",
    plan: bool = False,
    cores: int | None = None,
    executor: str = "local",
) -> Results | None:
    """Compares real data, the cheap alternatives and GAN-made items on a data set, and writes a page with the answer.

    The same command goes on where it was stopped. Lists are written with commas, such as --seeds 0,1,2.

    Args:
        source: the folder of dataset.json, for which a study is drafted that fits into the hours; or a study.json.
        systems: which systems make synthetic items; by default all that suit the data, as far as there is time.
        tasks: segmentation, detection or grading; by default what the data is made for, from eight hours on all.
        arms: what is compared in each task, see docs/study.md; by default chosen by the systems.
        folds: which folds of the cross-validation; by default as many as there is time for.
        seeds: which seeds of trainings; by default 0,1,2 or as many as there is time for.
        fractions: which shares of the training patients, for learning curves; by default 1.
        hours: how long it may take on this machine.
        image_size_pixels: the side of what networks see; by default 64, with a GPU 128.
        output: the folder of the study; by default results/ and the source's name.
        plan: whether to stop when study.json is written.
        cores: how many CPU cores jobs share; by default all, with GPUs one job for each.
        executor: Snakemake's, with its options: `slurm` runs the jobs on a cluster, `cores` of them at a time.

    Returns:
        What results.json holds and the page says; None where it stopped at the plan.

    Raises:
        OptionError: an unknown option, arm or value, or another study in the folder.
        DatasetError: the doctor finds errors in the data set.
        WorkflowError: a job failed.
    """
    if importlib.util.find_spec("snakemake") is None:
        raise OptionError("a study needs the package snakemake. Run pip install 'lesion-gan-augmentation[study]'")
    cores = cores or torch.cuda.device_count() or os.cpu_count() or 1
    lists = {"folds": folds, "seeds": seeds, "fractions": fractions}
    keys: dict[str, Any] = {name: _read_list(name, text) for name, text in lists.items() if text}
    if image_size_pixels is not None:
        keys["image_size_pixels"] = image_size_pixels
    if source.endswith(".json"):
        if given := [name for name, value in {"systems": systems, "tasks": tasks, "arms": arms}.items() if value]:
            raise OptionError(f"--{given[0]} drafts the study of a folder. Edit {given[0]} in {source}")
        return _run(Path(source), keys, output, plan=plan, cores=cores, executor=executor)
    folder = Path(output or f"results/{Path(source).resolve().name}")
    wishes = Wishes(_split(systems), _split(tasks), _split(arms))
    asked = {"source": source, "hours": hours, **asdict(wishes), **keys}
    file = folder / "study.json"
    if file.exists() and _read_draft(folder).get("asked") != json.loads(json.dumps(asked)):
        raise OptionError(
            f"{file} is there, of another command. Go on with it by python -m scripts study {file}, or name another "
            "--output"
        )
    if not file.exists():
        _draft(source, folder, wishes, keys, asked, hours=hours, cores=cores)
    return _run(file, {}, "", plan=plan, cores=cores, executor=executor)


def _draft(
    source: str, folder: Path, wishes: Wishes, keys: dict[str, Any], asked: dict[str, Any], *, hours: float, cores: int
) -> None:
    """Calibrates, fits, and writes study.json with draft.json: what was asked, and what jobs cost."""
    began = time.time()
    dataset, large = read_dataset(source), torch.cuda.is_available()
    size = keys.pop("image_size_pixels", 128 if large else 64)
    if errors := doctor(source, image_size=size).errors:
        raise DatasetError(
            f"{source} has {len(errors)} errors, such as: {errors[0].check}, {errors[0].example}. Mend them"
        )
    all_folds = sorted({item["fold"] for item in dataset.items if item.get("fold") is not None}) or [None]
    outline = outline_dataset(dataset, keys.get("folds", all_folds)[0], size, large=large)
    check_tasks(outline, wishes, dataset)
    able = list(wishes.tasks) or applicable_tasks(outline)
    chosen = able if wishes.tasks or hours >= LONG else able[:1]
    systems = useful_systems(outline, wishes, chosen)

    def draft(choice: Choice, outline: Outline, folds: Sequence[Any], seeds: Sequence[int]) -> dict[str, Any]:
        own = {"results_dir": str(folder), "folds": list(folds), "seeds": list(seeds), "cache_dir": SHARED, **keys}
        return draft_study(source, dataset, outline, choice, own)

    # Time every kind of job at its shortest, and keep the systems that cost least longest.
    richest = list_choices(outline, wishes, chosen, systems)[0]
    costs = _calibrate(
        draft(richest, replace(outline, scale=CALIBRATION), all_folds[:1], [0]), folder / "calibration", cores
    )
    budget = Budget(3600 * hours - (time.time() - began), cores, costs)

    def spent_alone(system: str) -> float:
        choice = list_choices(outline, wishes, chosen, [system])[0]
        return budget.spent(plan_study(open_study(draft(choice, outline, all_folds[:1], [0]))).jobs)

    choices = list_choices(outline, wishes, chosen, sorted(systems, key=spent_alone))
    repeats = [
        (keys.get("folds", all_folds[:folds]), keys.get("seeds", list(range(seeds))))
        for folds, seeds in ((None, 5), (None, 3), (2, 3), (1, 3))  # two seeds say little of chance
    ]
    content = fit_study(draft, outline, choices, repeats, budget)
    shutil.rmtree(folder / "calibration")
    write_json(folder / "draft.json", {"asked": asked, "costs": {name: asdict(cost) for name, cost in costs.items()}})
    write_json(folder / "study.json", content)
    left_out = [name for name in systems if name not in content["systems"]]
    left_out += [task for task in applicable_tasks(outline) if task not in content["tasks"]]
    if left_out and not wishes.arms:
        logger.info(
            f"Left out for want of time: {', '.join(left_out)}. --systems, --tasks or more --hours bring them in."
        )


def _calibrate(content: dict[str, Any], folder: Path, cores: int) -> dict[str, Cost]:
    jobs = representatives(plan_study(open_study({**content, "results_dir": str(folder)})).jobs)
    logger.info(f"Calibration: {len(jobs)} jobs at their shortest")
    write_json(folder / "study.json", {**content, "results_dir": str(folder)})
    run_workflow(folder / "study.json", jobs, command="", costs={}, cores=cores, targets=[job.output for job in jobs])
    return measure(jobs)


def _run(file: Path, keys: dict[str, Any], output: str, *, plan: bool, cores: int, executor: str) -> Results | None:
    """Runs the study of a file with some keys changed, and says what the page says."""
    content = {**read_study([file]), **keys}
    if output:
        content["results_dir"] = output
    checked = open_study(content)
    folder, jobs = checked.results, plan_study(checked).jobs
    known = _read_draft(folder).get("costs", {})
    costs = {name: Cost(**cost) for name, cost in known.items()}
    _print_plan(checked, jobs, costs, cores)
    own = folder / "study.json"
    write_json(own, content)
    if plan:
        logger.info(f"Planned: {own}. Run it by python -m scripts study {own}")
        return None
    command = f"python -m scripts study {shlex.quote(str(own))}"
    run_workflow(own, jobs, command=command, costs=costs, cores=cores, executor=executor)
    results = read_results(folder)
    for verdict in results.verdicts:
        logger.info(f"{verdict.task}: {verdict.sentence}")
    logger.info(f"Page: {folder / 'report.html'}")
    return results


def _print_plan(checked: Study, jobs: Sequence[Job], costs: dict[str, Cost], cores: int) -> None:
    for task in checked.tasks:
        logger.info(f"{task}: {', '.join(arm.name for arm in checked.arms(task))}")
    logger.info(f"folds {checked.folds}, seeds {checked.seeds}, fractions {checked.fractions}: {len(jobs)} jobs")
    if costs:
        seconds = estimate(jobs, costs)
        total, names = Budget(0.0, cores, costs).spent(jobs), dict.fromkeys(map(kind, jobs))
        for name in sorted(names, key=lambda name: -sum(seconds[job.output] for job in jobs if kind(job) == name)):
            mine = [seconds[job.output] for job in jobs if kind(job) == name]
            logger.info(f"  {len(mine):4d} x {sum(mine) / len(mine):6.0f} s  {name}")
        disk = sum(costs[kind(job)].disk for job in jobs if kind(job) in costs)
        memory = max(cost.memory for cost in costs.values())
        logger.info(
            f"about {total / 3600:.2f} h on {cores} cores, {disk:.0f} MiB of disk, {memory:.0f} MiB of memory a job"
        )
    logger.info(tell_power(checked, _count_test_patients(checked)))


def _count_test_patients(checked: Study) -> int:
    """Of the largest fraction, which leaves the fewest out of training to be tested on."""
    found: set[str] = set()
    for fold in checked.folds:
        try:
            found |= {item["patient"] for item in select_items(checked.dataset, "test", fold, boxed=True)}
        except DatasetError:
            continue  # no test items, which the doctor has told
        if checked.test_left_out:
            trained = {item["patient"] for item in select_items(checked.dataset, "training", fold, boxed=True)}
            found |= trained - Cell(checked, fold, max(checked.fractions)).training_patients()
    return len(found)


def _read_list(name: str, text: str) -> list[Any]:
    try:
        return list(json.loads(f"[{text}]"))
    except json.JSONDecodeError:
        raise OptionError(f"--{name} is {text}, expected numbers with commas between them, such as 0,1") from None


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _read_draft(folder: Path) -> dict[str, Any]:
    file = folder / "draft.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    return content
