"""Pascal VOC: an XML file per image, with a named object for each box."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.layouts.boxes import make_boxed_dataset, make_item, parse_types, read_plane, to_pixels
from scripts.data.layouts.files import find_files, find_folder, find_images, index_by_stem

Named = tuple[list[int], str, str]  # a box in pixels, the name of its class, and where it is written


def read_voc(source: Path, *, labels: Any = None, first_pixel: int = 1, modality: Any = None) -> Dataset:
    """Images in `JPEGImages` or `images` with XML files of the same name in `Annotations` or `annotations`.

    Corners count pixels from 1 and belong to the box, as published: xmin 1, xmax 4 are the first four columns, here 0
    and 4. With `first_pixel` 0, as some tools write them, they are edges counted from 0: xmin 0, xmax 4 are these
    columns. A file without objects is an image without lesion. `ImageSets` is not read: all images are split by
    patient. Names of labels that are not given are those in the files, sorted.

    Raises:
        DatasetError: no folders or images, an image without XML file or the reverse, malformed XML, an unknown class,
            a size that is not the image's, a box outside its image or counted from 0.
    """
    if first_pixel not in (0, 1):
        raise DatasetError(f"first_pixel is {first_pixel!r}, expected 0 or 1.")
    images = index_by_stem(find_images(find_folder(source, "JPEGImages", "images")))
    folder = find_folder(source, "Annotations", "annotations")
    files = {file.stem: file for file in find_files(folder, "*.xml")}
    unpaired = sorted(images.keys() ^ files.keys())
    if unpaired or not images:
        first = f", first {(images | files)[unpaired[0]]}" if unpaired else ""
        raise DatasetError(
            f"{source}: {len(images)} images, {len(files)} XML files, {len(unpaired)} names only in one folder{first}. "
            "Complete the download; an image without lesion has an XML file without objects."
        )
    found = {name: _read_objects(files[name], image, first_pixel) for name, image in images.items()}
    named = {kind for objects in found.values() for _, kind, _ in objects}
    types = sorted(named) if labels is None else parse_types(labels)
    items: list[Item] = []
    for name, objects in found.items():
        for _, kind, where in objects:
            if kind not in types:
                raise DatasetError(f"{where}: class {kind!r}, expected one of {', '.join(types)}. Correct --labels.")
        items.append(make_item(images[name], [(box, types.index(kind)) for box, kind, _ in objects]))
    return make_boxed_dataset(source, {"training": items}, types, modality=modality)


def _read_objects(file: Path, image: Path, first_pixel: int) -> list[Named]:
    try:
        root = ElementTree.parse(file).getroot()
    except (OSError, ElementTree.ParseError) as error:
        raise DatasetError(f"{file} is no XML file that can be read: {error}. Export it again.") from None
    plane = read_plane(image)
    size = root.find("size")
    if size is not None and (_number(size, "width", file), _number(size, "height", file)) != plane:
        raise DatasetError(
            f"{file} is for an image of {size.findtext('width')}x{size.findtext('height')} pixels, but {image.name} "
            f"has {plane[0]}x{plane[1]}. Restore the image that was annotated."
        )
    objects = []
    for number, found in enumerate(root.iter("object"), start=1):
        where = f"{file}, object {number}"
        kind, corners = (found.findtext("name") or "").strip(), found.find("bndbox")
        if not kind or corners is None:
            raise DatasetError(f"{where}: no {'bndbox' if kind else 'name'}. Export the file again.")
        first = [_number(corners, key, where) - first_pixel for key in ("xmin", "ymin")]
        if min(first) == -1:
            raise DatasetError(f"{where}: xmin or ymin is 0, VOC counts from 1. Pass --first_pixel 0 if all files do.")
        last = [_number(corners, key, where) for key in ("xmax", "ymax")]
        objects.append((to_pixels([*first, *last], plane, where), kind, where))
    return objects


def _number(parent: ElementTree.Element, key: str, where: str | Path) -> float:
    text = parent.findtext(key)
    try:
        return float(text or "")
    except ValueError:
        raise DatasetError(f"{where}: {key} is {text!r}, expected a number. Export the file again.") from None
