"""What the image files themselves say of a data set where nobody has: its channels and its labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tqdm import tqdm

from scripts.data.contract import DatasetError, Item
from scripts.data.layouts.options import parse_label_values, parse_names, parse_range
from scripts.transforms.loading import read_image, read_label
from scripts.transforms.pictures import is_picture

RGB = ["red", "green", "blue"]
MOST_LABELS = 32  # more values than this are a picture or an interpolated map, not labels


def complete_description(
    items: Sequence[Item], *, labels: Any, label_values: Any, modality: Any, intensity_range: Any
) -> dict[str, Any]:
    """The fields `labels`, `label_values`, `modality` and `intensity_range` of a `Dataset`, as given or as found.

    Args:
        labels, label_values, modality, intensity_range: options as the command line gives them; None to look. A
            colour picture has the range 0..255, any other image none.
    """
    names, values = find_labels(
        items,
        None if labels is None else parse_names(labels, "labels"),
        None if label_values is None else parse_label_values(label_values),
    )
    if not all(0 <= label < len(names) for label in values.values()):
        raise DatasetError(f"--label_values maps to {sorted(values.values())}, expected labels 0..{len(names) - 1}.")
    channels = find_modality(items[0]) if modality is None else parse_names(modality, "modality")
    limits = ([0.0, 255.0] if channels == RGB else None) if intensity_range is None else parse_range(intensity_range)
    return {"modality": channels, "labels": names, "label_values": values, "intensity_range": limits}


def find_modality(item: Item) -> list[str]:
    """Names of the channels of an item: red, green, blue for a colour picture, else channel_0, channel_1 ..."""
    count = read_image(item["image"]).shape[0]
    if count == 3 and isinstance(item["image"], str) and is_picture(item["image"]):
        return RGB
    return ["image"] if count == 1 else [f"channel_{n}" for n in range(count)]


def find_labels(
    items: Sequence[Item], names: Sequence[str] | None = None, label_values: Mapping[int, int] | None = None
) -> tuple[list[str], dict[int, int]]:
    """Names of the labels and `label_values`; what is not given comes from reading every label file once.

    Without names they are background, label_1, label_2 ... in the order of the values found, and values that are not
    those numbers are mapped to them, {255: 1} for a usual mask.

    Raises:
        DatasetError: an unreadable label file, a negative value, or more than 32 values.
    """
    if names is not None:
        return list(names), dict(label_values or {})
    values: set[int] = set()
    for item in tqdm([item for item in items if item.get("label")], desc="Reading label values", unit="file"):
        values |= {int(value) for value in np.unique(np.asarray(read_label(item["label"], label_values)))}
        if len(values) > MOST_LABELS or min(values) < 0:
            raise DatasetError(
                f"{item['label']}: label values found so far are {sorted(values)[:8]} ..., expected at most "
                f"{MOST_LABELS}, none negative. Name the labels with --labels and map values with --label_values."
            )
    found = sorted(values - {0})
    if label_values:
        count = max([*found, *label_values.values()], default=0)
        return ["background", *(f"label_{n}" for n in range(1, count + 1))], dict(label_values)
    mapping = {value: n for n, value in enumerate(found, start=1) if value != n}
    return ["background", *(f"label_{n}" for n in range(1, len(found) + 1))], mapping
