"""3D Slicer's segmentations with several layers, which are no label map."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.data.contract import DatasetError


def check_layers(file: str) -> None:
    """Raises DatasetError where an NRRD file (`.seg.nrrd`) holds a list of layers: segments that overlap."""
    if not file.lower().endswith((".nrrd", ".nhdr")):
        return
    with Path(file).open("rb") as stream:
        header = stream.read(1 << 20).partition(b"\n\n")[0].replace(b"\r", b"").decode("latin-1")
    dimension = re.search(r"^dimension:\s*(\d+)", header, re.MULTILINE)
    if dimension and int(dimension[1]) > 3:
        raise DatasetError(
            f"{file} has several layers (channels) of segments that overlap, expected one label map. Export a labelmap "
            "from 3D Slicer, or one file per segment: label_0, label_1 ... of layout table."
        )
