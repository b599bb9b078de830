"""The centres of classes' real training features, to which generated ones are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from scripts.data.feature_format import FeatureDescription
from scripts.data.features import FeatureDataset, FeatureSet
from scripts.metrics.class_centre import fit_class_centre


class ClassCentres:
    """How far features lie from the centre of their class, by their standardised channels averaged over space.

    Args:
        features_dir: the real feature set, of whose training rows the centres are.
        quantile: share of a class's real features that lie within its limit, see `fit_class_centre`.
        description: of the features that are to be measured: of the same network, level, shape and classes.

    Attributes:
        limits: class name -> distance of the limit.

    Raises:
        DatasetError: features of another kind, or a class without training row.
        ValueError: as `fit_class_centre`.
    """

    def __init__(self, features_dir: str | Path, quantile: float, description: FeatureDescription) -> None:
        same = ("network_sha256", "level", "feature_shape", "classes")
        self.real = FeatureSet(features_dir).expect(**{name: getattr(description, name) for name in same})
        training = FeatureDataset(self.real)
        pooled = np.stack([_pool(training[n]["feature"]) for n in range(len(training))])  # (N, C)
        patients = np.array([item["patient"] for item in training.items])
        self.centres = {}
        for index, name in enumerate(training.class_names):
            own = training.class_indices == index
            self.centres[name] = fit_class_centre(pooled[own], patients[own], quantile)
        self.limits = {name: centre.limit for name, centre in self.centres.items()}

    def measure(self, features: torch.Tensor, name: str) -> np.ndarray:
        """Distances (B,) of features (B, C, H, W), as real ones are stored, from a class's centre, in limits."""
        return self.centres[name].measure(_pool(self.real.standardise(features)))


def read_class_centres(
    features_dir: str | Path, quantile: float | None, description: FeatureDescription
) -> ClassCentres | None:
    """The centres, None without a quantile; for configs. Errors are those of `ClassCentres`."""
    return None if quantile is None else ClassCentres(features_dir, quantile, description)


def _pool(features: torch.Tensor) -> np.ndarray:
    """(..., C, H, W) averaged over space, (..., C)."""
    return features.mean(dim=(-2, -1)).cpu().numpy()
