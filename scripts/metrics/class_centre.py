"""How far features lie from the centre of their class, and how far real ones do.

Xue et al., Synthetic augmentation and feature-based filtering for improved cervical histopathology image
classification, MICCAI 2019: synthetic images whose features lie far from the centre of the class asked for are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ClassCentre:
    """The mean `centre` (F,) of a class's real features, and the distance `limit` from it that is still allowed."""

    centre: np.ndarray
    limit: float

    def measure(self, features: np.ndarray) -> np.ndarray:
        """Euclidean distances (n,) of features (n, F) from the centre, in units of the limit: above 1 is too far."""
        return np.linalg.norm(features - self.centre, axis=1) / self.limit


def fit_class_centre(features: np.ndarray, patients: Sequence[str], quantile: float) -> ClassCentre:
    """The centre of real training features of one class, and the limit that a share of them lies within.

    Distances of real features are cross-fitted, each from the centre of the other patients' features, as a new
    patient's would be; the only patient of a class is measured from his own.

    Args:
        features: (n, F).
        patients: whose each of them is.
        quantile: share of the real features that lies within the limit, above 0 and up to 1.

    Raises:
        ValueError: a quantile out of range, or features that are all the same.
    """
    if not 0 < quantile <= 1:
        raise ValueError(f"class_centre_quantile is {quantile}, expected a share above 0 and up to 1, such as 0.95.")
    owners = np.asarray(patients)
    distances = np.empty(len(features))
    for patient in np.unique(owners):
        own = owners == patient
        others = features if own.all() else features[~own]
        distances[own] = np.linalg.norm(features[own] - others.mean(axis=0), axis=1)
    limit = float(np.quantile(distances, quantile))
    if limit <= 0:
        raise ValueError(
            f"The {len(features)} real features of a class are all the same, so none can be told to lie far from its "
            "centre. Leave class_centre_quantile out."
        )
    return ClassCentre(features.mean(axis=0), limit)
