"""What the image files themselves say of a data set where nobody has: its channels and its labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from monai.data import MetaTensor
from tqdm import tqdm

from scripts.data.contract import DatasetError, Item
from scripts.data.layouts.options import parse_label_values, parse_names
from scripts.transforms.pictures import is_lossy, is_picture
from scripts.transforms.reading import read_image, read_label

logger = logging.getLogger(__name__)

RGB = ["red", "green", "blue"]
MOST_LABELS = 32  # more values than this are a picture or an interpolated map, not labels
MOST_GREYS = 8  # so are more than this that do not count from 0
UNCLEAR = 0.05  # of the pixels above 0, halfway between 0 and 255: a lossy mask of more than one label


def complete_description(
    items: Sequence[Item], *, labels: Any, label_values: Any, modality: Any, threshold_masks: bool = False
) -> dict[str, Any]:
    """The fields `labels`, `label_values`, `modality` and `intensity_range` of a `Dataset`, as given or as found.

    The options are as the command line gives them, None to look. A colour picture has the range 0..255, any other image
    none; one name for a colour picture is that of its three channels. `threshold_masks` reads lossy masks.
    """
    names, values = find_labels(
        items,
        None if labels is None else parse_names(labels, "labels"),
        None if label_values is None else parse_label_values(label_values),
        threshold_masks=threshold_masks,
    )
    if not all(0 <= label < len(names) for label in values.values()):
        raise DatasetError(f"--label_values maps to {sorted(values.values())}, expected labels 0..{len(names) - 1}.")
    found = find_modality(items[0])
    channels = found if modality is None else parse_names(modality, "modality")
    if found == RGB and len(channels) == 1:
        channels = RGB
    if len(channels) != len(found):
        raise DatasetError(
            f"{items[0]['image']} has {len(found)} channels, but {len(channels)} are named: {', '.join(channels)}. "
            "Name each channel of the file, or one file per channel."
        )
    limits = [0.0, 255.0] if found == RGB else None
    return {"modality": channels, "labels": names, "label_values": values, "intensity_range": limits}


def find_modality(item: Item) -> list[str]:
    """Names of the channels of an item: red, green, blue for a colour picture, else channel_0, channel_1 ..."""
    count = read_image(item["image"]).shape[0]
    if count == 3 and isinstance(item["image"], str) and is_picture(item["image"]):
        return RGB
    return ["image"] if count == 1 else [f"channel_{n}" for n in range(count)]


def find_labels(
    items: Sequence[Item],
    names: Sequence[str] | None = None,
    label_values: Mapping[int, int] | None = None,
    *,
    threshold_masks: bool = False,
) -> tuple[list[str], dict[int, int]]:
    """Names of the labels and `label_values`; what is not given comes from reading every label file once.

    Without names they are background, label_1, label_2 ... in the order of the values found, and values that are not
    those numbers are mapped to them, {255: 1} for a usual mask. Where some masks hold 0 and 1, others 0 and 255, both
    are label 1. With the name of one label, pictures that paint it white are {255: 1}. A line says what was found.

    Raises:
        DatasetError: an unreadable label file, a lossy one unless `threshold_masks`, a negative value, more than 32
            values or 8 that do not count from 0, or no value but 0 in any file.
    """
    labelled = [item for item in items if item.get("label")]
    is_binary = names is not None and len(names) == 2 and labelled and all(is_picture(i["label"]) for i in labelled)
    if names is not None and (label_values or not is_binary):
        return list(names), dict(label_values or {})
    found: set[frozenset[int]] = set()
    for item in tqdm(labelled, desc="Reading label values", unit="file"):
        values = np.unique(np.asarray(read_values(item["label"], label_values, threshold_masks=threshold_masks)))
        found.add(frozenset(int(value) for value in values))
        seen = sorted(frozenset[int]().union(*found) - {0})
        allowed = MOST_LABELS if seen == list(range(1, len(seen) + 1)) else MOST_GREYS
        if names is None and (len(seen) > allowed or min(seen, default=0) < 0):
            raise DatasetError(
                f"{item['label']}: label values found so far are {seen[:8]} ..., expected at most {allowed}, none "
                "negative. Name the labels with --labels and map values with --label_values."
            )
    every = sorted(frozenset[int]().union(*found))
    seen = [value for value in every if value]
    if names is not None:
        is_white = 255 in seen and set(seen) <= {1, 255}
        if is_white:
            logger.info(f"The masks hold {', '.join(map(str, every))}: 255 is {names[1]!r}.")
        return list(names), {255: 1} if is_white else {}
    if labelled and not seen:
        raise DatasetError(
            f"None of the {len(labelled)} label maps has a lesion, first {labelled[0]['label']}. Name the right masks, "
            "or the labels with --labels if all images are without lesion."
        )
    if label_values:
        count = max([*seen, *label_values.values()], default=0)
        return ["background", *(f"label_{n}" for n in range(1, count + 1))], dict(label_values)
    if seen == [1, 255] and not any({1, 255} <= values for values in found):
        logger.info("Some masks hold 0 and 1, others 0 and 255: both are label_1.")
        return ["background", "label_1"], {255: 1}
    mapping = {value: n for n, value in enumerate(seen, start=1) if value != n}
    if mapping:
        shown = ", ".join(f"{value} is label_{n}" for n, value in enumerate(seen, start=1))
        logger.info(f"Labels were found in the files: {shown}. --labels and --label_values say otherwise.")
    return ["background", *(f"label_{n}" for n in range(1, len(seen) + 1))], mapping


def read_values(file: str, label_values: Mapping[int, int] | None = None, *, threshold_masks: bool) -> MetaTensor:
    """A label map (1, X, Y[, Z]) as `read_label` reads it; of a lossy mask, on `threshold_masks`, the nearest values.

    Those are 0 and the keys of `label_values`, or 0 and 255; DatasetError where a lossy mask has more and there are no
    `label_values`.
    """
    lossy = is_picture(file) and is_lossy(file)
    if lossy and threshold_masks and not label_values:
        picture = np.asarray(read_image(file, "label")).mean(axis=0)
        unclear = ((picture > 64) & (picture < 191)).sum() / max(1, (picture > 64).sum())
        if unclear > UNCLEAR:
            raise DatasetError(f"{file} holds more than 0 and 255. Say what they mean, --label_values 128:1,255:2.")
    return read_label(file, label_values, threshold_masks=threshold_masks and lossy)
