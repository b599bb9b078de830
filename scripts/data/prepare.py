"""`prepare`: writes the `dataset.json` of a known layout, split by patient; images are never copied."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import logging
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.data.claims import claimed
from scripts.data.contract import (
    SLICE_AXES,
    SPLITS,
    Dataset,
    DatasetError,
    Item,
    image_files,
    is_annotated,
    name_patients,
    read_dataset,
    write_dataset,
)
from scripts.data.layouts.options import name_by_pattern, parse_range
from scripts.data.patients import find_alike
from scripts.data.splits import assign_splits, split_by_class
from scripts.nearest_name import OptionError, suggest

logger = logging.getLogger(__name__)

# A layout `x` is the function `read_x` of the module `scripts.data.layouts.x`, but for one that shares another's.
LAYOUTS = (
    *("lgg", "wbc", "isic2018", "brats", "brats2015_sample", "covid_ct", "ct_ich", "colour_masks", "decathlon"),
    *("nnunet_raw", "patient_folders", "table", "yolo", "voc", "coco"),
)
_SHARED_MODULES = {"brats2015_sample": "brats"}


def prepare(
    layout: str,
    source: str,
    *,
    output: str | None = None,
    folds: int = 5,
    seed: int = 0,
    folds_by: str = "patient",
    boxes_from_labels: bool = False,
    minimum_pixels: int = 1,
    patient_pattern: str | None = None,
    intensity_range: Any = None,
    slice_axis: str | None = None,
    ignore_geometry: bool = False,
    threshold_masks: bool = False,
    **options: Any,
) -> Dataset:
    """Writes `dataset.json` for a folder in a known layout, and says what is in it and what to run next.

    The images stay where they are. `ct_ich`, whose masks do not tell the types apart, writes label maps to `labels`
    beside dataset.json; masks of several files, and outlines where they are asked for, go to `label_maps`.

    Options of layouts: `--class_from centre|grade` (lgg, brats); `--centre_pattern`, `--mapping` (brats);
    `--metadata` (isic2018); `--types table|one`, `--healthy` (ct_ich); `--colours`, `--modality` (colour_masks);
    `--labels`, `--label_values`, `--modality` (decathlon without dataset.json, table); `--modality` (yolo, voc, coco);
    `--label_maps True` (yolo, coco); `--labels` (yolo, voc); `--first_pixel` (voc); `--images`, `--label`,
    `--metadata`, `--patient_column`, `--class_column`, `--class_names`, `--labels`, `--label_values` (patient_folders).

    Args:
        layout: lgg, wbc, isic2018, brats, brats2015_sample, covid_ct, ct_ich, colour_masks, decathlon, nnunet_raw,
            patient_folders, table, yolo, voc or coco.
        source: the folder as downloaded; for `table` the CSV file.
        output: the folder to write dataset.json to; by default that of the source.
        folds: cross-validation folds, 3 or more.
        seed: seed of the split.
        folds_by: patient, or class: one fold for each class, such as a hospital, so that fold k is tested on class k,
            validated on the next and trained on the others.
        boxes_from_labels: writes the boxes of the lesions in the label maps of 2D images into dataset.json. Training
            does not need them: without, it finds them in the label maps of images and volumes.
        minimum_pixels: of a lesion to get such a box.
        patient_pattern: regular expression with one group, which is the patient: searched in the patients or cases
            that the layout knows, else in the images' names without suffix, else in their paths below the source;
            with a `/` in it, in the paths. Without it, patients that nobody names are guessed, and a line says so.
        intensity_range: intensities low,high that become -1 and 1 (CT: a window in HU); by default 0,255 for colour
            pictures and the layout's own for layouts that have one, else each channel's own minimum and maximum.
        slice_axis: sagittal, coronal or axial: across which volumes are cut; by default that of the largest spacing.
        ignore_geometry: image and label are aligned as arrays although their headers disagree.
        threshold_masks: values of a mask that stand for no label, such as JPEG leaves, become the nearest that does.
        options: of the layout.

    Returns:
        What was written, as `read_dataset` reads it.

    Raises:
        OptionError: unknown layout or option.
        DatasetError: a source that is not in this layout, an output that cannot be written.
    """
    root = Path(str(source)).expanduser().absolute()
    read = _find_layout(str(layout), options)
    for name, value, least in (("folds", folds, 3), ("seed", seed, 0), ("minimum_pixels", minimum_pixels, 1)):
        if not isinstance(value, int) or value < least:
            reason = ": one to test, one to validate, the rest to train" if name == "folds" else ""
            raise DatasetError(f"{name} is {value}, expected a whole number from {least}{reason}.")
    if slice_axis not in (None, *SLICE_AXES):
        raise DatasetError(f"slice_axis is {slice_axis!r}, expected one of {', '.join(SLICE_AXES)}.")
    shared: dict[str, Any] = {"slice_axis": slice_axis}
    shared |= {"ignore_geometry": ignore_geometry, "threshold_masks": threshold_masks}
    for name, flag in (("ignore_geometry", ignore_geometry), ("threshold_masks", threshold_masks)):
        if not isinstance(flag, bool):
            raise DatasetError(f"{name} is {flag!r}, expected True or False.")
    if folds_by not in ("patient", "class"):
        raise DatasetError(f"folds_by is {folds_by!r}, expected patient or class.")
    window = None if intensity_range is None else parse_range(intensity_range)
    if layout == "table" and not root.is_file():
        raise DatasetError(f"No CSV file {root}. Name the file that lists the data set.")
    if layout != "table" and not root.is_dir():
        raise DatasetError(f"No folder {root}. Name the folder that holds the data set.")
    folder = Path(str(output)).expanduser().absolute() if output else root.parent if layout == "table" else root
    _check_output(folder)
    passed = {"output": folder, "threshold_masks": threshold_masks}  # to layouts that write or read label maps
    takes = inspect.signature(read).parameters
    with claimed(folder):  # some layouts write label maps
        found = read(root, **{name: value for name, value in passed.items() if name in takes}, **options)
    found = _name_patients(found, patient_pattern)
    joined = _join_copies(found)
    found = replace(found, intensity_range=found.intensity_range if window is None else window, **shared)
    if boxes_from_labels:
        from scripts.data.boxes import add_boxes  # loads MONAI: not at --help

        boxed = {split: add_boxes(items, found, minimum_pixels=minimum_pixels) for split, items in found.splits.items()}
        found = replace(found, splits=boxed)
        options = {"boxes_from_labels": True, "minimum_pixels": minimum_pixels, **options}
    given = {"patient_pattern": patient_pattern, "intensity_range": window, **shared}
    options |= {name: value for name, value in given.items() if value}
    if folds_by == "class":
        options["folds_by"] = folds_by
    dataset = replace(found, splits=split_items(found, folds=folds, seed=seed, by_class=folds_by == "class"))
    file = write_dataset(folder, dataset, prepared={"layout": layout, "folds": folds, "seed": seed, **options})
    written = read_dataset(folder)
    logger.info(f"Wrote {file}; the images stay where they are.\n\n{describe(written)}")
    for copy, original in joined:
        logger.info(f"{copy} and {original} are the same file: taken for one patient, so that it is not in two splits.")
    return written


def split_items(dataset: Dataset, *, folds: int = 5, seed: int = 0, by_class: bool = False) -> dict[str, list[Item]]:
    """The items by split.

    A layout that gives annotated validation or test items (label map or boxes) has a split of its own, which is kept,
    without folds. Else the patients of the training list are split; those without any annotation stay in `test`,
    without a fold. With fewer patients than folds one patient each is tested and validated on, as far as they go, and
    no fold is written. With `by_class` each class is a fold, whatever the source's split, see `split_by_class`.
    """
    given = {split: dataset.splits.get(split, []) for split in SPLITS}
    if by_class:
        given = {"training": [item for split in SPLITS for item in given[split]], "validation": [], "test": []}
    elif any(is_annotated(item) for item in given["validation"] + given["test"]):
        return given
    annotated = {item["patient"] for item in given["training"] if is_annotated(item)}
    pool = [item for item in given["training"] if not annotated or item["patient"] in annotated]
    unlabelled = [item for item in given["training"] if annotated and item["patient"] not in annotated]
    patients = list(dict.fromkeys(item["patient"] for item in pool))
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    if by_class:
        splits = split_by_class(pool, dataset.classes)
    elif len(patients) < 3:
        for item in pool:
            splits["training" if item["patient"] == patients[0] else "validation"].append(item)
    else:
        splits = assign_splits(pool, folds=min(folds, len(patients)), seed=seed)
        for item in (item for items in splits.values() for item in items if len(patients) < folds):
            del item["fold"]
    return {**splits, "test": splits["test"] + unlabelled + given["validation"] + given["test"]}


def describe(dataset: Dataset) -> str:
    """A table of patients, images and classes by split, what is remarkable, and the commands to run next."""
    groups = [*dataset.classes, *(["no class"] if any(item["class"] is None for item in dataset.items) else [])]
    rows = [["split", "patients", "images", *(groups if dataset.classes else [])]]
    for name, items in [*((split, dataset.splits[split]) for split in SPLITS), ("all", dataset.items)]:
        of_class = [[item for item in items if (item["class"] or "no class") == group] for group in rows[0][3:]]
        rows.append([name, *_count(items), *("/".join(_count(found)) for found in of_class)])
    notes = ["Class columns: patients/images."] if dataset.classes else []
    if dataset.patients_guessed:
        notes.append(str(dataset.patients_guessed))
    for alike in find_alike(item["patient"] for item in dataset.items):
        notes.append(f"Patients {' and '.join(alike)} are written alike. If they are one, splits leak.")
    if len(dataset.items) == len({item["patient"] for item in dataset.items}):
        notes.append("Each image counts as its own patient. Where one patient has several, say so, or splits leak.")
    boxed = [item for item in dataset.items if item.get("boxes") is not None]
    if boxed:
        count, empty = sum(len(item["boxes"]) for item in boxed), sum(not item["boxes"] for item in boxed)
        notes.append(f"{count} boxes in {len(boxed)} images, of which {empty} have none.")
        if any(item["label"] is None for item in boxed):
            notes.append("Images with boxes but no label map are for box-conditioned GANs and detectors only.")
    unlabelled = sum(not is_annotated(item) for item in dataset.items)
    if unlabelled:
        notes.append(f"{unlabelled} images have no label map and no boxes; nothing is trained or tested on them.")
    folds = {item["fold"] for item in dataset.items if "fold" in item}
    notes.append(
        f"{len(folds)} folds for cross-validation (--fold 0 to {len(folds) - 1}); the lists above are those of fold 0."
        if folds
        else "No folds: the source has a split of its own, or fewer patients than folds."
    )
    return "\n".join([format_table(rows), "", *notes, "", "Next:", *(f"  {line}" for line in next_commands(dataset))])


def next_commands(dataset: Dataset) -> list[str]:
    """What to run after `prepare`: the check, then the study."""
    return [f"python -m scripts doctor {dataset.root}", f"python -m scripts study {dataset.root}"]


def format_table(rows: list[list[str]]) -> str:
    """Rows of cells as text in columns, the first to the left and the others to the right."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]).rstrip())
    return "\n".join(lines)


