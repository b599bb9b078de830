"""A study: one data set, tasks, arms, folds, seeds and fractions of the patients, as one JSON file says."""

from __future__ import annotations

import importlib
import json
import pkgutil
import pydoc
import sys
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

import scripts.experiments.systems
from scripts.command_options import describe_type
from scripts.config_files import check_value, own_configs
from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.data.json_models import read_object
from scripts.data.phantom import write_phantom
from scripts.experiments.arms import Arm, parse_arm
from scripts.experiments.downstream import NETWORKS, TASKS
from scripts.nearest_name import OptionError, suggest
from scripts.scores.results import PublishedFigure
from scripts.untrusted import find_faulty_text

PHANTOM = "scripts.data.phantom.write_phantom"
TURING = "scripts.report.turing.Turing.make"


@dataclass(frozen=True)
class Study:
    """The keys of a `study.json`.

    Attributes:
        title: of the page.
        results_dir: folder of everything that the study writes.
        dataset_dir: the data set; `phantom`, arguments of `python -m scripts phantom` with its `folder`, stands for it.
        image_size_pixels: side of what networks see.
        tasks: by name (segmentation, detection, grading): `arms`, `training` (options of the downstream training), and
            what the task's table in `downstream.py` says.
        systems: by name: what the system's file in `systems/` says in its KEYS.
        segmenters: options of the segmenters by network (unet, fcn8s, nnunet), those that judge images among them.
        slices: rule of the slices that are trained on, such as `minimum_lesion_pixels`.
        boxes: how lesions become boxes.
        folds: of the cross-validation; null is the data set's own split.
        seeds: of trainings; two or more show how much chance there is in one.
        fractions: of the training patients, in (0, 1].
        test_left_out: whether the patients whom a fraction leaves out of training are tested on too.
        patience_epochs: of every downstream training, of judges too: where its validation score has not risen for so
            long, first the learning rate is divided by ten, then it ends; `max_epochs` is the cap. null: trains until
            `max_epochs`, by its own schedule.
        synthetic_ratio: synthetic slices drawn per real one, where an arm says no amount; "all" draws all slices alike.
        generators_per_seed: whether generators are trained anew for each seed; else once per fold.
        baseline: arm that the others are compared with.
        jobs_dir: folder of trainings, shared by studies that name the same one; `<results_dir>/jobs` by default.
        cache_dir: of prepared slices.
        threads: of each training.
        shown_channel: of the images in pictures of cases, from 0.
        published: the paper's figures, see `PublishedFigure`.
        turing: options of `python -m scripts turing make`; no such page where it is left out.
    """

    title: str
    results_dir: str
    image_size_pixels: int
    tasks: dict[str, dict[str, Any]]
    systems: dict[str, dict[str, Any]] = field(default_factory=dict)
    segmenters: dict[str, dict[str, Any]] = field(default_factory=dict)
    dataset_dir: str = ""
    phantom: dict[str, Any] = field(default_factory=dict)
    slices: dict[str, Any] = field(default_factory=dict)
    boxes: dict[str, Any] = field(default_factory=dict)
    folds: list[int | None] = field(default_factory=lambda: [0])
    seeds: list[int] = field(default_factory=lambda: [0])
    fractions: list[float] = field(default_factory=lambda: [1.0])
    test_left_out: bool = True
    patience_epochs: int | None = None
    synthetic_ratio: float | str = 1.0
    generators_per_seed: bool = False
    baseline: str = "real"
    jobs_dir: str = ""
    cache_dir: str = "cache"
    threads: int = 1
    shown_channel: int = 0
    published: list[dict[str, Any]] = field(default_factory=list)
    turing: dict[str, Any] | None = None

    @property
    def data(self) -> str:
        """Folder of the data set, the phantom's where that stands for it."""
        return self.dataset_dir or str(self.phantom["folder"])

    @cached_property
    def dataset(self) -> Dataset:
        """The data set, read once."""
        return read_dataset(self.data)

    @property
    def results(self) -> Path:
        return Path(self.results_dir)

    @property
    def jobs(self) -> Path:
        return Path(self.jobs_dir or f"{self.results_dir}/jobs")

    def arms(self, task: str) -> list[Arm]:
        """The arms of a task, in the file's order."""
        able = [name for name, system in find_systems().items() if task in system.TASKS]
        return [parse_arm(name, able, TASKS[task].modifiers) for name in self.tasks[task]["arms"]]

    def published_figures(self) -> list[PublishedFigure]:
        return [PublishedFigure(**row) for row in self.published]


