"""Pictures that say of themselves that they are synthetic: PNG with CSV, COCO, and YOLO as Ultralytics reads it."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from scipy import ndimage

from scripts.data.contract import DatasetError, write_json
from scripts.exports.entries import NOTICE, Boxes, Entry, Picture, Selection, show_progress

EIGHT_BITS = "8 bits: stored / 127.5 - 1 is the generator's value in [-1, 1]"
SIXTEEN_BITS = "16 bits: stored / 32767.5 - 1 is the generator's value in [-1, 1]"
BOX_COLUMNS = ["image", "x0", "y0", "x1", "y1", "class"]
SOURCES = ["source_patient", "anatomy_patient"]
PROVENANCE = ["synthetic", "system", *SOURCES, "asked_class", "generator", "generator_sha256", "seed"]


def write_png_csv(folder: Path, selection: Selection) -> None:
    """Writes into an empty folder `images/*.png` of 16 bits, one per channel, `images.csv`, and labels or `boxes.csv`.

    The columns `image` (of several channels `image_0`, `image_1` ...), `label`, `class` and `patient` are those of
    the layout `table` of `prepare`; the others say where an image comes from.
    """
    count = selection.description.channel_count
    columns = ["image"] if count == 1 else [f"image_{n}" for n in range(count)]
    (folder / "images").mkdir()
    if selection.has_masks:
        (folder / "labels").mkdir()
    rows: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for entry in show_progress(selection.entries):
        picture = entry.read()
        row = {**entry.provenance, "synthetic": "yes"}
        for number, (column, channel) in enumerate(zip(columns, picture.plane, strict=True)):
            row[column] = f"images/{entry.name}{'' if count == 1 else f'_{number}'}.png"
            _write_png(folder / row[column], _to_unsigned(channel, np.uint16), entry.mark)
        if picture.label is None:
            boxes += box_rows(row[columns[0]], entry.find_boxes(picture), selection.description.labels)
        else:
            row["label"] = f"labels/{entry.name}.png"
            _write_png(folder / row["label"], picture.label[..., 0], entry.mark)
        rows.append(row)
    write_table(folder / "images.csv", [*columns, "label", "class", "patient", *PROVENANCE], rows)
    if not selection.has_masks:
        write_table(folder / "boxes.csv", BOX_COLUMNS, boxes)
    write_json(folder / "synthetic.json", selection.summary(SIXTEEN_BITS))


def write_coco(folder: Path, selection: Selection, *, channels: Sequence[int]) -> None:
    """Writes `images/*.png` and `annotations/instances_train.json` into an empty folder.

    An instance is a lesion as `find_boxes` sees it: with `bbox` (x, y, width, height) and, of a label map, the whole
    component as `segmentation` in run lengths. Category k is label k. `channels` is one, or three for red, green, blue.
    """
    for name in ("images", "annotations"):
        (folder / name).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, entry in enumerate(show_progress(selection.entries), start=1):
        picture = entry.read()
        _write_channels(folder / "images" / f"{entry.name}.png", entry, picture, channels)
        width, height = picture.image.shape[1:3]
        about = {"id": number, "file_name": f"{entry.name}.png", "width": width, "height": height}
        images.append({**about, "synthetic": entry.provenance})
        for instance in _find_instances(entry, picture):
            annotations.append({"id": len(annotations) + 1, "image_id": number, "iscrowd": 0, **instance})
    lesions = enumerate(selection.description.labels[1:], start=1)
    content = {
        "info": {"description": f"{selection.description.name}. {NOTICE}", "trained_on": selection.trained_on},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [{"id": n, "name": name, "supercategory": "lesion"} for n, name in lesions],
    }
    write_json(folder / "annotations" / "instances_train.json", content)
    write_json(folder / "synthetic.json", {**selection.summary(EIGHT_BITS), "written_channels": list(channels)})


def _find_instances(entry: Entry, picture: Picture) -> list[dict[str, Any]]:
    instances: list[dict[str, Any]] = [
        {"category_id": k + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
        for (x0, y0, x1, y1), k in entry.find_boxes(picture)
    ]
    if picture.label is None:
        return instances
    components, _ = ndimage.label(picture.label[..., 0] > 0, structure=np.ones((3, 3)))  # in the order of the boxes
    for number, instance in enumerate(instances, start=1):
        mask = components == number  # (X, Y)
        flat = mask.ravel()  # x is slowest: COCO's order
        counts = np.diff([0, *np.flatnonzero(np.diff(flat)) + 1, len(flat)]).tolist()  # of zeros and ones in turn
        runs = {"size": [mask.shape[1], mask.shape[0]], "counts": [0, *counts] if flat[0] else counts}
        instance |= {"area": int(mask.sum()), "segmentation": runs}
    return instances


def write_yolo(folder: Path, selection: Selection, *, channels: Sequence[int]) -> None:
    """Writes `images/train`, `labels/train` and `data.yaml`, whose `val` the user must fill in, into an empty folder.

    A line is `class cx cy w h`, the middle and size as shares of the sides; an image without lesion has an empty file.
    `channels` is one, or three for red, green and blue.
    """
    images, labels = (folder / name / "train" for name in ("images", "labels"))
    for made in (images, labels):
        made.mkdir(parents=True)
    for entry in show_progress(selection.entries):
        picture = entry.read()
        _write_channels(images / f"{entry.name}.png", entry, picture, channels)
        width, height = picture.image.shape[1:3]
        lines = [
            f"{k} {(x0 + x1) / 2 / width:.8f} {(y0 + y1) / 2 / height:.8f} "
            f"{(x1 - x0) / width:.8f} {(y1 - y0) / height:.8f}\n"
            for (x0, y0, x1, y1), k in entry.find_boxes(picture)
        ]
        (labels / f"{entry.name}.txt").write_text("".join(lines), encoding="utf-8")
    description = [
        f"# {NOTICE}",
        "# synthetic.json says which generator made each image, from what, and whom that had learned from.",
        "train: images/train",
        "val:  # name the folder of your real validation images here; none of them may be in trained_on",
        "names:",
        *(f"  {n}: {json.dumps(name)}" for n, name in enumerate(selection.description.labels[1:])),
        "",
    ]
    (folder / "data.yaml").write_text("\n".join(description), encoding="utf-8")
    write_json(folder / "synthetic.json", {**selection.summary(EIGHT_BITS), "written_channels": list(channels)})


def check_channels(channels: Sequence[int] | None, modality: Sequence[str]) -> list[int]:
    """The channels of a picture in a format that has one file per image; None stands for all.

    Neither one nor three, or one that the images have not, is a DatasetError.
    """
    chosen = list(range(len(modality))) if channels is None else list(channels)
    if len(chosen) not in (1, 3) or not all(type(c) is int and 0 <= c < len(modality) for c in chosen):
        listed = ", ".join(f"{n}: {name}" for n, name in enumerate(modality))
        raise DatasetError(
            f"A picture would have the channels {chosen}, expected one (grey) or three (red, green, blue) of {listed}. "
            "Pass --channels 0, or such as --channels 0,1,2; the formats png, dicom, decathlon and nnunet keep all."
        )
    return chosen


def write_table(file: Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a CSV file, UTF-8, one header line."""
    with open(file, "w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)


def box_rows(image: str, boxes: Boxes, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of `boxes.csv` for an image."""
    names = BOX_COLUMNS[1:5]
    return [{"image": image, **dict(zip(names, box, strict=True)), "class": labels[k + 1]} for box, k in boxes]


def _write_channels(file: Path, entry: Entry, picture: Picture, channels: Sequence[int]) -> None:
    """Writes one channel as a grey picture, three as a colour picture, of 8 bits."""
    chosen = _to_unsigned(picture.plane[list(channels)], np.uint8)
    _write_png(file, chosen[0] if len(channels) == 1 else chosen, entry.mark)


def _to_unsigned(image: np.ndarray, dtype: type[np.unsignedinteger[Any]]) -> np.ndarray:
    """Values in [-1, 1] as 0 .. the largest of the type, linearly."""
    return np.rint((image + 1) / 2 * np.iinfo(dtype).max).astype(dtype)


def _write_png(file: Path, plane: np.ndarray, mark: str) -> None:
    """Writes whole numbers (X, Y) or (3, X, Y) as a picture, x to the right, y down, marked in its text chunks."""
    text = PngInfo()
    text.add_text("Title", mark)
    text.add_text("Disclaimer", NOTICE)
    Image.fromarray(np.ascontiguousarray(plane.T)).save(file, pnginfo=text)  # (Y, X) or (Y, X, 3)
