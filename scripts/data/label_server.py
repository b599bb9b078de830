"""What a MONAI Label server puts in the place of a data set: bare lists of images and labels, and what completes them.

Label replaces `train#dataset#data` and `validate#dataset#data` by lists of `{"image": ..., "label": ...}`. Items of the
contract always have a patient, so these parts leave all other trainings as they are.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from scripts.data.contract import Dataset, DatasetError, Item, read_dataset
from scripts.data.memorised import is_memorised
from scripts.data.slices import SliceDataset
from scripts.data.training import check_synthetic
from scripts.networks.knowledge import read_known_patients
from scripts.networks.weights import open_weights

SEGMENTER = "scripts.networks.resnet_unet.ResNetUNet"

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
        DatasetError: on call: no data set there, one that does not fit, hides its origin or repeats training
            images, or nothing to train on.
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
            is_memorised(self.folder, synthetic.memorisation, None)
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

    Where all `training` slices are synthetic, these count.
    """

    def __init__(self, training: SliceDataset) -> None:
        self.training = training

    def __call__(self, items: list[Item]) -> list[Item]:
        if items:
            return items
        logger.warning("No image was kept for validation: the weights are chosen by their scores on training images.")
        return [item for item in self.training.data if not item.get("synthetic")] or self.training.data


def choose_description(items: Sequence[Item], dataset_dir: str | Path, model_file: str | Path) -> Dataset:
    """The description of the images that a segmenter is trained on: their data set's.

    A MONAI Label server has no data set. What it sends is like what the weights that it goes on with were trained on.
    """
    if not is_bare(items) or not Path(model_file).is_file():
        return read_dataset(dataset_dir)
    weights = open_weights(model_file, network=SEGMENTER, purpose="prediction")
    assert weights is not None
    return weights.images()


def known_patients(training: SliceDataset, model_file: str | Path) -> list[str]:
    """Whom a segmenter will have learned from: the patients of the training slices.

    A MONAI Label server goes on with the weights that it has, so whoever these were trained on belongs to them too.
    """
    goes_on = is_bare([item for item in training.data if not item.get("synthetic")]) and Path(model_file).is_file()
    return sorted({*training.known_patients, *(read_known_patients(model_file) if goes_on else [])})
