"""SMOTE: synthetic minority over-sampling by interpolation between neighbours of one class (Chawla et al., 2002)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scripts.data.contract import DatasetError

NEIGHBOURS = 5
BLOCK_VALUES = 2**25  # of one block of rows: 128 MiB in float32


class Interpolation(NamedTuple):
    """A point between two rows: `base + share * (neighbour - base)`, share in [0, 1)."""

    base: int
    neighbour: int
    share: float


def draw_interpolations(
    read: Callable[[int], NDArray[np.float32]],
    row_count: int,
    count: int,
    *,
    neighbours: int = NEIGHBOURS,
    seed: int | Sequence[int] = 0,
) -> list[Interpolation]:
    """Which rows of a class to interpolate between, and where.

    Every row is the base equally often, up to once, as in the paper's algorithm; which ones have one more is drawn. The
    neighbour is drawn among the nearest of the whole class. One share serves all values, which gives "a random point
    along the line segment", as the paper's text says; its pseudocode draws one per attribute.

    Args:
        read: (D,) of a row, standardised.
        row_count: rows of the class; fewer than two are a DatasetError where points are wanted.
        count: points wanted.
        neighbours: k; 5 as published, or all others where there are fewer.
    """
    if count < 1:
        return []
    if row_count < 2:
        raise DatasetError(
            f"SMOTE has {row_count} real training features of a class to interpolate between, expected at least 2. "
            "Choose another --balancing, such as oversampling."
        )
    nearest = find_neighbours(read, row_count, min(neighbours, row_count - 1))  # (N, k)
    rng = np.random.default_rng(seed)
    rounds = [rng.permutation(row_count) for _ in range(-(-count // row_count))]
    bases = np.concatenate(rounds)[:count]
    chosen = nearest[bases, rng.integers(0, nearest.shape[1], count)]
    shares = rng.random(count)
    return [Interpolation(*each) for each in zip(bases.tolist(), chosen.tolist(), shares.tolist(), strict=True)]


def find_neighbours(
    read: Callable[[int], NDArray[np.float32]], row_count: int, neighbours: int, *, block_values: int = BLOCK_VALUES
) -> NDArray[np.intp]:
    """The k nearest other rows of each of N rows by Euclidean distance, nearest first, (N, k).

    `read` gives (D,) float32 of a row. Two blocks of rows, of `block_values` numbers each, are in memory at a time, and
    the distances of one block to all rows.
    """
    rows = max(1, block_values // len(read(0)))
    blocks = [range(start, min(start + rows, row_count)) for start in range(0, row_count, rows)]
    nearest = np.empty((row_count, neighbours), dtype=np.intp)
    for own in blocks:
        here = np.stack([read(row) for row in own])  # (B, D)
        norms = np.einsum("nd,nd->n", here, here)[:, None]
        distances = np.empty((len(own), row_count), dtype=np.float32)  # squared
        for other in blocks:
            there = here if other is own else np.stack([read(row) for row in other])
            products = here @ there.T
            distances[:, other.start : other.stop] = norms - 2 * products + np.einsum("nd,nd->n", there, there)
        distances[np.arange(len(own)), list(own)] = np.inf
        nearest[own.start : own.stop] = np.argsort(distances, axis=1, kind="stable")[:, :neighbours]
    return nearest
