"""YOLO: pictures, a text file of boxes for each, and `data.yaml`, as Ultralytics reads them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from scripts.data.contract import write_json
from scripts.exports.entries import NOTICE, Selection, show_progress
from scripts.exports.files import EIGHT_BITS, choose_channels, write_png


def write_yolo(folder: Path, selection: Selection, *, channels: Sequence[int]) -> None:
    """Writes `images/train/*.png`, `labels/train/*.txt` and `data.yaml`, whose `val` the user must fill in.

    A line is `class cx cy w h`, the middle and size as shares of the sides; an image without lesion has an empty file.

    Args:
        folder: exists and is empty.
        selection: with label maps or boxes.
        channels: one, or three for red, green and blue.
    """
    for name in ("images", "labels"):
        (folder / name / "train").mkdir(parents=True)
    for entry in show_progress(selection.entries, len(selection.entries)):
        picture = entry.read()
        write_png(folder / "images" / "train" / f"{entry.name}.png", choose_channels(picture, channels), entry.mark)
        width, height = picture.image.shape[1:3]
        lines = [
            f"{k} {(x0 + x1) / 2 / width:.8f} {(y0 + y1) / 2 / height:.8f} "
            f"{(x1 - x0) / width:.8f} {(y1 - y0) / height:.8f}\n"
            for (x0, y0, x1, y1), k in entry.find_boxes(picture)
        ]
        (folder / "labels" / "train" / f"{entry.name}.txt").write_text("".join(lines), encoding="utf-8")
    names = [f"  {n}: {json.dumps(name)}" for n, name in enumerate(selection.description.labels[1:])]
    description = [
        f"# {NOTICE}",
        "# synthetic.json says which generator made each image, from what, and whom that had learned from.",
        "train: images/train",
        "val:  # name the folder of your real validation images here; none of them may be in trained_on",
        "names:",
        *names,
        "",
    ]
    (folder / "data.yaml").write_text("\n".join(description), encoding="utf-8")
    write_json(folder / "synthetic.json", {**selection.summary(EIGHT_BITS), "written_channels": list(channels)})
