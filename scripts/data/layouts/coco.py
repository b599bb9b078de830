"""COCO: a JSON file of images, boxes and categories for each split."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

from scripts.data.contract import SPLITS, Dataset, DatasetError, Item, stem
from scripts.data.layouts.boxes import make_boxed_dataset, make_item, read_plane, to_pixels
from scripts.data.layouts.files import SPLIT_NAMES

KEYS = ("images", "annotations", "categories")


def read_coco(
    source: Path, *, patient_pattern: str | None = None, modality: Any = None, intensity_range: Any = None
) -> Dataset:
    """JSON files in the folder, in `annotations`, or one folder below; images by their `file_name`.

    A `bbox` is x, y, width, height in pixels. Box classes are the categories in the order of their ids. Files whose
    name or folder says train, val (or valid) and test stay the split. An image without annotation has no lesion.

    Args:
        source: the folder; image files lie in it, in `images`, beside the JSON file, or one folder below these.
        patient_pattern: regular expression with one group, searched in the image's name without suffix; the group
            is the patient. By default each image is a patient.
        modality: names of the channels; by default those of the first image.
        intensity_range: intensities low,high that become -1 and 1; by default 0,255 for colour pictures, else each
            image's own minimum and maximum.

    Raises:
        DatasetError: no or malformed JSON files, different categories, an unknown image or category, a size that is
            not the image's, a box outside its image, a region of a crowd, no match.
    """
    files = sorted({*source.glob("*.json"), *source.glob("*/*.json")} - {source / "dataset.json"})
    contents = {file: _read_json(file) for file in files}
    described = {file: content for file, content in contents.items() if all(key in content for key in KEYS)}
    if not described:
        raise DatasetError(f"{source} has no JSON file with {', '.join(KEYS)}. Name the folder that holds it.")
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    types: dict[int, str] = {}
    for file, content in described.items():
        try:
            found = {int(category["id"]): str(category["name"]) for category in content["categories"]}
            listed = _read_items(file, source, content, sorted(found), patient_pattern)
        except (KeyError, TypeError, IndexError) as error:
            raise DatasetError(f"{file} is no COCO file: {error!r} is missing or of a wrong type.") from None
        if types and found != types:
            raise DatasetError(f"{file} has the categories {found}, the files before it {types}. Make them equal.")
        types = found
        splits[_find_split(file.relative_to(source))] += listed
    names = [types[number] for number in sorted(types)]
    return make_boxed_dataset(source, splits, names, modality=modality, intensity_range=intensity_range)


def _read_items(
    file: Path, source: Path, content: dict[str, Any], numbers: list[int], patient_pattern: str | None
) -> list[Item]:
    """Items of one file; `numbers` are the categories' ids in order."""
    images = {image["id"]: _find_image(file, source, image) for image in content["images"]}
    planes = {number: read_plane(image) for number, image in images.items()}
    for image in content["images"]:
        size = (image.get("width"), image.get("height"))
        if None not in size and size != planes[image["id"]]:
            raise DatasetError(
                f"{file}: {image['file_name']} is given as {size[0]}x{size[1]} pixels, but the file has "
                f"{'x'.join(map(str, planes[image['id']]))}. Restore the image that was annotated."
            )
    boxes: dict[Any, list[tuple[list[int], int]]] = defaultdict(list)
    for annotation in content["annotations"]:
        where, image, kind = (
            f"{file}: annotation {annotation.get('id')}",
            annotation["image_id"],
            annotation["category_id"],
        )
        if image not in images:
            raise DatasetError(f"{where}: no image has the id {image!r}. Add the image or remove the annotation.")
        if kind not in numbers:
            raise DatasetError(
                f"{where}: category {kind!r}, expected one of {numbers}. Correct it, or add the category."
            )
        if annotation.get("iscrowd"):
            raise DatasetError(f"{where}: iscrowd marks a region, not a lesion. Annotate its lesions, or remove it.")
        boxes[image].append((to_pixels(_read_corners(annotation, where), planes[image], where), numbers.index(kind)))
    return [
        make_item(image, boxes[number], name=stem(image), patient_pattern=patient_pattern)
        for number, image in images.items()
    ]


def _read_corners(annotation: dict[str, Any], where: str) -> list[float]:
    try:
        x, y, width, height = (float(value) for value in annotation["bbox"])
    except (KeyError, TypeError, ValueError):
        raise DatasetError(f"{where}: 'bbox' is {annotation.get('bbox')!r}, expected [x, y, width, height].") from None
    return [x, y, x + width, y + height]


def _find_image(file: Path, source: Path, image: dict[str, Any]) -> Path:
    name = image["file_name"]
    roots = [file.parent, source, source / "images"]
    below = [folder for root in roots for folder in sorted(root.glob("*/")) if folder.is_dir()]
    for folder in [*roots, *below]:
        if (folder / name).is_file():
            return folder / name
    raise DatasetError(f"{file}: no image file {name} in {source} or one folder below. Complete the download.")


def _find_split(file: Path) -> str:
    """The split that a file's name or folder says, `instances_train2017.json` or `valid/boxes.json`."""
    words = re.findall("[a-z]+", str(file.with_suffix("")).lower())
    return next((SPLIT_NAMES[word] for word in words if word in SPLIT_NAMES), "training")


def _read_json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DatasetError(f"Cannot read {file}: {error}. Correct the JSON, or move the file elsewhere.") from None
    return content if isinstance(content, dict) else {}
