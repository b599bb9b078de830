"""Any data set, described by a CSV file: one row per image, with its label map, class, patient and split."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.data.contract import SPLIT_NAMES, SPLITS, Dataset, DatasetError, Item
from scripts.data.layouts.files import read_rows
from scripts.data.layouts.label_maps import merge_label_files
from scripts.data.patients import clean_patients, find_patient_key

logger = logging.getLogger(__name__)

# What columns are called, without case and punctuation; those of the patient are in `PATIENT_KEYS`.
COLUMNS = {
    "image": ("image", "imagepath", "imagefile", "filename", "filepath"),
    "label": ("label", "labelpath", "labelfile", "mask", "maskpath", "maskfile", "segmentation"),
    "class": ("class",),
    "split": ("split",),
}
Row = tuple[int, dict[str, str]]


def read_table(
    source: Path,
    *,
    output: Path | None = None,
    threshold_masks: bool = False,
    labels: Any = None,
    label_values: Any = None,
    modality: Any = None,
) -> Dataset:
    """One item per row of the CSV file `source`; paths are relative to its folder.

    Columns: `image`, or `image_0`, `image_1` ... for one file per channel (or their paths in `image`, joined by ;),
    each a file or the folder of a DICOM series, `label` (blank: unlabelled; several files joined by ; are merged), or
    `label_0`, `label_1` ... for one file per label, and optionally `class`, `patient` and `split` (training, validation
    or test), each in every row or in none. Upper and lower case are the same; `mask`, `filename`, `patient_id`,
    `subject` ... are understood. A line names the columns that are not used.

    Raises:
        DatasetError: a missing column or file, a column given twice, an unknown split, a blank patient among others,
            rows with different numbers of images; the message names the row, the header being row 1.
    """
    from scripts.data.layouts.contents import complete_description  # loads MONAI: not at --help

    rows = _rename(source, read_rows(source))
    header = list(rows[0][1])
    images, masks = _find_columns(source, header, "image"), _find_columns(source, header, "label")
    has_split = any(row.get("split") for _, row in rows)
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    count = len(_paths(rows[0][1], images))
    for line, row in rows:
        where = f"{source}, row {line}"
        item = _read_row(where, source.parent, row, images, masks)
        if len(_paths(row, images)) != count:
            raise DatasetError(f"{where}: {len(_paths(row, images))} image files, the first row has {count}.")
        split = row["split"] if has_split else "training"
        if split.lower() not in SPLIT_NAMES:
            raise DatasetError(f"{where}: split is {split!r}, expected {', '.join(SPLITS)} (in every row or none).")
        splits[SPLIT_NAMES[split.lower()]].append(item)
    items = [item for listed in splits.values() for item in listed]
    for item, name in zip(items, clean_patients([item["class"] for item in items]), strict=True):
        item["class"] = name
    merge_label_files(items, source.parent, output or source.parent, threshold_masks=threshold_masks)
    found = complete_description(
        items,
        labels=["background", *_names(masks)] if labels is None and _are_named(masks) else labels,
        label_values=label_values,
        modality=_names(images) if modality is None and _are_named(images) else modality,
        threshold_masks=threshold_masks,
    )
    classes = sorted({item["class"] for item in items if item["class"]})
    return Dataset(source.parent, source.stem, classes=classes, splits=splits, **found)


def _rename(source: Path, rows: Sequence[Row]) -> list[Row]:
    """The rows with their columns called as this layout does, without those that it does not know."""
    if not rows:
        raise DatasetError(f"{source} has no rows below its header. Write one per image.")
    header = list(rows[0][1])
    patient = find_patient_key(header)
    names: dict[str, str] = {} if patient is None else {patient: "patient"}
    for column in header:
        plain = re.sub("[^a-z0-9]", "", column.lower())
        known = next((name for name, called in COLUMNS.items() if plain in called), None)
        numbered = re.match("(image|label)_(?!id$|name$|number$)(.+)", column, re.IGNORECASE)
        if known or numbered:
            names[column] = known or f"{numbered[1].lower()}_{numbered[2]}"  # type: ignore[index]
    for name in set(names.values()):
        if len(doubled := [column for column in header if names.get(column) == name]) > 1:
            raise DatasetError(f"{source}: columns {' and '.join(doubled)} both mean {name}. Keep one of them.")
    unused = [column for column in header if column not in names]
    if unused:
        logger.info(f"Columns that are not used: {', '.join(unused)}.")
    if patient not in (None, "patient"):
        logger.info(f"The patient is column {patient}.")
    renamed = [(line, {names[column]: value for column, value in row.items() if column in names}) for line, row in rows]
    patients = clean_patients([row.get("patient", "") for _, row in renamed])
    blank = [line for (line, _), named in zip(renamed, patients, strict=True) if named is None]
    if 0 < len(blank) < len(rows):
        raise DatasetError(
            f"{source}, row {blank[0]}: blank patient, as in {len(blank)} of {len(rows)} rows. Fill it in, or remove "
            "the column to have all patients guessed."
        )
    return renamed


def _find_columns(source: Path, header: Sequence[str], kind: str) -> list[str]:
    columns = [name for name in header if name == kind or name.startswith(f"{kind}_")]
    columns.sort(key=lambda name: int(number) if (number := name.rpartition("_")[2]).isdigit() else 0)
    if not columns and kind == "label":
        raise DatasetError(f"{source}: no column label; it has {', '.join(header) or 'none that is known'}.")
    if not columns or (kind in columns and len(columns) > 1):
        raise DatasetError(f"{source}: {kind} columns {columns}, expected '{kind}', or '{kind}_0', '{kind}_1' ...")
    return columns


def _names(columns: Sequence[str]) -> list[str]:
    return [name.partition("_")[2] for name in columns]


def _are_named(columns: Sequence[str]) -> bool:
    return len(columns) > 1 and not all(name.isdigit() for name in _names(columns))


def _paths(row: Mapping[str, str], columns: Sequence[str]) -> list[str]:
    return [path.strip() for name in columns for path in row[name].split(";") if path.strip()]


def _read_row(where: str, folder: Path, row: dict[str, str], images: Sequence[str], masks: Sequence[str]) -> Item:
    if not all(row[name] for name in images):
        raise DatasetError(f"{where}: no {', '.join(name for name in images if not row[name])}. Give its path.")
    files = [str(folder / path) for path in _paths(row, images)]
    label: Any = [str(folder / path) for path in _paths(row, masks)]
    missing = [file for file in files if not Path(file).exists()] + [file for file in label if not Path(file).is_file()]
    if missing:
        raise DatasetError(f"{where}: no file {missing[0]}. Paths are relative to the CSV file's folder.")
    if len(masks) > 1:  # one file per label, of which some may be blank
        label = {n: str(folder / row[name]) for n, name in enumerate(masks, start=1) if row[name]} or None
    return {
        "image": files[0] if len(files) == 1 else files,
        "label": (label[0] if label else None) if isinstance(label, list) and len(label) < 2 else label,
        "patient": row.get("patient"),
        "class": row.get("class") or None,
    }
