"""A trained classifier of features, taken only for features that are like those it has learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.data.classified_features import ClassifiedFeatures
from scripts.data.contract import DatasetError
from scripts.data.feature_source import describe_features
from scripts.data.splits import refuse_known_patients
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.weights import Weights, open_weights

CLASSIFIER = "scripts.networks.feature_classifier.build_feature_classifier"


def load_feature_classifier(
    weights: Weights, dataset: ClassifiedFeatures, device: torch.device, network: nn.Module | None = None
) -> nn.Module:
    """A trained classifier, once it is known that it may judge these features; for configs.

    Args:
        dataset: what it is to judge.
        network: takes the weights in place of a new one.

    Raises:
        CheckpointError: weights that do not say of which features they are, or cannot be loaded.
        DatasetError: features of another network, level, shape or standardisation, other classes, or a patient that the
            classifier, or the U-Net that made its features, was trained on.
    """
    real = dataset.real
    judged = {item["patient"]: item["split"] for item in real.items if item["patient"] in dataset.patients}
    refuse_known_patients(weights.trained_on, weights.file, judged, str(real.folder))
    if weights.knowledge is not None:
        _check_features(weights, weights.knowledge.features, dataset)
    return weights.load(device, network)


def open_initial_classifier(
    file: str | Path | None, dataset: ClassifiedFeatures, *, trust: bool = False
) -> Weights | None:
    """A classifier whose training goes on with other features of the same kind, see `open_weights`; for configs.

    Args:
        file: of its weights; None gives None.
        dataset: what it is to learn from.
        trust: see `open_weights`.

    Raises:
        CheckpointError: as `open_weights`, or weights that do not say of which features they are.
        DatasetError: features unlike those it has learned, see `load_feature_classifier`, or a patient of their
            validation or test split whom it knows.
    """
    weights = open_weights(file, network=CLASSIFIER, purpose="augmentation", trust=trust)
    if weights is None or weights.knowledge is None:
        return weights
    real = dataset.real
    held_out = {item["patient"]: item["split"] for item in real.items if item["split"] != "training"}
    refuse_known_patients(weights.trained_on, weights.file, held_out, str(real.folder))
    _check_features(weights, weights.knowledge.features, dataset)
    return weights


def _check_features(weights: Weights, learned: dict[str, Any], dataset: ClassifiedFeatures) -> None:
    real = dataset.real
    described = describe_features(real)
    try:
        stored = learned["features"]
        expected = {name: stored[name] for name in ("network_sha256", "level", "feature_shape")}
        classes, scales = stored["classes"], {name: learned[name] for name in ("mean", "std")}
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{weights.file} does not say of which features it is ({type(error).__name__}: {error}), expected what "
            "configs/feature_acgan_classifier_train.json writes. Name the weights that it trained."
        ) from None
    real.expect(**expected)
    if classes != dataset.class_names:
        raise DatasetError(
            f"{real.folder} has the classes {dataset.class_names}, {weights.file} knows {classes}, expected the same. "
            "Extract with the class_key that it was trained with, or train on these features."
        )
    if any(value != described[name] for name, value in scales.items()):
        raise DatasetError(
            f"{real.folder} is standardised by other training features than {weights.file} was trained on. Evaluate on "
            "the features of the same data and fold, or train on these."
        )
