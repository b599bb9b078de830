"""COCO: a JSON file of images, boxes and categories for each split."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from scripts.data.contract import SPLITS, Dataset, DatasetError, Item, case_name
from scripts.data.json_models import read_object
from scripts.data.layouts.boxes import is_background, make_boxed_dataset, make_item, read_plane, to_pixels
from scripts.data.layouts.files import find_files, find_split
from scripts.data.layouts.label_maps import fill_polygon, fill_runs, write_label_map

logger = logging.getLogger(__name__)

KEYS = ("images", "annotations", "categories")
Annotations = list[dict[str, Any]]


REMEDY = "Correct the JSON, or move the file elsewhere."


def read_coco(source: Path, *, output: Path | None = None, label_maps: bool = False, modality: Any = None) -> Dataset:
    """JSON files in the folder, in `annotations`, or one folder below; images by their `file_name`.

    A `bbox` is x, y, width, height in pixels. Box classes are the categories in the order of their ids, without an
    unused `background`. Files whose name or folder says train, val (or valid) and test stay the split, and their images
    are looked for in folders of that split first; these lie in the source, in `images`, beside the JSON file, or one
    folder below. An image without annotation has no lesion. `label_maps` writes the `segmentation` of the annotations,
    polygons or run lengths, as label maps, where lesions overlap the later one; without it a line says that only boxes
    are read.

    Raises:
        DatasetError: no or malformed JSON files, different categories, an id or image given twice, an unknown one, a
            size that is not the image's, a box outside its image, a region of a crowd.
    """
    files = sorted({*find_files(source, "*.json"), *find_files(source, "*/*.json")} - {source / "dataset.json"})
    contents = {file: read_object(file, REMEDY) for file in files}
    described = {file: content for file, content in contents.items() if all(key in content for key in KEYS)}
    if not described:
        raise DatasetError(f"{source} has no JSON file with {', '.join(KEYS)}. Name the folder that holds it.")
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    types: dict[int, str] = {}
    outlined = 0
    for file, content in described.items():
        for key in KEYS:
            if not isinstance(content[key], list) or not all(isinstance(entry, dict) for entry in content[key]):
                raise DatasetError(f"{file}: '{key}' is no list of objects {{...}}. {REMEDY}")
        try:
            found = _read_categories(file, content["categories"])
            listed, outlines = _read_items(file, source, content, sorted(found))
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise DatasetError(f"{file} is no COCO file: {error!r} is missing or of a wrong type.") from None
        if types and found != types:
            raise DatasetError(f"{file} has the categories {found}, the files before it {types}. Make them equal.")
        types = found
        if label_maps:
            for item, annotations in zip(listed, outlines, strict=True):
                item["label"] = _write_outlines(file, source, output or source, item, annotations, sorted(found))
        outlined += sum(bool(annotation.get("segmentation")) for found_here in outlines for annotation in found_here)
        splits[find_split(file.relative_to(source).with_suffix(""))] += listed
    homes: dict[str, str] = {}
    for split, item in ((split, item) for split, items in splits.items() for item in items):
        if home := homes.get(item["image"]):
            raise DatasetError(f"{source}: {item['image']} is listed twice, in {home} and {split}. Keep one.")
        homes[item["image"]] = split
    if outlined and not label_maps:
        logger.info(
            f"{outlined} annotations have a segmentation: only boxes are read; --label_maps True makes label maps."
        )
    names = [types[number] for number in sorted(types)]
    return make_boxed_dataset(source, splits, names, modality=modality)


def _read_categories(file: Path, categories: Sequence[dict[str, Any]]) -> dict[int, str]:
    found = {int(category["id"]): str(category["name"]) for category in categories}
    if len(found) < len(categories):
        raise DatasetError(f"{file}: a category id is given twice. Give each category its own id.")
    return {number: name for number, name in found.items() if not is_background(name)}


def _read_items(
    file: Path, source: Path, content: dict[str, Any], numbers: list[int]
) -> tuple[list[Item], list[Annotations]]:
    """Items of one file with their annotations; `numbers` are the categories' ids in order."""
    images: dict[Any, Path] = {}
    planes: dict[Any, tuple[int, int]] = {}
    for image in content["images"]:
        number, name, size = image["id"], image["file_name"], (image.get("width"), image.get("height"))
        if number in images:
            raise DatasetError(
                f"{file}: image id {number!r} is given twice, for {images[number].name} and {name}. Give each image "
                "its own id, also in the annotations."
            )
        images[number] = _find_image(file, source, image)
        planes[number] = read_plane(images[number])
        if None not in size and size != planes[number]:
            raise DatasetError(
                f"{file}: {name} is given as {size[0]}x{size[1]} pixels, but the file has "
                f"{'x'.join(map(str, planes[number]))}. Restore the image that was annotated."
            )
    annotations: dict[Any, Annotations] = defaultdict(list)
    boxes: dict[Any, list[tuple[list[int], int]]] = defaultdict(list)
    for annotation in content["annotations"]:
        where = f"{file}: annotation {annotation.get('id')}"
        image, kind = annotation["image_id"], annotation["category_id"]
        if image not in images:
            raise DatasetError(f"{where}: no image has the id {image!r}. Add the image or remove the annotation.")
        if kind not in numbers:
            raise DatasetError(
                f"{where}: category {kind!r}, expected one of {numbers} (background has no boxes). Correct it, or add "
                "the category."
            )
        if annotation.get("iscrowd"):
            raise DatasetError(f"{where}: iscrowd marks a region, not a lesion. Annotate its lesions, or remove it.")
        try:
            x, y, width, height = (float(value) for value in annotation["bbox"])
        except (KeyError, TypeError, ValueError):
            given = annotation.get("bbox")
            raise DatasetError(f"{where}: 'bbox' is {given!r}, expected [x, y, width, height].") from None
        box = to_pixels([x, y, x + width, y + height], planes[image], where)
        boxes[image].append((box, numbers.index(kind)))
        annotations[image].append(annotation)
    items = [make_item(image, boxes[number]) for number, image in images.items()]
    return items, [annotations[number] for number in images]


