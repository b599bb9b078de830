"""What training writes beside a feature generator's weights, so that it can be asked for features anywhere."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from scripts.data.contract import DatasetError
from scripts.data.feature_format import FeatureDescription
from scripts.data.features import FeatureSet, restore_features
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.weights import Weights


def describe_features(features: FeatureSet) -> dict[str, Any]:
    """What a generator has to know of the set it learns from; `mean` and `std` have a number per channel."""
    moments = {"mean": features.mean.tolist(), "std": features.std.tolist()}
    return {"features": features.description.to_json(), **moments}


class FeatureSource:
    """A generator's own account: which features it learned from, of whom, and how they were standardised.

    Args:
        generator: its weights.
        discriminator: those of the discriminator that was trained with it.

    Attributes:
        description: of the features; `trained_on` lists the generator's patients.
        mean, std: (C,) float32.

    Raises:
        CheckpointError: weights that say of no features; the two networks learned from other features or patients.
    """

    def __init__(self, generator: Weights, discriminator: Weights) -> None:
        patients, content = generator.trained_on, _read_account(generator)
        if (discriminator.trained_on, _read_account(discriminator)) != (patients, content):
            raise CheckpointError(
                f"{discriminator.file} learned from other features or patients than {generator.file}, expected the two "
                "of one training. Name both files of the same --output_dir."
            )
        self.mean, self.std = (np.array(content[name], dtype=np.float32) for name in ("mean", "std"))
        self.description = FeatureDescription.from_json({**content["features"], "trained_on": patients})

    def restore(self, standardised: torch.Tensor) -> torch.Tensor:
        """Standardised features (..., C, H, W) in the scale of the real ones, not below the level's minimum."""
        return restore_features(standardised, self.mean, self.std, minimum=self.description.minimum)


def _read_account(weights: Weights) -> dict[str, Any]:
    content = {} if weights.knowledge is None else weights.knowledge.features
    try:
        description = FeatureDescription.from_json(content["features"])
        lengths = {len(content["mean"]), len(content["std"]), description.feature_shape[0]}
    except (KeyError, TypeError, DatasetError) as error:
        raise CheckpointError(
            f"{weights.file} does not say of which features it is ({type(error).__name__}: {error}), expected what "
            "configs/feature_acgan_train.json writes beside it. Name the weights that it trained."
        ) from None
    if len(lengths) > 1:
        raise CheckpointError(f"{weights.file} has means or deviations of another number of channels. Train again.")
    return content
