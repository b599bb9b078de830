"""Whether the lesions that a segmenter sees lie in the boxes that were asked for.

Han et al., Learning more with less, 2019, show by eye that lesions appear in the boxes; a segmenter says how often.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.metrics.presence import find_span


def lesion_shares(lesion: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Share (n,) of each box that is lesion, in [0, 1]; NaN for a box outside the image.

    Args:
        lesion: (X, Y) boolean, all lesions of an image.
        boxes: (n, 4) in pixels; every pixel that a box touches counts as inside.
    """
    covered = [lesion[find_span(box, lesion.shape)] for box in boxes]
    return np.array([inside.mean() if inside.size else np.nan for inside in covered])


def area_inside(lesion: np.ndarray, boxes: np.ndarray) -> float:
    """Share of the lesions' area (X, Y) that lies in any of the boxes (n, 4), in [0, 1]; NaN without lesion."""
    asked = np.zeros(lesion.shape, dtype=bool)
    for box in boxes:
        asked[find_span(box, lesion.shape)] = True
    return float((lesion & asked).sum() / lesion.sum()) if lesion.any() else np.nan


def pair_with_others(patients: Sequence[str], seed: int = 0) -> np.ndarray:
    """Another of n elements for each, of another patient where none has more than half of them; each is used once.

    Returns:
        (n,) places 0..n-1, a permutation; only a single element is paired with itself.
    """
    names, owners = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(owners))
    order = order[np.argsort(rng.permutation(len(names))[owners[order]], kind="stable")]  # one patient after another
    largest = int(np.bincount(owners).max(initial=0))
    partners = np.empty_like(order)
    partners[order] = np.roll(order, largest if largest < len(order) else 1)  # a step past the patient's own elements
    return partners
