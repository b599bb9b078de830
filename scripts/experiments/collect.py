"""Gathers what a study's jobs left behind into `results.json`: scores and verdicts, evidence, pictures, and the run."""

from __future__ import annotations

import math
import os
import shlex
import shutil
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import fire

from scripts.data.contract import Item, read_dataset
from scripts.data.features import FeatureSet
from scripts.data.json_models import read_object
from scripts.data.memorised import KEY
from scripts.data.splits import select_items
from scripts.experiments import record
from scripts.experiments.cells import Cell
from scripts.experiments.compare import compare_arms, correct_over_all, score_arms, trace_froc
from scripts.experiments.downstream import TASKS
from scripts.experiments.jobs import closure
from scripts.experiments.pictures import draw_pictures
from scripts.experiments.planning import Evaluation, StudyPlan, plan_study
from scripts.experiments.study import Study, find_systems, open_study, read_study
from scripts.experiments.tasks import detection, grading, segmentation
from scripts.experiments.tasks.task import TaskScores
from scripts.experiments.verdict import Extent, give_verdict
from scripts.scores.course import FILE, Course
from scripts.scores.evidence import (
    Annotations,
    Choice,
    ClassCount,
    MemberCheck,
    Memorisation,
    Placement,
    Presence,
    Quality,
    Selection,
)
from scripts.scores.json_files import read_dataclass
from scripts.scores.results import ALL, Arm, Curve, DataSummary, Evidence, Results, Run, Score, Training, write_results

READERS: dict[str, ModuleType] = {"segmentation": segmentation, "detection": detection, "grading": grading}
KINDS: dict[str, Any] = {
    "quality": dict[str, Quality],
    "memorisation": Memorisation,
    "presence": Presence,
    "placement": Placement,
    "selection": Selection,
    "annotations": Annotations,
    "choice": Choice,
    "members": MemberCheck,
    "counts": dict[str, ClassCount],
}


def collect(*files: str, command: str = "") -> None:
    """Writes `results.json`, curves and pictures into the study's results folder.

    Args:
        files: of the study (JSON), later ones win.
        command: that was run, for the page.
    """
    study = open_study(read_study(files))
    plan = plan_study(study)
    again = f"python -m scripts study {shlex.quote(str(study.results / 'study.json'))}"
    again, command = _without_private_paths(again), _without_private_paths(command or again)
    extent = Extent(again, study.seeds, study.folds, _all_folds(study))
    tasks, arms, scores, differences, verdicts, froc = [], [], [], [], [], []
    for name in study.tasks:
        mine = _describe_arms(study, plan, name)
        found = {fraction: _read(plan, name, fraction) for fraction in study.fractions}
        task, tested = found[study.fractions[-1]].task, compare_arms(found, mine)
        tasks.append(task)
        arms += mine
        own = score_arms(found, mine)
        scores += own
        differences += tested
        primary = [s.estimate.value for s in own if (s.metric, s.label, s.group) == (task.primary.name, ALL, ALL)]
        best = max((value for value in primary if not math.isnan(value)), default=math.inf)
        verdicts.append(give_verdict(task, tested, mine, extent, best=best))
        froc += trace_froc(found)
    results = Results(
        title=study.title,
        dataset=_describe_data(study),
        image_size=study.image_size_pixels,
        baseline=study.baseline,
        folds=study.folds,
        seeds=study.seeds,
        fractions=study.fractions,
        tasks=tasks,
        arms=arms,
        scores=scores,
        differences=correct_over_all(differences),
        verdicts=verdicts,
        run=Run(command, record.commit(), record.hardware(), record.versions(), _seconds(study, plan)),
        published=study.published_figures(),
        evidence=_read_evidence(plan, froc),
        pictures=draw_pictures(study, plan, _choose_cases(study, arms, scores), {arm.name: arm.title for arm in arms}),
        curves=_copy_curves(study, plan),
        trainings=read_trainings(plan.evaluations),
    )
    write_results(study.results, results)


