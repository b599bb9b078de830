"""Weights as a training leaves them: with what describes them beside them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from scripts.networks.feature_classifier import build_feature_classifier
from scripts.networks.knowledge import describe_weights, write_weights
from scripts.networks.recipe import recipe_of
from scripts.networks.weights import Weights, open_weights


def write_known(
    file: Path, trained_on: Sequence[str] = (), *, network: nn.Module | None = None, **known: Any
) -> Weights:
    """Weights on the disk that know these patients, opened.

    Args:
        file: of the weights.
        trained_on: patients.
        network: of `scripts.networks`; by default one of six weights, where it does not matter which.
        known: the other arguments of `describe_weights`.
    """
    network = build_feature_classifier("linear", [2, 1, 1], 2) if network is None else network
    write_weights(file, network, describe_weights(trained_on=trained_on, **known))
    weights = open_weights(file, network=recipe_of(network).name, purpose="prediction")
    assert weights is not None
    return weights