def _write_outlines(
    file: Path, source: Path, output: Path, item: Item, annotations: Annotations, numbers: list[int]
) -> str:
    """The label map of an image's annotations: label k + 1 of the k-th category."""
    plane = read_plane(Path(item["image"]))
    labels = np.zeros(plane, np.uint8)
    for annotation in annotations:
        where, outline = f"{file}: annotation {annotation.get('id')}", annotation.get("segmentation")
        try:
            if isinstance(outline, dict):
                filled = fill_runs(outline["counts"], plane)
            else:
                filled = np.any([fill_polygon(polygon, plane) for polygon in outline or ()], axis=0)
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{where}: malformed segmentation ({error}). Export the file again.") from None
        if not filled.any():
            raise DatasetError(f"{where}: no segmentation that covers a pixel. Add it, or leave --label_maps out.")
        labels[filled] = numbers.index(annotation["category_id"]) + 1
    return str(write_label_map(output, case_name(item, source), labels))


def _find_image(file: Path, source: Path, image: dict[str, Any]) -> Path:
    """The image file, of several folders the one of the JSON file's split."""
    name = PurePosixPath(str(image["file_name"]).replace("\\", "/"))
    roots = [file.parent, source, source / "images"]
    below = [folder for root in roots for folder in sorted(root.glob("*/")) if folder.is_dir()]
    found = list(dict.fromkeys(folder / name for folder in [*roots, *below] if (folder / name).is_file()))
    if not found:
        raise DatasetError(f"{file}: no image file {name} in {source} or one folder below. Complete the download.")
    split = find_split(file.relative_to(source).with_suffix(""))
    of_split = [path for path in found if find_split(path.relative_to(source).with_suffix("")) == split]
    beside = [path for path in found if path.parent == (file.parent / name).parent]
    first, *others = beside or of_split or found
    if others:
        raise DatasetError(f"{file}: {name} is {first} or {others[0]}. Give the folder in 'file_name'.")
    return first
