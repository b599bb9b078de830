"""What a MONAI Label server puts in the place of a data set: bare lists of images and labels, and what completes them.

Label replaces `train#dataset#data` and `validate#dataset#data` by lists of `{"image": ..., "label": ...}`. Items of the
contract always have a patient, so these parts leave all other trainings as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.data.contract import Dataset, DatasetError, Item, read_dataset
from scripts.data.slices import SliceDataset
from scripts.data.training import check_synthetic

logger = logging.getLogger(__name__)


def is_bare(items: Sequence[Item]) -> bool:
    """Whether a list of items was sent by a server, which knows files only and may have none."""
    return not any("patient" in item for item in items)


class AddSyntheticSet:
    """Adds a synthetic set, where a folder of that name exists, to the images that a server sends.

    Args:
        synthetic_dir: folder of the set, as the bundle's syntheses write it; it may be missing.
        description: of the images that the network is for. A set of other channels, labels or classes is refused.

    Raises:
        DatasetError: on call: a folder without a data set, a set that does not fit or whose images say nothing of their
            origin, or nothing to train on at all.
    """

    def __init__(self, synthetic_dir: str | Path, description: Dataset) -> None:
        self.folder = Path(synthetic_dir)
        self.description = description

    def __call__(self, items: list[Item]) -> list[Item]:
        if not is_bare(items):
            return items
        made: list[Item] = []
        if self.folder.is_dir():
            synthetic = read_dataset(self.folder)
            check_synthetic(synthetic, self.description)
            made = synthetic.items
            logger.info(f"{len(items)} labelled images, and {len(made)} synthetic ones of {self.folder}")
        if not items and not made:
            raise DatasetError(
                "The server sent no labelled image to train on. Submit at least one label, which the server keeps as "
                "'final', or lower val_split so that not all of them are kept for validation."
            )
        return [*items, *made]


class ElseTraining:
    """Items to validate on: those given, or the real training items where a server keeps none for validation.

    Args:
        training: the training slices. Where they are all synthetic, these count.
    """

    def __init__(self, training: SliceDataset) -> None:
        self.training = training

    def __call__(self, items: list[Item]) -> list[Item]:
        if items:
            return items
        logger.warning("No image was kept for validation: the weights are chosen by their scores on training images.")
        return [item for item in self.training.data if not item.get("synthetic")] or self.training.data
