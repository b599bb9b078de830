"""The data contract: a `dataset.json` in the form of the Medical Segmentation Decathlon, read, checked and written."""

from __future__ import annotations

import functools
import json
import logging
import math
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from scripts.data.atomic import write_whole
from scripts.data.json_models import DatasetError, read_object, validated
from scripts.data.patients import PatientGuess, clean_patients, find_patient_key, guess_patients
from scripts.option_kinds import NAME, PAIR
from scripts.untrusted import find_fault

logger = logging.getLogger(__name__)

SPLITS = ("training", "validation", "test")
SPLIT_NAMES = {
    **{name: name for name in SPLITS},
    "train": "training",
    "val": "validation",
    "valid": "validation",
    "validating": "validation",
    "testing": "test",
}
NUMBER = re.compile("[0-9]+")  # what isdigit says of "²" too
SLICE_AXES = ("sagittal", "coronal", "axial")  # of LPS axes 0, 1 and 2
FLAGS = ("ignore_geometry", "threshold_masks")  # of how files are read
Item = dict[str, Any]


@dataclass(frozen=True)
class Dataset:
    """A data set as `read_dataset` returns it: names, and items with absolute paths.

    An item holds `image` (a path, or a list with one path per channel), `label` (a path or None), `patient`,
    `class` (a name of `classes` or None), `class_index` (its place there, -1 for None), of a synthetic set
    `generator_trained_on` (its `trained_on`), and whatever else the file gives it (`fold`, `boxes`, `box_classes`,
    `synthetic` ...).
    """

    root: Path
    name: str
    modality: list[str]
    labels: list[str]
    classes: list[str] = field(default_factory=list)
    label_values: dict[int, int] = field(default_factory=dict)  # value in the files -> label; colours are 0xRRGGBB
    intensity_range: list[float] | None = None  # become -1 and 1; None: each channel's own minimum and maximum
    splits: dict[str, list[Item]] = field(default_factory=dict)
    trained_on: list[str] = field(default_factory=list)  # of a synthetic set: whom its generator learned from
    slice_axis: str | None = None  # across which volumes are cut; None: that of the largest spacing
    ignore_geometry: bool = False  # trusts the arrays where the headers of image and label disagree
    threshold_masks: bool = False  # takes values of a mask that stand for no label to the nearest one that does
    patients_guessed: PatientGuess | None = None  # from what, where nobody named the patients
    memorisation: dict[str, Any] = field(default_factory=dict)  # of a synthetic set: its audit, where it had one

    @property
    def channel_count(self) -> int:
        return len(self.modality)

    @property
    def foreground_count(self) -> int:
        """How many labels there are besides the background."""
        return len(self.labels) - 1

    @property
    def items(self) -> list[Item]:
        return [item for split in SPLITS for item in self.splits.get(split, [])]


