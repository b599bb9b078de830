"""The keys of an experiment's file: which a workflow has, of what type, checked before it plans any job."""

from __future__ import annotations

import importlib
import pydoc
import sys
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from scripts.command_options import describe_type, fits
from scripts.config_files import check_type, own_configs
from scripts.data.contract import DatasetError, read_dataset
from scripts.data.phantom import FOLDS, write_phantom
from scripts.nearest_name import OptionError, suggest

# Key, with ? where it may be left out -> its type; [type] is a list. Names of configs make a section of options that
# all of them have, and a function's name one of its arguments; "section.key" must be there where the section is.
COMMON: dict[str, Any] = {
    "title": str,
    "results_dir": str,
    "dataset_dir?": str,
    "phantom?": "scripts.data.phantom.write_phantom",
    "phantom.folder": str,
    "cache_dir": str,
    "image_size_pixels": int,
    "folds": [int | None],
    "seeds": [int],
    "arms": [str],
    "threads?": int,
    "published?": Any,
}
CPGGAN = ("cpggan_train", "cpggan_inference", "cpggan_evaluate", "cpggan_detector_train")
PGGAN = tuple(f"pggan_ensemble_{name}" for name in ("train", "inference", "evaluate", "segmenter_train"))
KEYS: dict[str, dict[str, Any]] = {
    "redgan": {
        "segmenter": ("train",),
        "gan": ("redgan_train",),
        "target_class?": str,
        "baseline?": str,
        "limit_per_class?": int,
        "jobs_dir?": str,
    },
    "lcgan": {
        "fractions": [float],
        "gan": ("lcgan_train",),
        "gan.candidate_epochs": [int],
        "segmenter": ("lcgan_segmenter_train",),
        "classifier": ("lcgan_classifier_train",),
        "selection?": ("lcgan_evaluate",),
        "draws_per_mask?": int,
        "scorer_fraction?": float,
    },
    "pggan_ensemble": {
        "members": int,
        "snapshots?": int,
        "image_count": int,
        "slice_rule?": PGGAN,
        "gan": ("pggan_ensemble_train",),
        "segmenter": ("pggan_ensemble_segmenter_train",),
        "evaluation?": ("pggan_ensemble_evaluate",),
        "shown_channel?": int,
    },
    "cpggan": {
        "boxes?": (*CPGGAN, "cpggan_detector_evaluate", "cpggan_detector_inference"),
        "slice_rule?": CPGGAN,
        "image_count": int,
        "filter": str,
        "gan": ("cpggan_train",),
        "synthesis?": ("cpggan_inference",),
        "segmenter?": ("train",),
        "evaluation?": ("cpggan_evaluate",),
        "detector": ("cpggan_detector_train",),
        "detections?": ("cpggan_detector_inference",),
        "turing?": "scripts.report.turing.Turing.make",
    },
    "feature_acgan": {
        "slice_rule?": ("feature_acgan_unet_train", "feature_acgan_features"),
        "pretraining?": ("feature_acgan_unet_train",),
        "pretraining.dataset_dir": str,
        "unet": ("feature_acgan_unet_train",),
        "unet.unet_widths": [int],
        "features": ("feature_acgan_features",),
        "features_gan?": ("feature_acgan_train",),
        "images_gan?": ("feature_acgan_train",),
        "synthesis?": ("feature_acgan_inference",),
        "comparison?": ("feature_acgan_evaluate",),
        "classifier": ("feature_acgan_classifier_train",),
    },
}


def open_experiment(system: str, config: dict[str, Any], files: Sequence[str], **phantom: Any) -> None:
    """Ends a workflow with one line if its file is wrong; else writes the phantom that stands for a missing data set.

    Args:
        system: a key of `KEYS`.
        config: the workflow's config, which gets the `dataset_dir` of the phantom.
        files: where it stands, for the message.
        phantom: arguments of the phantom that the file need not give.
    """
    try:
        check_experiment(system, config)
        if "dataset_dir" not in config:
            config["dataset_dir"] = str(write_phantom(**{**phantom, **config["phantom"]}))
    except ValueError as error:
        message = f"error: {', '.join(map(str, files)) or 'no --configfile'}: {error}"
        print(" ".join(message.splitlines()), file=sys.stderr)
        raise SystemExit(1) from None