@cache
def find_systems() -> dict[str, ModuleType]:
    """The modules of `systems/` by name; a new file there is a new system."""
    package = scripts.experiments.systems
    names = sorted(module.name for module in pkgutil.iter_modules(package.__path__))
    return {name: importlib.import_module(f"{package.__name__}.{name}") for name in names}


def open_study(content: Mapping[str, Any]) -> Study:
    """The checked study of a file's content; the phantom that stands for a missing data set is written.

    Raises:
        OptionError: a key that is unknown or missing, a value of the wrong type, an arm that does not exist, a data set
            that cannot be read or lacks a fold.
    """
    if fault := find_faulty_text(content):
        raise OptionError(fault)
    _check_names("", content, [each.name for each in fields(Study)])
    missing = [each.name for each in fields(Study) if _is_required(each) and each.name not in content]
    missing += ["dataset_dir"] * (not {"dataset_dir", "phantom"}.intersection(content))
    if missing:
        raise OptionError(f"no {', '.join(missing)}. Add {'it' if len(missing) == 1 else 'them'}")
    hints = typing.get_type_hints(Study)
    for key, value in content.items():
        _check_value(key, value, hints[key])
    study = Study(**content)
    _check_lengths(study)
    _check_sections(study)
    if study.phantom and not study.dataset_dir:
        write_phantom(**study.phantom)
    _check_data(study)
    _check_arms(study)
    return study


def open_workflow(content: dict[str, Any], files: Sequence[str]) -> Study:
    """The study of a workflow's files, which ends with one line where it is wrong.

    Args:
        content: changed in place: Snakemake gives the numbers of a list behind `--config` as texts.
        files: that it is from.
    """
    for key in ("folds", "seeds", "fractions"):
        if isinstance(content.get(key), list):
            content[key] = [_read_number(value) for value in content[key]]
    try:
        return open_study(content)
    except ValueError as error:
        message = f"error: {', '.join(map(str, files)) or 'no --configfile'}: {error}"
        print(" ".join(message.splitlines()), file=sys.stderr)
        raise SystemExit(1) from None


def _read_number(value: Any) -> Any:
    try:
        return json.loads(value)
    except (TypeError, ValueError):
        return value


def read_study(files: Sequence[str | Path]) -> dict[str, Any]:
    """The files of a study (JSON) as one content; later ones win key by key, as in Snakemake.

    Raises:
        OptionError: one that is missing, or holds no JSON object.
    """
    from snakemake.utils import update_config  # of the extra `study`, which nothing else here needs

    content: dict[str, Any] = {}
    for file in files:
        try:
            read = read_object(Path(file), "Name a study.json, or the folder of a data set.")
        except DatasetError as error:
            raise OptionError(str(error)) from None
        update_config(content, read)
    return content


def _is_required(each: Any) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _check_lengths(study: Study) -> None:
    if study.patience_epochs is not None and study.patience_epochs < 1:
        raise OptionError(f"patience_epochs is {study.patience_epochs}, expected 1 or more epochs, or null for none")
    ratio = study.synthetic_ratio
    if ratio != "all" and (isinstance(ratio, str) or not ratio > 0):
        raise OptionError(f"synthetic_ratio is {ratio!r}, expected a positive number, such as 1, or 'all'")


def _check_sections(study: Study) -> None:
    """Every option of every section exists in the config or function that it goes to."""
    if study.phantom:
        _check_keys("phantom", study.phantom, {"folder": str}, PHANTOM)
    if study.turing:
        _check_keys("turing", study.turing, {}, TURING)
    _check_names("segmenters.", study.segmenters, NETWORKS)
    for network, options in study.segmenters.items():
        _check_options(f"segmenters.{network}", options, (NETWORKS[network].train,))
    _check_names("tasks.", study.tasks, TASKS)
    for name, section in study.tasks.items():
        _check_table(f"tasks.{name}", section, {"arms": list[str], **TASKS[name].keys})
    _check_names("systems.", study.systems, find_systems())
    for name, section in study.systems.items():
        _check_table(f"systems.{name}", section, find_systems()[name].KEYS)
    for number, row in enumerate(study.published):
        known = [each.name for each in fields(PublishedFigure)]
        _check_names(f"published[{number}].", row, known)
        if absent := {"task", "metric", "value"} - set(row):
            raise OptionError(f"published[{number}] has no {', '.join(sorted(absent))}. Add it")


def _check_table(name: str, section: Mapping[str, Any], table: Mapping[str, Any]) -> None:
    """A section by a table of its keys: with ? where one may be left out, a tuple names configs with its options."""
    known = {key.removesuffix("?"): kind for key, kind in table.items()}
    _check_names(f"{name}.", section, known)
    if absent := [key for key in table if not key.endswith("?") and key not in section]:
        raise OptionError(f"no {name}.{absent[0]}. Add it")
    for key, value in section.items():
        check = _check_options if isinstance(known[key], tuple) else _check_value
        check(f"{name}.{key}", value, known[key])


