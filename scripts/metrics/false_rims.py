"""Thin rims of a label between two others, which reading an ordinal channel back makes up."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SQUARE = np.ones((3, 3), dtype=bool)


def rim_share(label: np.ndarray, foreground_count: int) -> float:
    """Share 0..1 of a lesion's pixels, in a map (X, Y) of 0..foreground_count, that look like a false rim; NaN without.

    A generator that draws a soft edge between label a and label c in one grey channel passes through the levels of the
    labels between them. A pixel counts if its label is thin there (it vanishes under an opening by 3 x 3) and its eight
    neighbours hold both a lower and a higher label. Real masks have such pixels too: compare.
    """
    lesion = label > 0
    if not lesion.any():
        return float("nan")
    highest = ndimage.maximum_filter(label, footprint=SQUARE, mode="nearest")
    lowest = ndimage.minimum_filter(label, footprint=SQUARE, mode="nearest")
    rim = np.zeros(label.shape, dtype=bool)
    for value in range(1, foreground_count):  # the highest label lies between no two others
        region = label == value
        thin = region & ~ndimage.binary_opening(region, structure=SQUARE)
        rim |= thin & (lowest < value) & (highest > value)
    return float(rim.sum() / lesion.sum())