def read_dataset(dataset_dir: str | Path, *, unfinished: bool = False) -> Dataset:
    """Reads `dataset_dir/dataset.json`; an unmodified Decathlon folder is a data set too.

    Only the description is read, no image. Patients that the items do not name are guessed (`guess_patients`), and a
    line says so once. `patient_id`, `subject` ... are read as `patient`; `train`, `val`, `testing` ... as the lists.

    Args:
        dataset_dir: the folder.
        unfinished: for `prepare`, which names patients and merges label files itself: leaves both as they are.

    Raises:
        DatasetError: the file is missing or malformed; the message names the line, or the list, item and key.
    """
    root = Path(dataset_dir).expanduser().absolute()
    file = root / "dataset.json"
    remedy = "Write one with `python -m scripts prepare <layout> <folder>`, or name the folder that holds it with"
    raw = read_object(file, f"{remedy} --dataset_dir.")
    # The names, and what values in the files mean.
    modality = _names(raw.get("modality") or raw.get("channel_names"), file, "modality")
    labels = _names(raw.get("labels"), file, "labels")
    classes = raw.get("classes", [])
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise DatasetError(f"{file}: 'classes' is {classes!r}, expected a list of names such as ['HGG', 'LGG'].")
    if len(set(classes)) != len(classes):
        raise DatasetError(f"{file}: 'classes' names a class twice: {classes}. Give each class once.")
    label_values = _label_values(raw.get("label_values", {}), len(labels), file)
    limits = raw.get("intensity_range")
    if limits is not None and not PAIR.fits(limits):
        raise DatasetError(f"{file}: 'intensity_range' is {limits!r}, expected [low, high] such as [0, 255] for RGB.")
    reading = {"slice_axis": raw.get("slice_axis"), **{key: raw.get(key, False) for key in FLAGS}}
    if (axis := reading["slice_axis"]) not in (None, *SLICE_AXES):
        raise DatasetError(f"{file}: 'slice_axis' is {axis!r}, expected one of {', '.join(SLICE_AXES)}.")
    for key in FLAGS:
        if not isinstance(reading[key], bool):
            raise DatasetError(f"{file}: {key!r} is {reading[key]!r}, expected true or false.")
    # The items and their patients.
    splits = {}
    for split in SPLITS:
        key = _find_list(raw, split, file)
        listed = raw.get(key) or []
        if not isinstance(listed, list):
            raise DatasetError(f"{file}: '{key}' is a {type(listed).__name__}, expected a list of items.")
        wheres = [f"{file}: {key}[{n}]" for n in range(len(listed))]
        splits[split] = [
            _read_item(item, where, root, classes, unfinished) for item, where in zip(listed, wheres, strict=True)
        ]
    items = [item for split in SPLITS for item in splits[split]]
    guess = None if unfinished else name_patients(items, root)
    if guess:
        _tell_once(f"{file}: {guess}")
    elif (guessed := raw.get("patients_guessed")) is not None:
        guess = validated(PatientGuess, guessed, f"{file}: patients_guessed", "Remove it, or prepare again.")
    first: dict[tuple[str, ...], Item] = {}
    for item in items:
        if first.setdefault(tuple(image_files(item)), item) is not item:
            raise DatasetError(f"{file}: {', '.join(image_files(item))} is listed twice. Keep one item of it.")
    if not items:
        raise DatasetError(f"{file}: no items in {', '.join(SPLITS)}. List at least one under 'training'.")
    trained_on = raw.get("trained_on", [])
    if not isinstance(trained_on, list) or not all(map(NAME.fits, trained_on)):
        raise DatasetError(f"{file}: 'trained_on' is {trained_on!r}, expected a list of patients. Synthesise again.")
    if not isinstance(memorisation := raw.get("memorisation") or {}, dict):
        raise DatasetError(f"{file}: 'memorisation' is {memorisation!r}, expected an audit. Evaluate the set again.")
    trained_on = [str(patient) for patient in trained_on]
    for item in items if trained_on else []:
        item["generator_trained_on"] = trained_on
    return Dataset(
        *(root, str(raw.get("name", root.name)), modality, labels, classes, label_values),
        intensity_range=None if limits is None else [float(value) for value in limits],
        splits=splits,
        trained_on=trained_on,
        **reading,
        patients_guessed=guess,
        memorisation=memorisation,
    )


def name_patients(items: Sequence[Item], root: Path) -> PatientGuess | None:
    """Gives each item its `patient` as a text, guessed where it has none; returns the guess, None for no guess.

    The guess is made from `case`, an item's name where a layout gives one, else from the path below `root`.
    """
    for item, patient in zip(items, clean_patients([item.get("patient") for item in items]), strict=True):
        is_own = patient is None and item.get("synthetic")
        item["patient"] = stem(image_files(item)[0]) if is_own else patient
    unnamed = [item for item in items if item["patient"] is None]
    if not unnamed:
        return None
    names = [case_name(item, root) for item in unnamed]
    patients, guess = guess_patients(names, [item.get("class") for item in unnamed])
    for item, patient in zip(unnamed, patients, strict=True):
        if fault := find_fault(patient):
            raise DatasetError(
                f"{image_files(item)[0]}: the patient guessed from its path, {fault}, or give 'patient'."
            )
        item["patient"] = patient
    return guess