def _without_private_paths(command: str) -> str:
    """A command with paths from the current folder, and of others the name alone."""
    words = []
    for word in shlex.split(command):
        inside = Path(word).is_absolute() and Path(word).is_relative_to(Path.cwd())
        words.append(os.path.relpath(word) if inside else Path(word).name if Path(word).is_absolute() else word)
    return shlex.join(words)


def _choose_cases(study: Study, arms: Sequence[Arm], scores: Sequence[Score]) -> dict[str, dict[str, float]]:
    """Dice by patient of the segmentation's baseline and of its best GAN arm."""
    whole = [s for s in scores if (s.metric, s.label, s.group) == ("dice", ALL, ALL)]
    dice = {score.arm: score for score in whole if score.fraction == study.fractions[-1]}
    gan = [arm.name for arm in arms if arm.kind == "gan" and arm.name in dice]
    chosen = [study.baseline, *sorted(gan, key=lambda name: dice[name].estimate.value)[-1:]]
    return {name: dice[name].patients for name in chosen if name in dice}


def _read(plan: StudyPlan, task: str, fraction: float) -> TaskScores:
    runs: dict[str, dict[int, list[Path]]] = {}
    for each in plan.evaluations:
        if each.task == task and each.cell.fraction == fraction:
            assert each.cell.seed is not None
            runs.setdefault(each.arm.name, {}).setdefault(each.cell.seed, []).append(each.folder)
    scores: TaskScores = READERS[task].read_arms(runs)
    return scores


def _describe_arms(study: Study, plan: StudyPlan, task: str) -> list[Arm]:
    """The arms of a task as the page shows them, with what their trainings cost."""
    described = []
    for arm in study.arms(task):
        mine = [each for each in plan.evaluations if (each.task, each.arm) == (task, arm)]
        source, system = arm.source, None if arm.source is None else find_systems()[arm.source.system]
        kind = "baseline" if arm.name == study.baseline else "gan" if source else "alternative"
        modifiers = [TASKS[task].modifiers[modifier][0] for modifier in arm.modifiers]
        parts = [*(["Real"] if arm.real else []), *([system.describe(source)] if system else [])]
        title = ", ".join([" + ".join(parts) if arm.real else f"{parts[0]} alone", *modifiers])
        family = system.family(source) if system else ""
        at_last = [each for each in mine if each.cell.fraction == study.fractions[-1]]
        described.append(
            Arm(
                name=arm.name,
                title="Real only" if title == "Real" else title,
                kind=kind,
                task=task,
                source=source.system if source else "",
                family=", ".join([family, *([] if arm.real else ["alone"]), *modifiers]) if family else "",
                amount=source.amount if source else math.nan,
                synthetic=_count_synthetic(mine[0]),
                hours=sum(_arm_seconds(plan, each) for each in mine) / 3600 / len(mine),
                unit=family.removeprefix(f"{system.TITLE}, ") if system else "",
                copies=_read_verdict(at_last[0]),
            )
        )
    return described


def _count_synthetic(each: Evaluation) -> dict[str, int]:
    """Items of an arm's synthetic set by class; of features, those that it takes."""
    if each.made is None:
        return {}
    folder = each.made.output.parent
    if each.task == "grading":
        assert each.arm.source is not None
        return {"": min(int(each.arm.source.amount), len(FeatureSet(folder)))}
    return dict(Counter(item["class"] or "" for item in read_dataset(folder).items))


def _read_verdict(each: Evaluation) -> str:
    """That of the memorisation audit of the arm's own set, "" where nobody has audited it."""
    described = {} if each.made is None else read_object(each.made.output, "Run the study to its end.")
    return (described.get(KEY) or {}).get("verdict", "")


def _arm_seconds(plan: StudyPlan, each: Evaluation) -> float:
    return sum(record.job_seconds(job) for job in closure(each.trained, plan.jobs))


def _seconds(study: Study, plan: StudyPlan) -> dict[str, float]:
    """Seconds of training by what was trained, over fractions, folds and seeds."""
    seconds: dict[str, float] = defaultdict(float)
    for job in plan.jobs:
        place = (
            job.folder.relative_to(study.jobs).parts if job.folder.is_relative_to(study.jobs) else (job.folder.name,)
        )
        name = "/".join(part for part in place if not part.startswith(("fold", "fraction_")))
        seconds[name] += record.job_seconds(job)
    return {name: spent for name, spent in seconds.items() if spent}


