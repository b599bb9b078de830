"""Pictures that are the same, exactly or nearly, under two patients or in two splits."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

GRID = 32  # pictures are compared at 32 x 32 pixels
BANDS, BAND_BITS = 16, 14  # pictures are compared where any of 16 groups of 14 signs agrees
MOST_COMPARED = 8  # pictures of one group that each is compared with; so time grows with the number of pictures
ALIKE = 0.9  # share of the signs that agree in pictures that are nearly the same
FEWEST_SIGNS = 64  # in a picture that has enough to compare


@dataclass(frozen=True)
class Likeness:
    """What is kept of an image to find it again: a hash of its pixels, and the signs of its slopes at 32 x 32."""

    digest: bytes
    signs: np.ndarray  # int8 (2 * GRID * (GRID - 1),): -1, 0, 1


class Pair(NamedTuple):
    """Two pictures that are the same, by their places in the list."""

    first: int
    second: int
    exact: bool


def describe_likeness(image: np.ndarray) -> Likeness | None:
    """The likeness of an image (C, X, Y[, Z]), which for volumes is that of the mean over Z; None if it is constant."""
    if image.min() == image.max() or not np.isfinite(image).all():
        return None
    digest = hashlib.sha256(repr(image.shape).encode() + np.ascontiguousarray(image, np.float32).data).digest()
    plane = image.reshape(*image.shape[:3], -1).mean(axis=(0, 3), dtype=np.float64)  # (X, Y)
    small = torch.nn.functional.interpolate(
        torch.from_numpy(plane)[None, None], size=(GRID, GRID), mode="bilinear", antialias=True
    )[0, 0].numpy()
    steps = np.concatenate([np.diff(small, axis=0).ravel(), np.diff(small, axis=1).ravel()])
    least = 1e-3 * (small.max() - small.min())
    return Likeness(digest, (np.sign(steps) * (np.abs(steps) > least)).astype(np.int8))


def find_same(likenesses: Sequence[Likeness | None]) -> list[Pair]:
    """Pairs of pictures that are the same: exactly, or nearly (stored with loss, scaled, brighter).

    Nearly the same are those whose slopes have the same sign in 90% of the places where either has one: noise and
    texture must agree, not the anatomy alone. Such pairs are looked for among pictures that agree in all of some 14
    signs, for 16 choices of these, each with at most 8 others: linear in the number of pictures. Not found: pictures
    turned, mirrored or cut.
    """
    groups: dict[bytes, list[int]] = defaultdict(list)
    for n, likeness in enumerate(likenesses):
        if likeness is not None:
            groups[likeness.digest].append(n)
    pairs = [Pair(group[0], n, True) for group in groups.values() for n in group[1:]]
    unlike = [group[0] for group in groups.values()]
    if len(unlike) < 2:
        return pairs
    known = [likeness.signs for n in unlike if (likeness := likenesses[n]) is not None]
    signs = np.stack(known)  # (N, 2 * GRID * (GRID - 1))
    compared: set[tuple[int, int]] = set()
    for band in _choose_bands(signs):
        keys = np.packbits(signs[:, band] > 0, axis=1)
        buckets: dict[bytes, list[int]] = defaultdict(list)
        for place, key in enumerate(keys):
            bucket = buckets[key.tobytes()]
            compared |= {(other, place) for other in bucket[-MOST_COMPARED:]}
            bucket.append(place)
    for a, b in sorted(compared):
        told = (signs[a] != 0) | (signs[b] != 0)
        if told.sum() >= FEWEST_SIGNS and (signs[a] == signs[b])[told].mean() >= ALIKE:
            pairs.append(Pair(unlike[a], unlike[b], False))
    return pairs


def _choose_bands(signs: np.ndarray) -> list[np.ndarray]:
    """Places of signs that differ most between these pictures, in groups at random but always the same."""
    balance = np.abs((signs > 0).mean(axis=0) - 0.5)
    places = np.argsort(balance, kind="stable")[: signs.shape[1] // 4]
    generator = np.random.default_rng(0)
    return [generator.choice(places, BAND_BITS, replace=False) for _ in range(BANDS)]
