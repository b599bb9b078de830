"""How much of the real images synthetic ones reach, and in which order an ensemble's members reach most of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class MemberOrder:
    """The members of an ensemble in the order in which they should be taken."""

    order: list[int]  # members, the one that adds most first
    coverage: list[float]  # after taking 1, 2, ... of them, in 0..1
    single: list[float]  # of each member alone, in 0..1, by ascending member
    images_per_member: int  # images of each that were compared


def coverage(real: ArrayLike, synthetic: ArrayLike, *, k: int = 5) -> float:
    """Share 0..1 of real samples (n, d) in whose ball at least one of the synthetic samples (m, d) lies.

    Naeem et al., Reliable fidelity and diversity metrics for generative models, 2020; their default is k = 5. A real
    sample's ball reaches to the k-th nearest other real sample. The ball is closed, where the authors' code has it
    open: so a real sample with k duplicates, whose radius is 0, is covered by a synthetic duplicate.

    It grows with the number of synthetic samples and shrinks where real ones are alike (neighbouring slices of a
    patient): compare only values at the same real samples and the same number of synthetic ones.

    Raises:
        ValueError: other shapes, no sample, NaN, or a k that is not in 1..n-1.
    """
    return float(covered(real, synthetic, k=k).any(axis=1).mean())


class Neighbourhoods(NamedTuple):
    """What `compare_neighbourhoods` tells; all but the density are shares in 0..1."""

    precision: float
    recall: float
    density: float
    coverage: float


def compare_neighbourhoods(real: ArrayLike, synthetic: ArrayLike, *, k: int = 5) -> Neighbourhoods:
    """Precision, recall, density and coverage of synthetic samples (m, d) beside real ones (n, d).

    A sample's ball reaches to its k-th nearest other of its own kind. Precision: share of synthetic samples in any real
    ball; recall: share of real samples in any synthetic ball (Kynkaanniemi et al. 2019). Density: real balls that a
    synthetic sample lies in, mean, over k, so 1 is expected and more is possible; coverage: see `coverage` (Naeem et
    al. 2020, eq. 1 to 4). The balls are closed, see `coverage`; otherwise these are the figures of their `prdc`.

    All depend on n and m: compare only values at the same ones.

    Raises:
        ValueError: as `coverage`, or a k that is not in 1..m-1.
    """
    balls, others = covered(real, synthetic, k=k), covered(synthetic, real, k=k)  # (n, m), (m, n)
    return Neighbourhoods(
        precision=float(balls.any(axis=0).mean()),
        recall=float(others.any(axis=0).mean()),
        density=float(balls.sum(axis=0).mean() / k),
        coverage=float(balls.any(axis=1).mean()),
    )


def covered(real: ArrayLike, synthetic: ArrayLike, *, k: int) -> Mask:
    """Whether each synthetic sample lies in each real sample's ball, (n, m); see `coverage`."""
    a, b = (np.asarray(features, dtype=np.float64) for features in (real, synthetic))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or not len(a) or not len(b):
        raise ValueError(f"Features of shape {a.shape} and {b.shape}; expected (n, d) and (m, d), n and m from 1.")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("Features hold NaN or infinite values; check the network that made them and its input.")
    if not 1 <= k < len(a):
        raise ValueError(f"k is {k} for {len(a)} real samples, expected 1..{len(a) - 1}: each needs k others.")
    others = cdist(a, a)
    np.fill_diagonal(others, np.inf)
    radii = np.partition(others, k - 1, axis=1)[:, k - 1]  # (n,) distance from the k-th nearest other sample
    return np.asarray(cdist(a, b) <= radii[:, None])


def order_members(real: ArrayLike, synthetic: ArrayLike, members: Sequence[int], *, k: int = 5) -> MemberOrder:
    """Orders members so that each next one adds most covered real samples; ties go to the lowest member.

    Covered samples of a union are a submodular function of the members, so the first N of this order cover at least
    1 - 1/e of what the best N members together could (Nemhauser, Wolsey and Fisher 1978).

    Members are compared at equal numbers of images: the first ones of each, as many as the smallest member has.

    Raises:
        ValueError: as `coverage`, or not one member for each of the (m, d) synthetic samples.
    """
    owner = np.asarray(members)
    if owner.shape != (len(np.asarray(synthetic)),):
        raise ValueError(f"{owner.size} members for {len(np.asarray(synthetic))} synthetic samples; expected as many.")
    balls = covered(real, synthetic, k=k)  # (n, m)
    names, counts = np.unique(owner, return_counts=True)
    count = int(counts.min())
    reached = np.stack([balls[:, np.flatnonzero(owner == name)[:count]].any(axis=1) for name in names])  # (members, n)
    so_far = np.zeros(balls.shape[0], dtype=bool)
    left = list(range(len(names)))
    order, shares = [], []
    while left:
        best = max(left, key=lambda place: int((reached[place] & ~so_far).sum()))  # max keeps the first of equals
        left.remove(best)
        so_far |= reached[best]
        order.append(int(names[best]))
        shares.append(float(so_far.mean()))
    return MemberOrder(order, shares, [float(mask.mean()) for mask in reached], count)