def _describe_data(study: Study) -> DataSummary:
    dataset, first = study.dataset, study.folds[0]
    training = {fraction: _training_items(study, Cell(study, first, fraction)) for fraction in study.fractions}
    whole = training[max(training)]
    return DataSummary(
        name=dataset.name,
        folder=dataset.root.name,
        patients=len({item["patient"] for item in dataset.items}),
        slices=sum(record.count_slices(item) for item in dataset.items),
        classes={name: _count([item for item in whole if item["class"] == name]) for name in dataset.classes},
        training={fraction: _count(items) for fraction, items in training.items()},
    )


def _training_items(study: Study, cell: Cell) -> list[Item]:
    patients = cell.training_patients()
    items = select_items(study.dataset, "training", cell.fold, boxed=True)
    return [item for item in items if item["patient"] in patients]


def _count(items: Sequence[Item]) -> dict[str, int]:
    slices = sum(record.count_slices(item) for item in items)
    return {"patients": len({item["patient"] for item in items}), "slices": slices}


def _all_folds(study: Study) -> list[int]:
    return sorted({item["fold"] for item in study.dataset.items if item.get("fold") is not None})


def _read_evidence(plan: StudyPlan, froc: list[Any]) -> Evidence:
    found: dict[str, Any] = {kind: {} for kind in KINDS}
    for shown in plan.shown.values():
        for kind, title, file in shown.evidence:
            if file.exists():
                content = read_dataclass(file, KINDS[kind])
                if kind == "quality":  # names its system, or each of several candidates
                    several = len(content) > 1
                    content = {f"{title}, {name}" if several else title: each for name, each in content.items()}
                    found[kind] |= content
                else:
                    found[kind][title] = content
    return Evidence(froc=froc, **found)


def read_trainings(evaluations: Sequence[Evaluation]) -> list[Training]:
    """How every arm's training went; those of a version that did not write it down are left out."""
    files = [(each, each.trained.folder / "run" / FILE) for each in evaluations]
    courses = [(each, read_dataclass(file, Course)) for each, file in files if file.exists()]

    # The passes that all arms with real items reached, in each task, fraction and fold.
    equal: dict[tuple[str, float, int | None], float] = {}
    for each, course in courses:
        place = (each.task, each.cell.fraction, each.cell.fold)
        if each.arm.real:
            equal[place] = min(equal.get(place, math.inf), course.real_passes)

    trainings = []
    for each, course in courses:
        passes = equal.get((each.task, each.cell.fraction, each.cell.fold), math.nan) if each.arm.real else math.nan
        assert each.cell.seed is not None
        trainings.append(
            Training(
                task=each.task,
                fraction=each.cell.fraction,
                arm=each.arm.name,
                fold=each.cell.fold,
                seed=each.cell.seed,
                metric=course.metric,
                epochs=len(course.epochs),
                best_epoch=course.best.epoch if course.best else 0,
                stopped=course.stopped,
                real_passes=course.real_passes,
                score=course.best.score if course.best else math.nan,
                equal_passes=passes,
                equal_score=course.best_within(passes) if each.arm.real else math.nan,
            )
        )
    return trainings


def _copy_curves(study: Study, plan: StudyPlan) -> list[Curve]:
    """Losses of the generators shown, and of every arm's first training."""
    folder = study.results / "curves"
    shutil.rmtree(folder, ignore_errors=True)
    sources = {title: file for shown in plan.shown.values() for title, file in shown.curves}
    for each in plan.evaluations:
        if (each.cell.fraction, each.cell.fold, each.cell.seed) == (
            study.fractions[-1],
            study.folds[0],
            study.seeds[0],
        ):
            sources[f"{each.task}: {each.arm.name}"] = each.trained.folder / "run" / "curves.csv"
    return [
        Curve(f"curves/{record.copy_curve(file, folder, number)}", title)
        for number, (title, file) in enumerate(sources.items())
        if file.exists()
    ]


if __name__ == "__main__":
    fire.Fire(collect)
