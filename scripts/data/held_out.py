"""Validation patients' slices for networks that are trained without labels to validate by, such as generators."""

from __future__ import annotations

import logging
from pathlib import Path

from scripts.data.contract import DatasetError
from scripts.data.slices import SliceDataset
from scripts.data.training import real_items

logger = logging.getLogger(__name__)


def held_out_slices(
    training: SliceDataset, dataset_dir: str | Path, *, fold: int | None = None, boxed: bool = False
) -> SliceDataset | None:
    """The slices of the validation patients, prepared and chosen as those of the training, with nothing random.

    Of data with classes, only of those that are trained on. None, which the log explains, where there are none.

    Args:
        training: the slices that are trained on.
        dataset_dir, fold, boxed: as for `training_items`.
    """
    try:
        items = real_items(dataset_dir, "validation", fold=fold, boxed=boxed)
        classes = {item.get("class") for item in training.data}
        return training.of_items([item for item in items if item.get("class") in classes])
    except DatasetError as error:
        logger.warning(f"No slices are held out, so the last weights are kept, not the best ones: {error}")
        return None
