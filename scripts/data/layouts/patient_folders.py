"""A folder per patient with images and a label map, and a table of the patients' classes, such as REMBRANDT."""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.layouts.files import IMAGE_SUFFIXES, find_files, leave_out_unclassed, read_rows
from scripts.data.layouts.label_maps import merge_label_files
from scripts.data.layouts.options import parse_pairs


def read_patient_folders(
    source: Path,
    *,
    images: Any,
    label: str,
    metadata: str | None = None,
    patient_column: str = "patient",
    class_column: str = "class",
    class_names: Any = None,
    labels: Any = None,
    label_values: Any = None,
    threshold_masks: bool = False,
    output: Path | None = None,
) -> Dataset:
    """One item per folder of the source, which is the patient; its files may lie at any depth.

    Folders whose names differ in a date or visit only are of one patient.

    Args:
        images: channel and file name pairs in the order of the channels, such as FLAIR:*flair*,T1:*t1.*; * stands for
            anything, and upper and lower case are the same.
        label: file name of the label map, such as *seg*; a folder without one is unlabelled. It is no image, whatever
            `images` say. Several label maps: label and file name pairs such as core:*core*,oedema:*oed*, which become
            labels 1, 2 ... of one.
        metadata: CSV file with a row per patient, in UTF-8 (from XLSX: saved as CSV); None for no classes.
        patient_column: its column of folder names.
        class_column: its column of classes; a patient with a blank one is left out.
        class_names: value in the table and class pairs, such as II:LGG,III:HGG,IV:HGG; by default the values.

    Raises:
        DatasetError: no folder, a folder without an image or with two that match, a patient without row or with two
            classes, a value that `class_names` lacks.
    """
    from scripts.data.layouts.contents import complete_description  # loads MONAI: not at --help

    channels = parse_pairs(images, "images")
    masks = parse_pairs(label, "label") if isinstance(label, Mapping) or ":" in str(label) else {"": str(label)}
    known = None
    if metadata is not None:
        file = Path(str(metadata)).expanduser().absolute()
        names = None if class_names is None else parse_pairs(class_names, "class_names")
        known = _read_classes(file, str(patient_column), str(class_column), names)
    folders = sorted(folder for folder in source.iterdir() if folder.is_dir() and folder.name[0] != ".")
    if not folders:
        raise DatasetError(f"{source} has no folders, expected one per patient. Name the folder that holds them.")
    items = []
    for folder in folders:
        if known is not None and folder.name not in known:
            raise DatasetError(
                f"{metadata}: no row with {patient_column} {folder.name!r}. Add it, with a blank {class_column} if "
                "unknown, or name the column of folder names with --patient_column."
            )
        items.append({**_read_patient(folder, channels, masks), "class": known and known[folder.name]})
    if known is not None:
        items = leave_out_unclassed(items, str(class_column), f"Fill in that column of {metadata}.")
    for item in items:
        item["case"] = item.pop("patient")
    merge_label_files(items, source, output or source, threshold_masks=threshold_masks)
    if len(masks) > 1 and labels is None:
        labels = ["background", *masks]
    found = complete_description(
        items, labels=labels, label_values=label_values, modality=list(channels), threshold_masks=threshold_masks
    )
    classes = sorted({item["class"] for item in items if item["class"]})
    return Dataset(source, source.name, classes=classes, splits={"training": items}, **found)


def _read_patient(folder: Path, channels: dict[str, str], label: dict[str, str]) -> Item:
    files = [file for file in find_files(folder, "**/*") if file.name.lower().endswith(IMAGE_SUFFIXES)]
    masks: dict[int, Path] = {}
    for number, pattern in enumerate(label.values(), start=1):
        matched = _match(files, pattern)
        if len(matched) > 1:
            raise _ambiguous(folder, f"--label {pattern}", matched)
        masks.update((number, file) for file in matched)
    images = []
    for channel, pattern in channels.items():
        found = [file for file in _match(files, pattern) if file not in masks.values()]
        if not found:
            raise DatasetError(
                f"{folder} has no image {pattern} for {channel}. Complete the download, move the folder away, or "
                "correct --images."
            )
        if len(found) > 1:
            raise _ambiguous(folder, f"--images {channel}:{pattern}", found)
        images.append(str(found[0]))
    named: Any = {number: str(file) for number, file in masks.items()} or None
    if named and len(label) == 1:
        named = named[1]  # its values are the labels
    return {"image": images[0] if len(images) == 1 else images, "label": named, "patient": folder.name}


def _match(files: list[Path], pattern: str) -> list[Path]:
    return [file for file in files if fnmatch(file.name.lower(), pattern.lower())]


def _ambiguous(folder: Path, option: str, found: list[Path]) -> DatasetError:
    names = " and ".join(str(file.relative_to(folder)) for file in found[:2])
    return DatasetError(f"{folder}: {option} finds {len(found)} files, {names}, expected one. Narrow the pattern.")


def _read_classes(
    file: Path, patient_column: str, class_column: str, names: dict[str, str] | None
) -> dict[str, str | None]:
    """Patient -> class, None where it is blank."""
    classes: dict[str, str | None] = {}
    for line, row in read_rows(file, patient_column, class_column):
        patient, value = row[patient_column], row[class_column]
        if value and names is not None and value not in names:
            raise DatasetError(
                f"{file}, row {line}: {class_column} is {value!r}, expected one of {', '.join(names)}. "
                "Add it to --class_names, or blank it to leave the patient out."
            )
        name = (names[value] if names else value) if value else None
        if classes.setdefault(patient, name) != name:
            raise DatasetError(
                f"{file}, row {line}: {patient} has {class_column} {name!r} here and {classes[patient]!r} before. "
                "Give each patient one."
            )
    return classes
