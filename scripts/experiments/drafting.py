"""Drafts: the study that suits a folder, and what it could do without."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any

from scripts.data.contract import Dataset
from scripts.experiments.arms import parse_arm
from scripts.experiments.downstream import TASKS
from scripts.experiments.outline import Outline
from scripts.experiments.study import Study, find_systems
from scripts.nearest_name import OptionError, suggest

CHEAP = ("classical", "oversampling", "copy_paste", "class_weights", "smote")  # what every GAN has to beat
WAYS = ("real+{}", "real+{}+classical", "synthetic:{}", "real+{}+pretraining")
CORE = WAYS[:2]
CAP = 40  # epochs of a downstream training at the most
PATIENCE = 8  # of the cap's parts, one without a better validation score is a plateau
LEAST_PATIENCE = 4  # epochs without one, however short the cap is


@dataclass(frozen=True)
class Wishes:
    """What the user asked for; empty where the draft decides."""

    systems: Sequence[str] = ()
    tasks: Sequence[str] = ()
    arms: Sequence[str] = ()


Choice = dict[str, list[str]]  # arms by task


def applicable_tasks(outline: Outline) -> list[str]:
    """Tasks that the data can be used for, the main one first."""
    if not outline.masks:
        return ["detection"]
    return ["segmentation", "detection", *(["grading"] if len(outline.classes) > 1 else [])]


def list_choices(outline: Outline, wishes: Wishes, tasks: Sequence[str], systems: Sequence[str]) -> list[Choice]:
    """What could be compared, the richest choice first, each with less than the one before.

    Args:
        outline: of the data.
        wishes: kept in all of them.
        tasks: in order of worth.
        systems: likewise.
    """
    fewer_tasks = [tasks] if wishes.tasks else [tasks, tasks[:1]]
    fewer_systems = [systems] if wishes.systems else [systems[:count] for count in range(len(systems), 0, -1)]
    found = [
        {task: list(wishes.arms) or _arms(task, outline, chosen, ways) for task in kept}
        for kept in fewer_tasks
        for chosen in fewer_systems
        for ways in (WAYS, CORE)
    ]
    return [choice for number, choice in enumerate(found) if choice not in found[:number]]


def useful_systems(outline: Outline, wishes: Wishes, tasks: Sequence[str]) -> list[str]:
    """The systems that make items for some of the tasks.

    Raises:
        OptionError: one that was asked for does not exist, or makes none for them.
    """
    known = find_systems()
    able = [name for name, system in known.items() if set(tasks) & set(system.TASKS) and _sources(name, outline)]
    for name in wishes.systems:
        if name not in known:
            raise OptionError(f"--systems: no system {name}{suggest(name, known)}")
        if name not in able:
            raise OptionError(f"--systems: {name} makes nothing for {', '.join(tasks)}. Here do: {', '.join(able)}")
    return list(wishes.systems) or able


def check_tasks(outline: Outline, wishes: Wishes, dataset: Dataset) -> None:
    """Raises OptionError for a task that does not exist, or that the data has nothing for."""
    for task in wishes.tasks:
        if task not in TASKS:
            raise OptionError(f"--tasks: no task {task}{suggest(task, TASKS)}")
        if task not in applicable_tasks(outline):
            lacks = "label maps" if not outline.masks else "two classes with training patients"
            raise OptionError(f"--tasks: {task} needs {lacks}, which {dataset.root} has not. Name another task")


def draft_study(
    folder: str, dataset: Dataset, outline: Outline, choice: Choice, keys: Mapping[str, Any]
) -> dict[str, Any]:
    """The content of a `study.json`, with every key of it.

    Args:
        folder: of the data set, as it was typed.
        dataset: that is studied.
        outline: sizes and lengths.
        choice: what is compared.
        keys: further keys of the study, such as `seeds`.
    """
    systems = list(dict.fromkeys(source for task, arms in choice.items() for source in _systems_of(task, arms)))
    drafted = {
        "title": f"{dataset.name}: does GAN augmentation help?",
        "dataset_dir": folder,
        "image_size_pixels": outline.image_size,
        "patience_epochs": max(LEAST_PATIENCE, outline.epochs(CAP) // PATIENCE),
        "tasks": {task: {"arms": arms, **_section(task, outline)} for task, arms in choice.items()},
        "segmenters": _segmenters(outline, systems),
        "systems": {name: find_systems()[name].draft(outline)[1] for name in systems},
    }
    defaults = {
        each.name: each.default if each.default_factory is MISSING else each.default_factory()
        for each in fields(Study)
        if each.name != "phantom" and (each.default, each.default_factory) != (MISSING, MISSING)
    }
    content = {**defaults, **drafted, **keys}
    return {each.name: content[each.name] for each in fields(Study) if each.name in content}


def _systems_of(task: str, arms: Sequence[str]) -> list[str]:
    able = [name for name, system in find_systems().items() if task in system.TASKS]
    parsed = [parse_arm(arm, able, TASKS[task].modifiers) for arm in arms]
    return [arm.source.system for arm in parsed if arm.source is not None]


def _sources(system: str, outline: Outline) -> list[str]:
    """What it makes here: what serves other tasks than detection needs label maps, grading two classes."""
    module = find_systems()[system]
    if not set(module.TASKS).intersection(applicable_tasks(outline)) or (not outline.masks and len(module.TASKS) > 1):
        return []
    return module.draft(outline)[0] if hasattr(module, "draft") else []


def _arms(task: str, outline: Outline, systems: Sequence[str], ways: Sequence[str]) -> list[str]:
    """Real items, the cheap alternatives, and each system's items in every way that the task has."""
    modifiers = set(TASKS[task].modifiers) - ({"oversampling", "class_weights"} if not outline.several else set())
    arms = ["real", *(f"real+{name}" for name in CHEAP if name in modifiers)]
    mine = [name for name in systems if task in find_systems()[name].TASKS]
    for source in (source for name in mine for source in _sources(name, outline)):
        arms += [way.format(source) for way in ways if set(way.split("+")[2:]) <= modifiers]
    return [arm for arm in arms if task != "grading" or not arm.startswith("synthetic")]


def _section(task: str, outline: Outline) -> dict[str, Any]:
    if task == "segmentation":
        return {"network": "unet"}
    if task == "detection":
        return {"training": {**outline.training(CAP), **outline.narrow(width_multiplier=0.25, norm_momentum=0.1)}}
    rate = {"learning_rate": 0.001}
    return {
        "unet": {**outline.training(CAP // 4), **rate, **outline.narrow(unet_widths=[16, 32, 64, 128, 256])},
        "features": {"batch_size": 16},
        "training": outline.training(CAP),
    }


def _segmenters(outline: Outline, systems: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Of the segmentation task and of those that judge images."""
    if not outline.masks:
        return {}
    length = {**outline.training(CAP), "learning_rate": 0.0005}
    widths = outline.narrow(encoder_widths=[32, 64, 128, 256], decoder_widths=[128, 64, 32, 16, 16])
    found = {"unet": {**length, **widths}}
    if "pggan_ensemble" in systems:
        found["nnunet"] = {**length, "learning_rate": 0.02, **outline.narrow(filters=[16, 32, 64, 128, 128, 128])}
    if "lcgan" in systems:
        found["fcn8s"] = {**length, **outline.narrow(fcn_width=32, fcn_fc_width=512)}
    return found
