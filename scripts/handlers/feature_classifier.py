"""A trained classifier of features, taken only for features that are like those it has learned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import nn

from scripts.data.classified_features import ClassifiedFeatures
from scripts.data.contract import DatasetError
from scripts.handlers.export import read_trained_on
from scripts.handlers.feature_source import describe_features
from scripts.handlers.training_state import CheckpointError, load_network


def load_feature_classifier(network: nn.Module, file: str | Path, dataset: ClassifiedFeatures) -> nn.Module:
    """The network with a trained classifier's weights, once it is known that it may judge these features; for configs.

    Args:
        network: of the same options.
        file: weights with the `.json` that training wrote beside them.
        dataset: what it is to judge.

    Raises:
        CheckpointError: the file or what says whom and what it was trained on is missing, or of other options.
        DatasetError: features of another network, level, shape or standardisation, other classes, or a patient that the
            classifier, or the U-Net that made its features, was trained on.
    """
    trained_on = set(read_trained_on(file))
    learned = _read_features(file)
    real = dataset.real
    described, stored = describe_features(real), learned["features"]
    real.expect(**{name: stored[name] for name in ("network_sha256", "level", "feature_shape")})
    if stored["classes"] != dataset.class_names:
        raise DatasetError(
            f"{real.folder} has the classes {dataset.class_names}, {file} knows {stored['classes']}, expected the "
            "same. Extract with the class_key that it was trained with, or train on these features."
        )
    if any(learned[name] != described[name] for name in ("mean", "std")):
        raise DatasetError(
            f"{real.folder} is standardised by other training features than {file} was trained on. Evaluate on the "
            "features of the same data and fold, or train on these."
        )
    known = sorted(trained_on & set(dataset.patients))
    if known:
        raise DatasetError(
            f"{file} was trained on patient {known[0]!r}, whom it is to judge, expected patients nobody has learned "
            "from. Choose --split test or validation of the fold that it was trained on."
        )
    return load_network(network, file)


def _read_features(file: str | Path) -> dict[str, Any]:
    beside = Path(file).with_suffix(".json")
    content = json.loads(beside.read_text(encoding="utf-8"))
    try:
        names = ("network_sha256", "level", "feature_shape", "classes")
        features = {name: content["features"][name] for name in names}
        return {"features": features, "mean": content["mean"], "std": content["std"]}
    except (KeyError, TypeError) as error:
        raise CheckpointError(
            f"{beside} does not say of which features {file} is ({type(error).__name__}: {error}), expected what "
            "configs/feature_acgan_classifier_train.json writes. Name the weights that it trained."
        ) from None
