"""What training writes beside a feature generator's weights, so that it can be asked for features anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from scripts.data.contract import DatasetError
from scripts.data.feature_format import FeatureDescription
from scripts.data.features import FeatureSet, restore_features
from scripts.handlers.export import read_trained_on
from scripts.handlers.training_state import CheckpointError


def describe_features(features: FeatureSet) -> dict[str, Any]:
    """What a generator has to know of the set it learns from, for `ExportWeights`.

    Returns:
        `features` as `FeatureDescription.to_json` has them, `mean` and `std`, one number per channel.
    """
    return {
        "features": features.description.to_json(),
        "mean": features.mean.tolist(),
        "std": features.std.tolist(),
    }


class FeatureSource:
    """A generator's own account: which features it learned from, of whom, and how they were standardised.

    Args:
        generator_file: weights with the `.json` that training wrote beside them.
        discriminator_file: weights of the discriminator that was trained with it, with theirs.

    Attributes:
        description: of the features; `trained_on` lists the generator's patients.
        mean: (C,) float32.
        std: (C,) float32.

    Raises:
        CheckpointError: a `.json` is missing or is not of a generator of features; the two networks learned from other
            features or patients.
    """

    def __init__(self, generator_file: str | Path, discriminator_file: str | Path) -> None:
        patients, content = _read_account(generator_file)
        if _read_account(discriminator_file) != (patients, content):
            raise CheckpointError(
                f"{discriminator_file} learned from other features or patients than {generator_file}, expected the two "
                "of one training. Name both files of the same --output_dir."
            )
        self.mean, self.std = (np.array(content[name], dtype=np.float32) for name in ("mean", "std"))
        self.description = FeatureDescription.from_json({**content["features"], "trained_on": patients})

    def restore(self, standardised: torch.Tensor) -> torch.Tensor:
        """Standardised features (..., C, H, W) in the scale of the real ones, not below the level's minimum."""
        return restore_features(standardised, self.mean, self.std, minimum=self.description.minimum)


def _read_account(file: str | Path) -> tuple[list[str], dict[str, Any]]:
    patients = read_trained_on(file)
    beside = Path(file).with_suffix(".json")
    content = json.loads(beside.read_text(encoding="utf-8"))
    try:
        description = FeatureDescription.from_json(content["features"])
        lengths = {len(content["mean"]), len(content["std"]), description.feature_shape[0]}
    except (KeyError, TypeError, DatasetError) as error:
        raise CheckpointError(
            f"{beside} does not say of which features {file} is ({type(error).__name__}: {error}), expected what "
            "configs/feature_acgan_train.json writes. Name the weights that it trained."
        ) from None
    if len(lengths) > 1:
        raise CheckpointError(f"{beside} has means or deviations of another number of channels. Train again.")
    return patients, {name: content[name] for name in ("features", "mean", "std")}
