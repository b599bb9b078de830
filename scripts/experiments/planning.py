"""A study as jobs: every arm in every cell, what judges the synthetic items, and the pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.experiments.arms import Arm
from scripts.experiments.cells import Cell, Plan, cells
from scripts.experiments.downstream import TASKS, train_arm
from scripts.experiments.jobs import Job
from scripts.experiments.shown import Shown
from scripts.experiments.study import Study, find_systems


@dataclass(frozen=True)
class Evaluation:
    """A trained arm of a task in a cell, scored in a folder; `made` is the job that writes its synthetic items."""

    task: str
    arm: Arm
    cell: Cell
    trained: Job
    scored: Job
    made: Job | None

    @property
    def folder(self) -> Path:
        return self.scored.folder


@dataclass
class StudyPlan:
    """All jobs of a study, what they score, and what the page shows besides.

    Attributes:
        jobs: each once.
        evaluations: of every task, fraction, arm, fold and seed.
        shown: by fraction and system, of the first fold and seed.
        detections: by arm, the folder of what a detector of the first fold and seed finds.
        targets: files that the page waits for.
    """

    jobs: list[Job] = field(default_factory=list)
    evaluations: list[Evaluation] = field(default_factory=list)
    shown: dict[tuple[float, str], Shown] = field(default_factory=dict)
    detections: dict[str, Path] = field(default_factory=dict)
    targets: list[Path] = field(default_factory=list)


def plan_study(study: Study) -> StudyPlan:
    """The jobs of a study, each once, whatever needs it."""
    plan, found = Plan(study), StudyPlan()
    for cell in cells(study):
        plan.subset(cell)
        for task in study.tasks:
            found.evaluations += [_plan_arm(plan, cell, task, arm) for arm in study.arms(task)]
    first = (study.folds[0], study.seeds[0])
    for cell in (each for each in cells(study) if (each.fold, each.seed) == first):
        for name, system in find_systems().items():
            sources = {arm.source: None for task in study.tasks for arm in study.arms(task) if arm.source}
            if mine := [source for source in sources if source.system == name]:
                found.shown[cell.fraction, name] = system.judge(plan, cell, mine)
    if "detection" in study.tasks:
        found.detections = _draw_detections(plan, study, found.evaluations)
    found.targets = [each.scored.output for each in found.evaluations]
    found.targets += [file for shown in found.shown.values() for file in shown.needs]
    found.targets += [folder / "boxes.json" for folder in found.detections.values()]
    found.targets += [job.output for job in _turing(plan, study, found.evaluations)]
    found.jobs = list(plan.jobs.values())
    return found


def _plan_arm(plan: Plan, cell: Cell, task: str, arm: Arm) -> Evaluation:
    made = None if arm.source is None else find_systems()[arm.source.system].make(plan, cell, arm.source)
    trained = train_arm(plan, cell, task, arm, made)
    folder = cell.study.results / "arms" / cell.part / task / arm.slug / cell.name
    return Evaluation(task, arm, cell, trained, TASKS[task].evaluate(plan, cell, arm, trained, folder), made)


def _draw_detections(plan: Plan, study: Study, evaluations: list[Evaluation]) -> dict[str, Path]:
    """What the detectors of the baseline and the first GAN arm find in the first cell's test images."""
    mine = [each for each in evaluations if each.task == "detection" and each.cell == next(cells(study))]
    gan = [each for each in mine if each.arm.source][:1]
    folders = {}
    for each in [*(each for each in mine if each.arm.name == study.baseline), *gan]:
        folder = study.results / "detections" / each.arm.slug
        rule = {key: value for key, value in study.boxes.items() if key == "minimum_lesion_pixels"}
        options: Mapping[str, Any] = {**each.cell.data, **rule, "split": "test", "model_file": each.trained.output}
        options = {**options, **study.tasks["detection"].get("shown", {})}
        reads = (each.trained.output,)
        plan.bundle(each.cell, "cpggan_detector_inference", folder, "boxes.json", options, reads=reads)
        folders[each.arm.name] = folder
    return folders


def _turing(plan: Plan, study: Study, evaluations: list[Evaluation]) -> list[Job]:
    """The page on which readers tell real from synthetic images of the first arm that has any."""
    able = [each for each in evaluations if each.made and each.task != "grading"]
    made = max(able, key=lambda each: each.cell.fraction, default=None)
    if study.turing is None or made is None or made.made is None:
        return []
    page = study.results / "turing.html"
    options = {"fold": made.cell.data["fold"], **study.turing, "output": page}
    arguments = ("make", made.cell.dataset_dir, str(made.made.output.parent))
    return [
        plan.add(Job("turing", study.results / "turing", (page,), (made.made.output,), options, arguments=arguments))
    ]