def _name_patients(dataset: Dataset, pattern: str | None) -> Dataset:
    items = [item for split in dataset.splits.values() for item in split]
    if pattern is not None:
        name_by_pattern(items, dataset.root, str(pattern))
    guess = name_patients(items, dataset.root) or (dataset.patients_guessed if pattern is None else None)
    for item in items:
        item.pop("case", None)
    return replace(dataset, patients_guessed=guess)


def _join_copies(dataset: Dataset) -> list[tuple[str, str]]:
    """Where each image is a patient of its own, in one file, gives those with the same bytes to one patient.

    Returns:
        The names of each such file and of the one that it copies; blank images are no copies.
    """
    items = [item for split in dataset.splits.values() for item in split]
    files = [Path(image_files(item)[0]) for item in items]
    several = len({item["patient"] for item in items}) < len(items) or any(len(image_files(item)) > 1 for item in items)
    if several or not all(map(Path.is_file, files)):
        return []
    sizes = Counter(file.stat().st_size for file in files)
    first: dict[bytes, int] = {}
    joined = []
    for n, file in enumerate(files):
        if sizes[file.stat().st_size] > 1:
            original = first.setdefault(hashlib.sha256(file.read_bytes()).digest(), n)
            if original != n and not _is_blank(file):
                items[n]["patient"] = items[original]["patient"]
                joined.append((file.name, files[original].name))
    return joined


