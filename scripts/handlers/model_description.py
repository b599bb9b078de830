"""What the `.json` beside a segmenter's weights says of it: the images and labels it is for, its sizes and patients."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, Item, read_dataset
from scripts.data.label_server import is_bare
from scripts.data.slices import SliceDataset
from scripts.handlers.export import read_trained_on
from scripts.handlers.training_state import CheckpointError

NAMES = ("modality", "labels", "classes", "label_values", "intensity_range")
SIZES = ("image_size_pixels", "encoder_widths", "decoder_widths")


def describe_model(
    description: Dataset,
    *,
    validated_on: Sequence[str],
    image_size_pixels: int,
    encoder_widths: Sequence[int],
    decoder_widths: Sequence[int],
) -> dict[str, Any]:
    """What a training writes, see `write_trained_on`: names in its data set's description, `SIZES`, `validated_on`.

    The patients of `validated_on` chose the epoch, so that scores on them flatter the weights.
    """
    sizes = (image_size_pixels, list(encoder_widths), list(decoder_widths))
    names = {name: getattr(description, name) for name in NAMES}
    return {"validated_on": sorted(validated_on)} | names | dict(zip(SIZES, sizes, strict=True))


def read_model(model_file: str | Path) -> dict[str, Any]:
    """What `describe_model` gave.

    Raises:
        CheckpointError: nothing beside the weights, or not all of it.
    """
    beside = Path(model_file).with_suffix(".json")
    try:
        model = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        model = {}
    missing = [name for name in ("validated_on", *NAMES, *SIZES) if name not in model]
    if missing:
        raise CheckpointError(
            f"{beside} does not say the {', '.join(missing)} of {model_file}. configs/train.json writes that beside "
            "the weights: copy it with them, or train again."
        )
    label_values = {int(value): label for value, label in model["label_values"].items()}  # JSON made text of them
    return {**model, "label_values": label_values}


def choose_description(items: Sequence[Item], dataset_dir: str | Path, model_file: str | Path) -> Dataset:
    """The description of the images that a segmenter is trained on: their data set's.

    A MONAI Label server has no data set. What it sends is like what the weights that it goes on with were trained on.
    """
    file = Path(model_file)
    if not is_bare(items) or not file.is_file():
        return read_dataset(dataset_dir)
    model = read_model(file)
    return Dataset(file.parent, "images of a server", **{name: model[name] for name in NAMES})


def known_patients(training: SliceDataset, model_file: str | Path) -> list[str]:
    """Whom a segmenter will have learned from: the patients of the training slices.

    A MONAI Label server goes on with the weights that it has, so whoever these were trained on belongs to them too.
    """
    file = Path(model_file)
    goes_on = is_bare([item for item in training.data if not item.get("synthetic")]) and file.is_file()
    return sorted({*training.patients, *(read_trained_on(file) if goes_on else [])})
