"""Any data set, described by a CSV file: one row per image, with its label map, class, patient and split."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.data.contract import SPLITS, Dataset, DatasetError, Item, stem
from scripts.data.layouts.files import SPLIT_NAMES, read_rows


def read_table(
    source: Path, *, labels: Any = None, label_values: Any = None, modality: Any = None, intensity_range: Any = None
) -> Dataset:
    """One item per row; paths are relative to the CSV file's folder.

    Columns: `image`, or `image_0`, `image_1` ... for one file per channel (or their paths in `image`, joined by ;),
    each a file or the folder of a DICOM series, `label` (blank: unlabelled), and optionally `class`, `patient` (by
    default each image is one) and `split` (training, validation or test, in every row or in none). Other columns are
    ignored.

    Args:
        source: the CSV file, in UTF-8.
        labels: names of the labels, background first; by default background, label_1 ... as the files have values.
        label_values: value in the file:label pairs, such as 255:1,128:2; by default found together with the labels.
        modality: names of the channels; by default those of the columns or of the first image.
        intensity_range: intensities low,high that become -1 and 1 (CT: a window in HU); by default 0,255 for colour
            pictures, else each channel's own minimum and maximum.

    Raises:
        DatasetError: a missing column or file, an unknown split, rows with different numbers of images; the message
            names the row, the header being row 1.
    """
    from scripts.data.layouts.contents import complete_description  # loads MONAI: not at --help

    rows = read_rows(source, "label")
    if not rows:
        raise DatasetError(f"{source} has no rows below its header. Write one per image.")
    columns = sorted((name for name in rows[0][1] if name == "image" or name.startswith("image_")), key=_column_order)
    if not columns or ("image" in columns and len(columns) > 1):
        raise DatasetError(f"{source}: image columns {columns}, expected either 'image', or 'image_0', 'image_1' ...")
    has_split = any(row.get("split") for _, row in rows)
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    count = len(_paths(rows[0][1], columns))
    for line, row in rows:
        where = f"{source}, row {line}"
        item = _read_row(where, source.parent, row, columns)
        if len(_paths(row, columns)) != count:
            raise DatasetError(f"{where}: {len(_paths(row, columns))} image files, the first row has {count}.")
        splits[_read_split(where, row) if has_split else "training"].append(item)
    items = [item for listed in splits.values() for item in listed]
    if modality is None and len(columns) > 1 and not all(name.removeprefix("image_").isdigit() for name in columns):
        modality = [name.removeprefix("image_") for name in columns]
    found = complete_description(
        items, labels=labels, label_values=label_values, modality=modality, intensity_range=intensity_range
    )
    classes = sorted({item["class"] for item in items if item["class"]})
    return Dataset(source.parent, source.stem, classes=classes, splits=splits, **found)


def _column_order(name: str) -> int:
    """Numbered columns by number; named ones keep the order of the header."""
    number = name.removeprefix("image_")
    return int(number) if number.isdigit() else 0


def _paths(row: dict[str, str], columns: list[str]) -> list[str]:
    return [path.strip() for name in columns for path in row[name].split(";") if path.strip()]


def _read_row(where: str, folder: Path, row: dict[str, str], columns: list[str]) -> Item:
    if not all(row[name] for name in columns):
        raise DatasetError(f"{where}: no {', '.join(name for name in columns if not row[name])}. Give its path.")
    files = [str(folder / path) for path in _paths(row, columns)]
    label = str(folder / row["label"]) if row["label"] else None
    missing = [file for file in files if not Path(file).exists()]
    if label and not Path(label).is_file():
        missing.append(label)
    if missing:
        raise DatasetError(f"{where}: no file {missing[0]}. Paths are relative to the CSV file's folder.")
    return {
        "image": files[0] if len(files) == 1 else files,
        "label": label,
        "patient": row.get("patient") or stem(files[0]),
        "class": row.get("class") or None,
    }


def _read_split(where: str, row: dict[str, str]) -> str:
    name = row["split"].lower()
    if name not in SPLIT_NAMES:
        raise DatasetError(f"{where}: split is {row['split']!r}, expected {', '.join(SPLITS)} (in every row or none).")
    return SPLIT_NAMES[name]