def _check_options(name: str, section: Any, configs: Sequence[str]) -> None:
    if not isinstance(section, Mapping):
        raise OptionError(f"{name} is {section!r}, expected options and their values in braces")
    known = [own_configs()[f"{config}.json"] for config in configs]
    common = set(known[0]).intersection(*known[1:])
    _check_names(f"{name}.", section, common, f"; expected an option of configs/{configs[0]}.json")
    for key, value in section.items():
        try:
            check_value(key, value, known[0][key])
        except OptionError as error:
            raise OptionError(str(error).replace(f"--{key}", f"{name}.{key}")) from None


def _check_keys(name: str, section: Mapping[str, Any], required: Mapping[str, Any], function: str) -> None:
    """A section whose keys are a function's arguments."""
    hints = {**typing.get_type_hints(pydoc.locate(function)), **required}
    _check_names(f"{name}.", section, hints)
    if absent := set(required) - set(section):
        raise OptionError(f"no {name}.{absent.pop()}. Add it")
    for key, value in section.items():
        _check_value(f"{name}.{key}", value, hints[key])


def _check_value(name: str, value: Any, hint: Any) -> None:
    try:
        pydantic.TypeAdapter(hint).validate_python(value, strict=True)
    except pydantic.ValidationError:
        raise OptionError(f"{name} is {value!r}, expected {_describe(hint)}") from None
    if value == [] and name != "published":
        raise OptionError(f"{name} is [], expected {_describe(hint)}, at least one")


def _describe(hint: Any) -> str:
    kind, inner = typing.get_origin(hint), typing.get_args(hint)
    if kind is list:
        return f"a list with {_describe(inner[0])} for each"
    return "keys and their values in braces" if kind is dict else describe_type(hint)


def _check_names(section: str, given: Iterable[str], known: Iterable[str], otherwise: str = "") -> None:
    for key in given:
        if key not in known:
            raise OptionError(f"no key {section}{key}{suggest(key, known, section) or otherwise}")


def _check_arms(study: Study) -> None:
    systems = find_systems()
    for task in study.tasks:
        arms = study.arms(task)
        names = [arm.name for arm in arms]
        if study.baseline not in names or len(set(names)) != len(names):
            raise OptionError(
                f"tasks.{task}.arms is {names}, expected each arm once and {study.baseline} among them, which all "
                "others are compared with. Add it, or name another baseline"
            )
        for arm in arms:
            TASKS[task].check(study, arm)
            if arm.source is not None:
                if arm.source.system not in study.systems:
                    raise OptionError(f"no systems.{arm.source.system}, which arm {arm.name!r} needs. Add it")
                able = [name for name, system in systems.items() if hasattr(system, "TAKES_NEW_MASKS")]
                if arm.source.new_masks and arm.source.system not in able:
                    raise OptionError(f"arm {arm.name!r}: new_masks are for {', '.join(able)}. Leave the word out")
                systems[arm.source.system].check(study, arm.source)


def _check_data(study: Study) -> None:
    try:
        dataset = study.dataset
    except DatasetError as error:
        raise OptionError(f"dataset_dir: {error}") from error
    _check_oversampling(study, dataset)
    if not 0 <= study.shown_channel < dataset.channel_count:
        raise OptionError(f"shown_channel is {study.shown_channel}, expected 0..{dataset.channel_count - 1}")
    known = sorted({item["fold"] for item in dataset.items if item.get("fold") is not None})
    for fold in study.folds:
        if fold is not None and fold not in known:
            has = ", ".join(map(str, known)) or "none"
            raise OptionError(f"folds has {fold}, expected folds of the data set ({has}), or null for its own split")
    for fraction in study.fractions:
        if not 0 < fraction <= 1:
            raise OptionError(f"fractions has {fraction}, expected shares of the patients above 0 and up to 1")


def _check_oversampling(study: Study, dataset: Dataset) -> None:
    """Something is rare, where an arm draws what is rare more often: a class, or else a label."""
    if len({item["class_index"] for item in dataset.items}) > 1:
        return
    for task in study.tasks:
        merged = task == "detection" and study.boxes.get("merge_box_classes")
        for arm in study.arms(task):
            if "oversampling" in arm.modifiers and (dataset.foreground_count < 2 or merged):
                raise OptionError(
                    f"arm {arm.name!r}: {study.data} has one class and one label to learn, so that none is rare. "
                    "Leave the arm out, or give the items a 'class' in dataset.json"
                )