def _is_blank(file: Path) -> bool:
    from monai.transforms import LoadImage  # not at --help

    image = LoadImage(image_only=True)(file)
    return bool(image.min() == image.max())


def _count(items: list[Item]) -> tuple[str, str]:
    return str(len({item["patient"] for item in items})), str(len(items))


def _find_layout(layout: str, options: dict[str, Any]) -> Callable[..., Dataset]:
    if layout not in LAYOUTS:
        raise OptionError(f"no layout {layout!r}{suggest(layout, LAYOUTS) or f'; expected one of {list(LAYOUTS)}'}")
    module = importlib.import_module(f"scripts.data.layouts.{_SHARED_MODULES.get(layout, layout)}")
    read: Callable[..., Dataset] = getattr(module, f"read_{layout}")
    parameters = inspect.signature(read).parameters
    known = [name for name in parameters if name not in ("source", "output", "threshold_masks")]
    own = [name for name, p in inspect.signature(prepare).parameters.items() if p.kind is p.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise OptionError(f"no option --{name} of layout {layout}{suggest(name, [*known, *own], '--')}")
    for name in known:
        if parameters[name].default is inspect.Parameter.empty and name not in options:
            raise DatasetError(f"layout {layout} needs the option --{name}. `docs/data.md` says what it is.")
    return read


def _check_output(folder: Path) -> None:
    """Raises DatasetError where `dataset.json` could not be written, or would replace one that is not prepare's."""
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise DatasetError(f"Cannot write to {folder}. Name a folder that can be written with --output.")
    file = folder / "dataset.json"
    if file.exists():
        try:
            prepared = "prepared" in json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            prepared = False
        if not prepared:
            raise DatasetError(f"{file} exists and was not written by prepare. Name another folder with --output.")