def case_name(item: Item, root: Path) -> str:
    """An item's `case`, or the path of its first image below `root`, with `/`, without suffix."""
    if "case" in item:
        return str(item["case"])
    path = Path(os.path.relpath(image_files(item)[0], root))
    folders = [part for part in path.parent.parts if part not in ("..", "/")]
    return "/".join([*folders, stem(path)])


def write_dataset(dataset_dir: str | Path, dataset: Dataset, **extra: Any) -> Path:
    """Writes `dataset.json` atomically, with paths relative to its folder where the files lie inside it.

    `extra` are further top-level keys, such as `description` or `licence`.
    """
    root = Path(dataset_dir).expanduser().absolute()
    guess, values = dataset.patients_guessed, dataset.label_values
    # values beyond 16 bits are colours, which nobody reads as decimal numbers
    colours = values and 0xFFFF < max(values) <= 0xFFFFFF and min(values) >= 0
    optional = {
        "label_values": {show_colour(value) if colours else str(value): label for value, label in values.items()},
        **{key: getattr(dataset, key) for key in ("intensity_range", "slice_axis", *FLAGS)},
        "patients_guessed": asdict(guess) if guess else None,
        "classes": dataset.classes,
        "trained_on": dataset.trained_on,
        "memorisation": dataset.memorisation,
    }
    content: dict[str, Any] = {
        "name": dataset.name,
        **extra,
        "modality": {str(n): name for n, name in enumerate(dataset.modality)},
        "labels": {str(n): name for n, name in enumerate(dataset.labels)},
        **{key: value for key, value in optional.items() if value},
        **{split: [_written_item(item, root) for item in dataset.splits.get(split, [])] for split in SPLITS},
    }
    return write_json(root / "dataset.json", content)


def write_json(file: Path, content: Any) -> Path:
    """Writes JSON so that a reader sees the old file or the new one, never half of one."""
    write_whole(file, json.dumps(content, indent=1))
    return file


def without_nan(value: Any) -> Any:
    """The value with null for what JSON has not: NaN and infinity, wherever they are in it."""
    if isinstance(value, dict):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def stem(path: str | Path) -> str:
    """The file's name without its suffixes: `BRATS_001` for `imagesTr/BRATS_001.nii.gz`.

    A number after the last dot is no suffix: folders of DICOM series are often named by their UID, `1.2.840.7`.
    """
    name = Path(path).name
    if name.endswith(".nii.gz"):
        return name[: -len(".nii.gz")]
    return name if Path(name).suffix[1:].isdigit() else Path(name).stem


def parse_value(text: Any) -> int:
    """A value in a label file, from a whole number or a colour "#rrggbb"; ValueError for anything else."""
    text = str(text).strip()
    return int(text[1:], 16) if re.fullmatch("#[0-9a-fA-F]{6}", text) else int(text)


def show_colour(code: int) -> str:
    """A colour code 0xRRGGBB as "#rrggbb"."""
    return f"#{code:06x}"


def image_files(item: Item) -> list[str]:
    """The item's image files, one or one per channel; a folder stands for its DICOM series."""
    return list(item["image"]) if isinstance(item["image"], (list, tuple)) else [item["image"]]


def is_annotated(item: Item) -> bool:
    """Whether the item says where its lesions are: by a label map, or by boxes, of which there may be none."""
    return bool(item.get("label")) or item.get("boxes") is not None


