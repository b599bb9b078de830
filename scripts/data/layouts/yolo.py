"""YOLO's text files: for each image a file with a line per box, all numbers as shares of the image's sides."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from scripts.data.contract import SPLITS, Dataset, DatasetError, Item
from scripts.data.layouts.boxes import make_boxed_dataset, make_item, parse_types, read_plane, to_pixels
from scripts.data.layouts.files import IMAGE_SUFFIXES, SPLIT_NAMES

NAME_FILES = ("classes.txt", "labels/classes.txt", "data.yaml")


def read_yolo(
    source: Path,
    *,
    labels: Any = None,
    patient_pattern: str | None = None,
    modality: Any = None,
    intensity_range: Any = None,
) -> Dataset:
    """Images with text files of the same name, in `labels` where the image is in `images`, else beside it.

    A line is `class cx cy w h`: the class's number from 0, the middle and the size of the box. An image without file,
    or with an empty one, has no lesion. Folders named train, val (or valid) and test, above or below `images`, stay the
    split. The classes' names are the lines of `classes.txt`, or `names` in `data.yaml`.

    Args:
        source: the folder.
        labels: names, background first, where neither file gives them.
        patient_pattern: regular expression with one group, searched in the image's path below the source without
            `images` and suffix; the group is the patient. By default each image is a patient.
        modality: names of the channels; by default those of the first image.
        intensity_range: intensities low,high that become -1 and 1; by default 0,255 for colour pictures, else each
            image's own minimum and maximum.

    Raises:
        DatasetError: no images or names, a malformed line, an unknown class, a box outside its image, a text file
            without image, no match.
    """
    types = parse_types(labels) if labels is not None else _read_types(source)
    images = [
        file
        for file in sorted(source.rglob("*"))
        if file.name.lower().endswith(IMAGE_SUFFIXES)
        and not any(part[0] == "." for part in file.relative_to(source).parts)
    ]
    if not images:
        raise DatasetError(f"{source} has no images. Name the folder that holds images and text files.")
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    used = set()
    for image in images:
        parts = image.relative_to(source).parts
        text = _text_file(source, parts)
        used.add(text)
        name = "/".join(part for part in parts if part != "images")
        boxes = _read_boxes(text, image, types) if text.is_file() else []
        split = next((SPLIT_NAMES[part.lower()] for part in parts[:-1] if part.lower() in SPLIT_NAMES), "training")
        name = name.removesuffix(_suffix(name))
        splits[split].append(make_item(image, boxes, name=name, patient_pattern=patient_pattern))
    for text in sorted(source.rglob("labels/**/*.txt")):
        if text not in used and text.name != "classes.txt":
            raise DatasetError(f"{text} has no image. Complete the download or remove the file.")
    return make_boxed_dataset(source, splits, types, modality=modality, intensity_range=intensity_range)


def _text_file(source: Path, parts: tuple[str, ...]) -> Path:
    """Where the boxes of an image are: its path with the last `images` replaced."""
    folders = list(parts[:-1])
    if "images" in folders:
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    return source.joinpath(*folders, parts[-1].removesuffix(_suffix(parts[-1])) + ".txt")


def _suffix(name: str) -> str:
    return next(name[-len(suffix) :] for suffix in IMAGE_SUFFIXES if name.lower().endswith(suffix))


def _read_boxes(file: Path, image: Path, types: list[str]) -> list[tuple[list[int], int]]:
    plane = read_plane(image)
    boxes = []
    for number, line in enumerate(_read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            kind, x, y, width, height = (float(field) for field in line.split())
        except ValueError:
            raise DatasetError(
                f"{where}: {line.strip()!r}, expected five numbers: class, middle x, middle y, width, height."
            ) from None
        if kind not in range(len(types)):
            raise DatasetError(f"{where}: class {kind:g}, expected 0..{len(types) - 1} ({', '.join(types)}).")
        corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        pixels = [share * side for share, side in zip(corners, plane * 2, strict=True)]
        boxes.append((to_pixels(pixels, plane, where), int(kind)))
    return boxes


def _read_types(source: Path) -> list[str]:
    for file in (source / name for name in NAME_FILES):
        if not file.is_file():
            continue
        text = _read_text(file)
        names = _parse_yaml_names(text) if file.suffix == ".yaml" else [line.strip() for line in text.splitlines()]
        names = [name for name in names if name]
        if not names:
            raise DatasetError(f"{file} names no class. Write one per line into classes.txt, or pass --labels.")
        return names
    raise DatasetError(
        f"{source} has neither {' nor '.join(NAME_FILES)}. Write classes.txt with one name per line in the order of "
        "the class numbers, or pass --labels background,metastasis."
    )


def _parse_yaml_names(text: str) -> list[str]:
    """The list `names` of a data.yaml: in brackets, as lines with dashes, or as lines `0: name`; [] for none."""
    plain = re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)
    inline = re.search(r"^names:\s*\[(.*?)\]", plain, flags=re.MULTILINE | re.DOTALL)
    if inline:
        return [_unquote(name) for name in inline[1].split(",")]
    block = re.search(r"^names:[ \t]*\n((?:[ \t]*(?:-|\d+[ \t]*:)[ \t]+.*\n?|[ \t]*\n)+)", plain, flags=re.MULTILINE)
    lines = re.findall(r"^[ \t]*(-|\d+)[ \t]*:?[ \t]+(.*?)[ \t]*$", block[1], flags=re.MULTILINE) if block else []
    numbers = [key for key, _ in lines if key != "-"]
    if numbers != [str(n) for n in range(len(numbers))]:
        return []
    return [_unquote(name) for _, name in lines]


def _unquote(name: str) -> str:
    return name.strip().strip("'\"").strip()


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"Cannot read {file}: {error}. Save it as text in UTF-8.") from None
