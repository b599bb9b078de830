"""Finding image files, reading CSV files, and leaving out what they say no class of."""

from __future__ import annotations

import csv
import logging
import re
from collections.abc import Sequence
from pathlib import Path

from scripts.data.contract import SPLIT_NAMES, DatasetError, Item, stem

IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
logger = logging.getLogger(__name__)

_HIDDEN = re.compile(r"\.|__MACOSX$")


def find_files(folder: Path, pattern: str) -> list[Path]:
    """Files below a folder by a pattern of `Path.glob`, in order of name, without hidden ones (macOS leaves `._x`)."""
    found = sorted(file for file in folder.glob(pattern) if file.is_file())
    return [file for file in found if not any(_HIDDEN.match(part) for part in file.relative_to(folder).parts)]


def find_images(folder: Path) -> list[Path]:
    """The image files directly in a folder, in order of name; hidden files (macOS leaves `._x`) are passed over."""
    if not folder.is_dir():
        raise DatasetError(f"No folder {folder}. Name the folder that holds the images.")
    return [file for file in find_files(folder, "*") if file.name.lower().endswith(IMAGE_SUFFIXES)]


def find_folder(source: Path, *names: str) -> Path:
    """The first of the folders `source/name` that exists; DatasetError where none does."""
    for name in names:
        if (source / name).is_dir():
            return source / name
    raise DatasetError(f"{source} has no folder {' or '.join(names)}. Name the folder that holds it.")


def find_split(path: Path) -> str:
    """The split that a word of a path says, as in `instances_train2017` or `valid/boxes`; else training."""
    words = re.findall("[a-z]+", str(path).lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "training")


def index_by_stem(files: list[Path]) -> dict[str, Path]:
    """Files by the name without suffixes; DatasetError where two share one."""
    index: dict[str, Path] = {}
    for file in files:
        other = index.setdefault(stem(file), file)
        if other is not file:
            raise DatasetError(f"{file} and {other.name} share the name {stem(file)!r}. Keep one of them.")
    return index


def pair_images(images: Path, labels: Path) -> dict[str, tuple[Path, Path]]:
    """Image and label file by the name without suffixes that they share, in order of name.

    Raises:
        DatasetError: a folder is missing or has no images; an image without label, or the reverse.
    """
    named, masks = index_by_stem(find_images(images)), index_by_stem(find_images(labels))
    if not named:
        raise DatasetError(f"{images}: the folder of images is empty. Complete the download.")
    unpaired = sorted(named.keys() ^ masks.keys())
    if unpaired:
        raise DatasetError(
            f"{images.parent}: {len(unpaired)} names are only in {images.name} or only in {labels.name}, first "
            f"{(named | masks)[unpaired[0]]}. Give both the same name, or remove it."
        )
    return {name: (image, masks[name]) for name, image in named.items()}


def read_rows(file: Path, *columns: str) -> list[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with the number of the line each ends on; the header is line 1. Blank rows are left out.

    Raises:
        DatasetError: no such file, not text, one of `columns` missing, or a row with more fields than the header.
    """
    rows = []
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream, skipinitialspace=True)
            header = [name.strip() for name in reader.fieldnames or []]
            missing = [name for name in columns if name not in header]
            if missing:
                raise DatasetError(f"{file}: no column {', '.join(missing)}; it has {', '.join(header) or 'none'}.")
            if doubled := [name for name in header if name and header.count(name) > 1]:
                raise DatasetError(f"{file}: the column {doubled[0]} is there twice. Remove or rename one.")
            reader.fieldnames = header
            for row in reader:
                if None in row:
                    raise DatasetError(
                        f"{file}, row {reader.line_num}: more fields than the {len(header)} of the header. "
                        "Quote a field that holds a comma."
                    )
                values = {key: (value or "").strip() for key, value in row.items()}
                if any(values.values()):
                    rows.append((reader.line_num, values))
    except FileNotFoundError:
        raise DatasetError(f"No file {file}. Name the CSV file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"Cannot read {file}: {error}. Save it as CSV in UTF-8.") from None
    return rows


def leave_out_unclassed(items: Sequence[Item], kind: str, remedy: str) -> list[Item]:
    """The items without those that have a label map and no class, whose patients a warning names.

    Items without label map stay: nothing is trained or tested on them. `kind` is what the class is, such as "grade";
    `remedy` says where it could be given, for the DatasetError where no item has one.
    """
    if not any(item["class"] for item in items):
        raise DatasetError(f"No image has a {kind}, expected one for each patient. {remedy}")
    kept = [item for item in items if item["class"] or not item["label"]]
    patients = sorted({item["patient"] for item in items if item["label"] and not item["class"]})
    if patients:
        logger.warning(f"Left out for want of a {kind}: {', '.join(patients)}.")
    return kept
