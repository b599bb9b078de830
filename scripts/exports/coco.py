"""COCO: pictures, and a JSON file of their instances."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage

from scripts.data.contract import write_json
from scripts.exports.entries import NOTICE, Entry, Picture, Selection, show_progress
from scripts.exports.files import EIGHT_BITS, choose_channels, write_png


def write_coco(folder: Path, selection: Selection, *, channels: Sequence[int]) -> None:
    """Writes `images/*.png` and `annotations/instances_train.json`.

    An instance is a lesion as `find_boxes` sees it: with `bbox` (x, y, width, height) and, of a label map, the whole
    component as `segmentation` in run lengths. Category k is label k.

    Args:
        folder: exists and is empty.
        selection: with label maps or boxes.
        channels: one, or three for red, green and blue.
    """
    for name in ("images", "annotations"):
        (folder / name).mkdir()
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, entry in enumerate(show_progress(selection.entries, len(selection.entries)), start=1):
        picture = entry.read()
        write_png(folder / "images" / f"{entry.name}.png", choose_channels(picture, channels), entry.mark)
        width, height = picture.image.shape[1:3]
        images.append(
            {
                "id": number,
                "file_name": f"{entry.name}.png",
                "width": width,
                "height": height,
                "synthetic": entry.provenance,
            }
        )
        for instance in _find_instances(entry, picture):
            annotations.append({"id": len(annotations) + 1, "image_id": number, "iscrowd": 0, **instance})
    labels = selection.description.labels
    content = {
        "info": {"description": f"{selection.description.name}. {NOTICE}", "trained_on": selection.trained_on},
        "licenses": [],
        "images": images,
        "annotations": annotations,
        "categories": [
            {"id": n, "name": name, "supercategory": "lesion"} for n, name in enumerate(labels[1:], start=1)
        ],
    }
    write_json(folder / "annotations" / "instances_train.json", content)
    summary = {**selection.summary(EIGHT_BITS), "written_channels": list(channels)}
    write_json(folder / "synthetic.json", summary)


def _find_instances(entry: Entry, picture: Picture) -> list[dict[str, Any]]:
    boxes = entry.find_boxes(picture)
    instances = [
        {"category_id": k + 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "area": (x1 - x0) * (y1 - y0)}
        for (x0, y0, x1, y1), k in boxes
    ]
    if picture.label is None:
        return instances
    components, _ = ndimage.label(picture.label[..., 0] > 0, structure=np.ones((3, 3)))  # in the order of the boxes
    for number, instance in enumerate(instances, start=1):
        mask = components == number  # (X, Y)
        instance |= {"area": int(mask.sum()), "segmentation": _encode(mask)}
    return instances


def _encode(mask: np.ndarray) -> dict[str, Any]:
    """Run lengths of a mask (X, Y): of zeros and ones in turn, column by column of the picture."""
    flat = mask.ravel()  # x is slowest: COCO's order
    changes = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff([0, *changes, len(flat)]).tolist()
    return {"size": [mask.shape[1], mask.shape[0]], "counts": [0, *counts] if flat[0] else counts}