def find_box_faults(item: Item, plane: Sequence[int], class_count: int) -> list[tuple[str, str]]:
    """What is wrong with an item's `boxes` and `box_classes`, each as a short name and the details.

    `plane` are the pixels (X, Y) of the image, in whose axes the boxes are; box classes are 0..class_count-1, class k
    being label k + 1.
    """
    boxes, classes = item.get("boxes"), item.get("box_classes")
    if boxes is None:
        return []
    if not isinstance(boxes, list):
        return [("malformed box", f"'boxes' is {boxes!r}, expected a list of boxes [x0, y0, x1, y1]")]
    faults = [fault for box in boxes if (fault := _find_box_fault(box, plane))]
    if not isinstance(classes or [], list) or len(classes or []) != len(boxes):
        faults.append(("boxes without class", f"{len(boxes)} boxes, box_classes {classes!r}; expected one for each"))
        return faults
    for value in classes or []:
        if type(value) is not int or not 0 <= value < class_count:
            faults.append(("unknown box class", f"{value!r}, expected 0..{class_count - 1} (class k is label k + 1)"))
    return faults


def _find_box_fault(box: Any, plane: Sequence[int]) -> tuple[str, str] | None:
    numbers = isinstance(box, (list, tuple)) and len(box) == 4 and all(isinstance(v, (int, float)) for v in box)
    if not numbers:
        return "malformed box", f"{box!r}, expected [x0, y0, x1, y1]"
    if not (box[0] < box[2] and box[1] < box[3]):
        return "box without size", f"{box}, expected x0 < x1 and y0 < y1"
    if not (box[0] >= 0 and box[1] >= 0 and box[2] <= plane[0] and box[3] <= plane[1]):
        return "box not inside the image", f"{box} in {plane[0]}x{plane[1]}"
    return None


def source_patient(item: Item) -> str:
    """The patient an image, or the mask that a synthetic image was made from, comes from."""
    return str((item.get("synthetic") or {}).get("source_patient", patient_of(item)))


def source_patients(item: Item) -> list[str]:
    """All patients whom an image shows something of: of a new mask those of its lesions and of its anatomy."""
    anatomy = (item.get("synthetic") or {}).get("anatomy_patient")
    return [source_patient(item), *([] if anatomy is None else [str(anatomy)])]


def patient_of(item: Item) -> str:
    """The item's patient; where it names none, the image is a patient of its own, called after its first file."""
    return str(stem(image_files(item)[0]) if item.get("patient") in (None, "") else item["patient"])


def _names(value: Any, file: Path, key: str) -> list[str]:
    """Names in the order of their integers: {"0": "background"} (Decathlon), {"background": 0} (nnU-Net) or a list."""
    example = '{"0": "background", "1": "tumour"}' if key == "labels" else '{"0": "MRI"}'
    expected = f"{file}: '{key}' is {value!r}, expected consecutive integers and names such as {example}."
    if isinstance(value, list):
        value = dict(enumerate(value))
    if not isinstance(value, dict) or not value:
        raise DatasetError(expected)
    pairs = {str(k): v for k, v in value.items()}
    if not all(map(NUMBER.fullmatch, pairs)):
        pairs = {str(v): k for k, v in pairs.items()}
    if not all(map(NUMBER.fullmatch, pairs)) or sorted(map(int, pairs)) != list(range(len(value))):
        hint = " Map other values in the files to them with 'label_values'." if key == "labels" else ""
        raise DatasetError(expected + hint)
    names = [pairs[n] for n in sorted(pairs, key=int)]
    if not all(isinstance(name, (str, int, float)) and str(name).strip() for name in names):
        raise DatasetError(expected)
    if key == "labels" and len(set(map(str, names))) < len(names):
        raise DatasetError(f"{file}: '{key}' gives a name twice: {names}. Give each its own.")
    return [str(name) for name in names]


def _find_list(raw: dict[str, Any], split: str, file: Path) -> str:
    """The key that holds a split's items: `test`, or what MONAI and others call it."""
    used = [key for key in raw if SPLIT_NAMES.get(key.lower()) == split and raw[key]]
    if len(used) > 1:
        raise DatasetError(f"{file}: {' and '.join(map(repr, used))} both list the {split} items. Keep one of them.")
    return used[0] if used else split


