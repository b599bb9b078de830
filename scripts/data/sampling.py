"""In what order slices are drawn: seeded by epoch, shared between ranks, balanced between classes or sources."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from scripts.data.contract import DatasetError
from scripts.data.slices import SliceDataset

LESION_FREE = -2  # group of a slice without label; -1 is a slice without class
ALL = "all"  # a word, since the bundle runner ignores None on its command line


class SeededSampler(Sampler[int]):
    """Draws an epoch's slices as a function of (seed, epoch) alone, so that a resumed run sees the same order.

    Without weights every slice comes once before any comes again; with weights slices are drawn with replacement.
    Under DDP each rank takes every world-size-th of the common order.

    Args:
        dataset: what is drawn from; only its length counts.
        seed: of the order.
        weights: relative probability of each slice, (N,); see `class_weights` and `source_weights`.
        samples_per_epoch: length of an epoch over all ranks; None for the size of the data set. A fixed number
            makes arms of different size train equally long.
    """

    def __init__(
        self,
        dataset: Any,
        *,
        seed: int = 0,
        weights: Sequence[float] | np.ndarray | None = None,
        samples_per_epoch: int | None = None,
    ) -> None:
        self.size = len(dataset)
        self.seed = seed
        self.weights = None if weights is None else np.asarray(weights, dtype=float) / np.sum(weights)
        self.samples_per_epoch = samples_per_epoch or self.size
        self.epoch = 0
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if distributed else 0
        self.world_size = torch.distributed.get_world_size() if distributed else 1

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return self.samples_per_epoch // self.world_size

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng([self.seed, self.epoch])
        if self.weights is not None:
            order = generator.choice(self.size, size=self.samples_per_epoch, p=self.weights)
        else:
            rounds = -(-self.samples_per_epoch // self.size)
            order = np.concatenate([generator.permutation(self.size) for _ in range(rounds)])
        return iter(order[: len(self) * self.world_size][self.rank :: self.world_size].tolist())


def class_weights(class_indices: np.ndarray) -> np.ndarray:
    """Weights (N,) under which every class is drawn equally often: one over the class's number of slices."""
    values, inverse, counts = np.unique(class_indices, return_inverse=True, return_counts=True)
    return 1.0 / counts[inverse] / len(values)


def find_rare_groups(dataset: SliceDataset) -> np.ndarray:
    """What is drawn equally often, however rare it is: the group of each slice, (N,) int64.

    Groups are the global classes where the slices have several. Else they are the labels, or box classes: a slice
    belongs to the rarest label inside, the one that the fewest slices contain, or is `LESION_FREE`.

    Raises:
        DatasetError: the slices are of one class and no label is rarer than another.
    """
    if len(np.unique(dataset.class_indices)) > 1:
        return dataset.class_indices
    labels = dataset.labels_inside
    counts = np.bincount(np.concatenate(labels))
    rarest = np.array([min(inside.tolist(), key=counts.__getitem__, default=LESION_FREE) for inside in labels])
    if len(np.unique(rarest[rarest != LESION_FREE])) < 2:
        raise DatasetError(
            "balance_classes is True, but the training slices are of one class and no lesion label is rarer than "
            "another. Leave --balance_classes out, or give the items a 'class' in dataset.json."
        )
    return rarest


def oversampling_weights(groups: np.ndarray) -> np.ndarray:
    """Weights (N,) under which every group is drawn equally often, and lesion-free slices keep their share; sum 1."""
    weights = np.full(len(groups), 1 / len(groups))
    lesion = groups != LESION_FREE
    weights[lesion] = class_weights(groups[lesion]) * lesion.mean()
    return weights


def source_weights(
    dataset: SliceDataset, ratio: float | str = 1.0, *, balance_classes: bool = False
) -> np.ndarray | None:
    """Weights (N,) under which synthetic slices are drawn `ratio` times as often as real ones.

    Larsson et al. 2022, section 3.2: "the real dataset and the synthetic dataset were sampled equally often"; Han et
    al. 2019, section 2.5, advise 1 or 2.

    Slices without lesion keep their share. Where real slices are of both kinds, with lesion and without, each kind is
    drawn as often as among real slices alone, whatever is synthetic, and the ratio holds within a kind: a synthetic set
    that has a lesion in every slice takes draws from real slices with lesion alone. With p the share of a kind, k of
    the n real and m of the synthetic slices, each of its real slices weighs p / (1 + ratio) / k and each of its
    synthetic ones p ratio / (1 + ratio) / m, or p / k each real one where m is 0.

    Args:
        dataset: real and synthetic slices.
        ratio: synthetic slices drawn per real one; "all" draws every slice alike, whatever it is.
        balance_classes: draws rare slices as often as frequent ones (`find_rare_groups`): each source as under
            `oversampling_weights` of its own, within each kind as far as it goes; p is then the kind's share in such
            draws of real slices. With "all", or of one source, as `oversampling_weights`.

    Returns:
        None where all slices are drawn alike.

    Raises:
        ValueError: a ratio that isn't positive, another word, or nothing rare to balance.
    """
    if ratio != ALL and (isinstance(ratio, str) or not ratio > 0):
        raise ValueError(
            f"synthetic_ratio is {ratio!r}, expected a positive number, such as 1, or {ALL!r} for as many as "
            "there are. Leave --synthetic_dir out to train on real images alone."
        )
    synthetic = dataset.is_synthetic
    groups = find_rare_groups(dataset) if balance_classes else np.zeros(len(synthetic), dtype=np.int64)
    if ratio == ALL or not 0 < synthetic.sum() < len(synthetic):
        return oversampling_weights(groups) if balance_classes else None
    assert not isinstance(ratio, str)

    # Each source as it would be drawn alone.
    alone = np.ones(len(synthetic))
    for source in (synthetic, ~synthetic):
        alone[source] = oversampling_weights(groups[source])

    # Each kind's share of the real draws, parted between the sources that have it.
    lesion = dataset.has_lesion
    kinds = [lesion, ~lesion] if 0 < lesion[~synthetic].sum() < (~synthetic).sum() else [np.ones_like(lesion)]
    weights = np.zeros(len(synthetic))
    for kind in kinds:
        real, made = kind & ~synthetic, kind & synthetic
        share = alone[real].sum()
        made_share = share * ratio / (1 + ratio) if made.any() else 0.0
        weights[real] = alone[real] / share * (share - made_share)
        weights[made] = alone[made] / alone[made].sum() * made_share
    return weights
