"""YOLO's text files: for each image a file with a line per box, all numbers as shares of the image's sides."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scripts.data.contract import SPLIT_NAMES, SPLITS, Dataset, DatasetError, Item, case_name
from scripts.data.layouts.boxes import is_background, make_boxed_dataset, make_item, parse_types, read_plane, to_pixels
from scripts.data.layouts.files import IMAGE_SUFFIXES, find_files
from scripts.data.layouts.label_maps import FOLDER, fill_polygon, write_label_map

Lesion = tuple[list[int], int, list[float]]  # box in pixels, class, and the corners of an outline in pixels


def read_yolo(
    source: Path, *, output: Path | None = None, labels: Any = None, label_maps: bool = False, modality: Any = None
) -> Dataset:
    """Images with text files of the same name, in `labels` where the image is in `images`, else beside it.

    A line is `class cx cy w h`: the class's number from 0, the middle and the size of the box. An image without file,
    or with an empty one, has no lesion. Folders named train, val (or valid) and test, above or below `images`, stay the
    split. The classes' names are the lines of `classes.txt` or of a `.names` file, or `names` in any YAML file; an
    unused `background` among them is left out. `label_maps` reads lines `class x y x y x y ...`, the corners of an
    outline, and writes them as label maps; their boxes are those around the corners.

    Raises:
        DatasetError: no images or names, a malformed line, an unknown class, a box outside its image, a text file
            without image.
    """
    types = parse_types(labels) if labels is not None else _read_types(source)
    lesions = [name for name in types if not is_background(name)]
    images = [file for file in find_files(source, "**/*") if file.name.lower().endswith(IMAGE_SUFFIXES)]
    images = [file for file in images if file.parent != (output or source) / FOLDER]
    if not images:
        raise DatasetError(f"{source} has no images. Name the folder that holds images and text files.")
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    used = set()
    for image in images:
        parts = image.relative_to(source).parts
        text = _text_file(source, parts)
        used.add(text)
        found = _read_lesions(text, image, types, outlines=label_maps) if text.is_file() else []
        item = make_item(image, [(box, lesions.index(types[kind])) for box, kind, _ in found])
        if label_maps:
            labelled = np.zeros(read_plane(image), np.uint8)
            for _, kind, corners in found:
                labelled[fill_polygon(corners, labelled.shape)] = lesions.index(types[kind]) + 1
            item["label"] = str(write_label_map(output or source, case_name(item, source), labelled))
        split = next((SPLIT_NAMES[part.lower()] for part in parts[:-1] if part.lower() in SPLIT_NAMES), "training")
        splits[split].append(item)
    for text in find_files(source, "**/labels/**/*.txt"):
        if text not in used and text.name != "classes.txt":
            raise DatasetError(f"{text} has no image. Complete the download or remove the file.")
    return make_boxed_dataset(source, splits, lesions, modality=modality)


def _text_file(source: Path, parts: tuple[str, ...]) -> Path:
    """Where the boxes of an image are: its path with the last `images` replaced."""
    folders = list(parts[:-1])
    if "images" in folders:
        folders[len(folders) - 1 - folders[::-1].index("images")] = "labels"
    suffix = next(suffix for suffix in IMAGE_SUFFIXES if parts[-1].lower().endswith(suffix))
    return source.joinpath(*folders, parts[-1][: -len(suffix)] + ".txt")


def _read_lesions(file: Path, image: Path, types: list[str], *, outlines: bool) -> list[Lesion]:
    plane = read_plane(image)
    lesions = []
    for number, line in enumerate(_read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{file}, line {number}"
        try:
            kind, *numbers = (float(field) for field in line.split())
        except ValueError:
            numbers, kind = [], 0.0
        outlined = len(numbers) > 5 and len(numbers) % 2 == 0
        if len(numbers) != 4 and not (outlined and outlines):
            hint = " This is an outline: --label_maps True reads it." if outlined else ""
            raise DatasetError(
                f"{where}: {line.strip()!r}, expected five numbers: class, middle x, middle y, width, height.{hint}"
            )
        if outlines and not outlined:
            raise DatasetError(f"{where}: a box, expected an outline of three corners or more. Leave --label_maps out.")
        if kind not in range(len(types)) or is_background(types[int(kind)]):
            known = ", ".join(f"{n} {name}" for n, name in enumerate(types) if not is_background(name))
            raise DatasetError(f"{where}: class {kind:g}, expected one of: {known}.")
        if not outlined:
            x, y, width, height = numbers
            numbers = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        corners = [share * plane[n % 2] for n, share in enumerate(numbers)]
        box = [min(corners[::2]), min(corners[1::2]), max(corners[::2]), max(corners[1::2])] if outlined else corners
        lesions.append((to_pixels(box, plane, where), int(kind), corners))
    return lesions


def _read_types(source: Path) -> list[str]:
    """The classes in the order of their numbers, which all files that name them must share."""
    files = [source / name for name in ("classes.txt", "labels/classes.txt") if (source / name).is_file()]
    files += find_files(source, "*.names")
    found = {file: [line.strip() for line in _read_text(file).splitlines() if line.strip()] for file in files}
    found |= {file: _parse_yaml(file) for file in find_files(source, "*.y*ml")}
    named = {file: names for file, names in found.items() if names}
    if not named:
        raise DatasetError(
            f"{source} has no classes.txt, *.names or YAML file that names the classes. Write classes.txt with one "
            "name per line in the order of the class numbers, or pass --labels background,metastasis."
        )
    first = next(iter(named))
    for file, names in named.items():
        if names != named[first]:
            raise DatasetError(f"{first} names {named[first]}, {file} {names}. Keep the right one, or pass --labels.")
    return named[first]


def _parse_yaml(file: Path) -> list[str]:
    """The names of a YAML file: `names` as a list, or as numbers from 0 and names; [] for a file without."""
    import yaml

    try:
        content = yaml.safe_load(_read_text(file))
    except yaml.YAMLError as error:
        raise DatasetError(f"{file} is no YAML: {' '.join(str(error).split())}. Correct it.") from None
    names = content.get("names") if isinstance(content, dict) else None
    if isinstance(names, dict):
        if sorted(map(str, names), key=lambda key: (len(key), key)) != [str(n) for n in range(len(names))]:
            raise DatasetError(f"{file}: 'names' has the numbers {list(names)}, expected 0, 1, 2 ... without gaps.")
        names = [name for _, name in sorted(names.items(), key=lambda pair: int(pair[0]))]
    if names is None:
        return []
    if not isinstance(names, list):
        raise DatasetError(f"{file}: 'names' is {names!r}, expected a list of names.")
    if content.get("nc", len(names)) != len(names):
        raise DatasetError(f"{file}: nc is {content['nc']}, but 'names' has {len(names)}. Correct one of them.")
    return [str(name).strip() for name in names]


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"Cannot read {file}: {error}. Save it as text in UTF-8.") from None