@functools.cache
def _tell_once(text: str) -> None:
    logger.warning(text)


def _label_values(value: Any, label_count: int, file: Path) -> dict[int, int]:
    try:
        values = {parse_value(k): v for k, v in value.items()}
        if len(values) == len(value) and all(type(v) is int and 0 <= v < label_count for v in values.values()):
            return values
    except (AttributeError, TypeError, ValueError):
        pass
    example = '{"255": 1} or {"#ff0000": 1}'
    raise DatasetError(
        f"{file}: 'label_values' is {value!r}, expected e.g. {example}, each value once, labels 0..{label_count - 1}."
    )


def _read_item(item: Any, where: str, root: Path, classes: Sequence[str], unfinished: bool) -> Item:
    if isinstance(item, str):  # a test image of the Decathlon
        item = {"image": item}
    if not isinstance(item, dict) or not item.get("image"):
        raise DatasetError(f"{where}: {item!r} has no 'image'. Give a path, or a list with one path per channel.")
    key = find_patient_key(item)
    patient = None if key is None else item[key]
    item = {name: value for name, value in item.items() if name != key}
    image, label, name = item["image"], item.get("label") or None, item.get("class")
    if isinstance(label, list) and len(label) == 1:
        label = label[0]
    if isinstance(label, list) and not unfinished:
        raise DatasetError(
            f"{where}: 'label' lists {len(label)} files, expected one label map. `python -m scripts prepare decathlon` "
            "with --output merges them."
        )
    for paths, of, expected in ((image, "image", "a path or a list of paths"), (label, "label", "a path")):
        if paths and not all(
            isinstance(path, str) and path for path in (paths if isinstance(paths, list) else [paths])
        ):
            raise DatasetError(f"{where}: {of!r} is {paths!r}, expected {expected}.")
    if name is not None and name not in classes:
        raise DatasetError(f"{where}: class {name!r} is not among 'classes' {list(classes)}. Add or correct it.")
    fold = item.get("fold")
    if fold is not None and (isinstance(fold, bool) or not re.fullmatch(r"[0-9]{1,3}(\.0+)?", str(fold).strip())):
        raise DatasetError(f"{where}: 'fold' is {fold!r}, expected a number from 0 to 999.")
    origin = item.get("synthetic") or {}
    sources = [origin.get(key) for key in ("source_patient", "anatomy_patient")] if isinstance(origin, dict) else []
    if not isinstance(origin, dict) or not all(source is None or NAME.fits(source) for source in sources):
        raise DatasetError(
            f"{where}: 'synthetic' is {origin!r}, expected where it is from, in braces. Synthesise again."
        )
    if patient is not None and not isinstance(patient, (str, int, float)):
        raise DatasetError(f"{where}: '{key}' is {patient!r}, expected a name or a number.")
    return {
        **item,
        "image": _below(root, image),
        "label": None if label is None else _below(root, label),
        "patient": patient,
        "class": name,
        "class_index": -1 if name is None else list(classes).index(name),
        **({} if fold is None else {"fold": int(float(fold))}),
    }


def _below(root: Path, paths: Any) -> Any:
    return [os.path.join(root, path) for path in paths] if isinstance(paths, list) else os.path.join(root, paths)


def _written_item(item: Item, root: Path) -> Item:
    def shown(path: str) -> str:
        absolute = Path(path).absolute()
        return str(absolute.relative_to(root)) if absolute.is_relative_to(root) else str(absolute)

    image, label = item["image"], item.get("label")
    unwritten = ("class_index", "generator_trained_on")  # said by `class` and by the set's `trained_on`
    written = {key: value for key, value in item.items() if key not in unwritten and value is not None}
    written["image"] = [shown(path) for path in image] if isinstance(image, (list, tuple)) else shown(image)
    if label is not None:
        written["label"] = shown(label)
    return written