def check_experiment(system: str, config: Mapping[str, Any]) -> None:
    """Checks the keys of an experiment's file at every level, its arms, its data set and its folds.

    Raises:
        OptionError: a key that is unknown or missing, or a value of the wrong type.
        ValueError: an arm that does not exist, a data set that cannot be read.
    """
    keys = {**COMMON, **KEYS[system]}
    _check_names("", config, [key.removesuffix("?") for key in keys if "." not in key])
    sections = {name: value for name, value in config.items() if isinstance(value, Mapping)}
    # Options by their names in the table: "section.key" for those in sections.
    given = {**config, **{f"{name}.{key}": value[key] for name, value in sections.items() for key in value}}
    missing = [
        key for key in keys if not key.endswith("?") and key not in given and key.rpartition(".")[0] in ("", *sections)
    ]
    missing += ["dataset_dir"] * (not {"dataset_dir", "phantom"}.intersection(config))
    if missing:
        raise OptionError(f"no {', '.join(missing)}. Add {'it' if len(missing) == 1 else 'them'}")
    for key, kind in keys.items():
        name = key.removesuffix("?")
        if name in given:
            _check_value(name, given[name], kind)
    _check_arms(system, config)
    for name in ("dataset_dir", "pretraining.dataset_dir"):
        if name in given:
            _check_dataset(name, given[name])
    _check_folds(config)


def _check_value(name: str, value: Any, kind: Any) -> None:
    if isinstance(kind, list):
        if not isinstance(value, list) or not value or not all(fits(item, kind[0]) for item in value):
            raise OptionError(f"{name} is {value}, expected a list with {describe_type(kind[0])} for each")
    elif isinstance(kind, (tuple, str)):
        _check_section(name, value, kind)
    elif not fits(value, kind):
        raise OptionError(f"{name} is {value!r}, expected {describe_type(kind)}")


def _check_section(name: str, section: Any, kind: Any) -> None:
    if not isinstance(section, Mapping):
        raise OptionError(f"{name} is {section!r}, expected options and their values in braces")
    if not isinstance(kind, tuple):
        hints = typing.get_type_hints(pydoc.locate(kind))
        _check_names(f"{name}.", section, hints)
        for key, value in section.items():
            _check_value(f"{name}.{key}", value, hints[key])
        return
    configs = [own_configs()[f"{config}.json"] for config in kind]
    common = set(configs[0]).intersection(*configs[1:])
    _check_names(f"{name}.", section, common, f"; expected an option of configs/{kind[0]}.json")
    for key, value in section.items():
        try:
            check_type(key, value, configs[0][key])
        except OptionError as error:
            raise OptionError(str(error).replace(f"--{key}", f"{name}.{key}")) from None


def _check_names(section: str, given: Mapping[str, Any], known: typing.Iterable[str], otherwise: str = "") -> None:
    for key in given:
        if key not in known:
            raise OptionError(f"no key {section}{key}{suggest(key, known, section) or otherwise}")


def _check_arms(system: str, config: Mapping[str, Any]) -> None:
    module = importlib.import_module(f"scripts.experiments.{system}_arms")
    if not hasattr(module, "ARMS"):
        arms = module.make_arms(config if system == "pggan_ensemble" else config["arms"])
        lacking = [f"{arm.generator}_gan" for arm in arms.values() if arm.generator in ("features", "images")]
        if not set(lacking) <= set(config):
            raise OptionError(f"no {lacking[0]}, which one of the arms needs. Add it")
        return
    for name in config["arms"]:
        if name not in module.ARMS:
            raise OptionError(f"no arm {name}{suggest(name, module.ARMS)}")


def _check_dataset(name: str, folder: str) -> None:
    try:
        read_dataset(folder)
    except DatasetError as error:
        raise OptionError(f"{name}: {error}") from error


def _check_folds(config: Mapping[str, Any]) -> None:
    if "dataset_dir" in config:
        items = read_dataset(config["dataset_dir"]).items
        known = sorted({item["fold"] for item in items if item.get("fold") is not None})
    else:
        known = list(range(min(FOLDS, config["phantom"].get("patients", FOLDS))))
    for fold in config["folds"]:
        if fold is not None and fold not in known:
            has = ", ".join(map(str, known)) or "none"
            raise OptionError(f"folds has {fold}, expected folds of the data set ({has}), or null for its own split")
