"""PNG and CSV: pictures of 16 bits, one per channel, and a row for each image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from scripts.data.contract import write_json
from scripts.exports.entries import Selection, show_progress
from scripts.exports.files import BOX_COLUMNS, SIXTEEN_BITS, box_rows, to_unsigned, write_png, write_table

PROVENANCE = ["synthetic", "system", "source_patient", "asked_class", "generator", "generator_sha256", "seed"]


def write_png_csv(folder: Path, selection: Selection) -> None:
    """Writes `images/*.png`, `images.csv`, and `labels/*.png` or `boxes.csv`.

    The columns `image` (of several channels `image_0`, `image_1` ...), `label`, `class` and `patient` are those of
    the layout `table` of `prepare`; the others say where an image comes from.

    Args:
        folder: exists and is empty.
        selection: with label maps or boxes.
    """
    count = selection.description.channel_count
    columns = ["image"] if count == 1 else [f"image_{n}" for n in range(count)]
    (folder / "images").mkdir()
    if selection.has_masks:
        (folder / "labels").mkdir()
    rows: list[dict[str, Any]] = []
    boxes: list[dict[str, Any]] = []
    for entry in show_progress(selection.entries, len(selection.entries)):
        picture = entry.read()
        row = {**entry.provenance, "synthetic": "yes"}
        for number, (column, channel) in enumerate(zip(columns, picture.plane, strict=True)):
            row[column] = f"images/{entry.name}{'' if count == 1 else f'_{number}'}.png"
            write_png(folder / row[column], to_unsigned(channel, np.uint16), entry.mark)
        if picture.label is None:
            boxes += box_rows(row[columns[0]], entry.find_boxes(picture), selection.description.labels)
        else:
            row["label"] = f"labels/{entry.name}.png"
            write_png(folder / row["label"], picture.label[..., 0], entry.mark)
        rows.append(row)
    write_table(folder / "images.csv", [*columns, "label", "class", "patient", *PROVENANCE], rows)
    if not selection.has_masks:
        write_table(folder / "boxes.csv", BOX_COLUMNS, boxes)
    write_json(folder / "synthetic.json", selection.summary(SIXTEEN_BITS))
