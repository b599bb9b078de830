"""When a progressive GAN grows, and which images each of its minibatches holds (Karras et al., 2018, appendix A.1).

Everything is a function of the arguments and the iteration, so that a resumed run goes on at the same place.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch.utils.data import Sampler

from scripts.data.contract import DatasetError
from scripts.networks.pggan import START_SIZE, check_image_size

PUBLISHED_BATCH_SIZES = {4: 128, 8: 128, 16: 128, 32: 64, 64: 32, 128: 16, 256: 8}


@dataclass(frozen=True)
class GrowthPhase:
    """A stretch of training at one resolution, while its newest level fades in or after that."""

    resolution: int  # pixels along each side
    is_fade: bool
    batch_size: int  # images per iteration
    first_iteration: int  # counted from 0
    iterations: int
    images_before: int  # shown before the phase


@dataclass(frozen=True)
class GrowthState:
    """Where training stands in one iteration."""

    resolution: int  # pixels along each side
    alpha: float  # weight of the newest level, in [0, 1]
    batch_size: int  # images of this iteration
    phase: int  # index in `GrowthSchedule.phases`
    images_shown: int  # before this iteration
    is_first: bool  # first iteration of this resolution: optimisers start afresh


@dataclass(frozen=True, kw_only=True)
class GrowthSchedule:
    """Stable at the first resolution; then, per doubling, a phase that fades the new level in and a stable one.

    A phase lasts until it has shown ``images_per_phase`` real images, rounded up to whole iterations, and the last one
    until ``total_images`` were shown altogether. Alpha rises linearly with the images shown, from 0 in the first
    iteration of a fade.

    Raises:
        ValueError: sizes that aren't such powers of two, a resolution without batch size, counts under 1, or a total
            that is reached before the image has grown.
    """

    image_size: int  # the last resolution in pixels; a power of two from 4 to 1024
    images_per_phase: int = 600_000  # as published
    total_images: int | None = 12_000_000  # of the published code; None where the last phase is as long as the others
    batch_sizes: Mapping[int, int] = field(default_factory=lambda: dict(PUBLISHED_BATCH_SIZES))  # or JSON's "4": 128
    first_resolution: int = START_SIZE  # where training starts; a power of two from 4 to `image_size`

    def __post_init__(self) -> None:
        check_image_size(self.image_size)
        known = _doublings(START_SIZE, self.image_size)
        if self.first_resolution not in known:
            raise ValueError(f"first_resolution is {self.first_resolution}: expected one of {known}. Choose one.")
        if self.images_per_phase < 1:
            raise ValueError(f"images_per_phase is {self.images_per_phase}: expected at least 1. Raise it.")
        given = {int(resolution): size for resolution, size in self.batch_sizes.items()}
        if missing := [r for r in self.resolutions if given.get(r, 0) < 1]:
            raise ValueError(
                f"batch_sizes has no positive number of images for {', '.join(map(str, missing))} pixels: expected one "
                f"for each resolution from {self.first_resolution} to {self.image_size}. Add what is missing."
            )
        object.__setattr__(self, "batch_sizes", {r: given[r] for r in self.resolutions})
        last = self.phases[-1]
        if last.iterations < 1:
            raise ValueError(
                f"total_images is {self.total_images}, but growing to {self.image_size} pixels takes "
                f"{last.images_before}. Raise total_images above that, or lower images_per_phase."
            )

    @property
    def resolutions(self) -> list[int]:
        """All resolutions of this schedule, in pixels."""
        return _doublings(self.first_resolution, self.image_size)

    @cached_property
    def phases(self) -> tuple[GrowthPhase, ...]:
        """All phases, in order."""
        stages = [(r, is_fade) for r in self.resolutions for is_fade in (True, False)][1:]  # the first doesn't fade
        phases: list[GrowthPhase] = []
        first_iteration = images_before = 0
        for index, (resolution, is_fade) in enumerate(stages):
            batch_size = self.batch_sizes[resolution]
            images = self.images_per_phase
            if index == len(stages) - 1 and self.total_images is not None:
                images = self.total_images - images_before
            iterations = -(-images // batch_size)
            phases.append(GrowthPhase(resolution, is_fade, batch_size, first_iteration, iterations, images_before))
            first_iteration += iterations
            images_before += iterations * batch_size
        return tuple(phases)

    @property
    def total_iterations(self) -> int:
        """Iterations of the whole training."""
        return self.phases[-1].first_iteration + self.phases[-1].iterations

    def at(self, iteration: int) -> GrowthState:
        """Where training stands in an iteration, counted from 0; a negative one is a ValueError.

        After the end the last phase goes on, so that a last epoch can be completed.
        """
        if iteration < 0:
            raise ValueError(f"iteration is {iteration}: expected one counted from 0. Subtract 1 from Ignite's, once.")
        index = bisect_right(self.phases, iteration, key=lambda phase: phase.first_iteration) - 1
        phase = self.phases[index]
        images = (iteration - phase.first_iteration) * phase.batch_size  # shown in this phase
        return GrowthState(
            resolution=phase.resolution,
            alpha=images / self.images_per_phase if phase.is_fade else 1.0,
            batch_size=phase.batch_size,
            phase=index,
            images_shown=phase.images_before + images,
            is_first=images == 0 and (phase.is_fade or index == 0),
        )

    def first_full_epoch(self, iterations_per_epoch: int) -> int:
        """The first epoch, counted from 1, that ends in the last phase, so that its generator makes full images."""
        return self.phases[-1].first_iteration // iterations_per_epoch + 1

    def snapshot_epochs(self, count: int, iterations_per_epoch: int) -> list[int]:
        """`count` epochs (0 for none) that end in the last phase, evenly apart, the last of the training among them.

        The generators after these epochs all make full images: a cheap ensemble from one training (snapshots).

        Raises:
            ValueError: a negative count, or fewer epochs in the last phase than that.
        """
        last = -(-self.total_iterations // iterations_per_epoch)
        before = self.first_full_epoch(iterations_per_epoch) - 1
        if not 0 <= count <= last - before:
            raise ValueError(
                f"snapshot_count is {count}, but {last - before} epochs end after the last resolution has faded in: "
                "expected a number from 0 to that. Lower it, or lower iterations_per_epoch."
            )
        return [before + round((last - before) * (index + 1) / count) for index in range(count)]


class GrowthBatchSampler(Sampler[list[int]]):
    """Draws each minibatch's images as a function of (seed, epoch) alone, as many as the schedule says.

    Within an epoch every image comes once before any comes again, so only a minibatch across that seam can hold one
    twice. Under DDP the minibatch is that of all ranks, of which each takes every world-size-th image. Of the data set
    only its length counts.

    Raises:
        DatasetError: fewer images than the largest minibatch.
        ValueError: under DDP, a minibatch that doesn't divide between the ranks.
    """

    def __init__(self, dataset: Any, schedule: GrowthSchedule, *, seed: int, iterations_per_epoch: int) -> None:
        self.size = len(dataset)
        self.schedule = schedule
        self.seed = seed
        self.iterations_per_epoch = iterations_per_epoch
        self.epoch = 1
        distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        self.rank = torch.distributed.get_rank() if distributed else 0
        self.world_size = torch.distributed.get_world_size() if distributed else 1
        largest = max(schedule.batch_sizes.values())
        if self.size < largest:
            raise DatasetError(
                f"The data set has {self.size} images, but a minibatch of this schedule has {largest}, without "
                f"repetition. Lower batch_sizes to at most {self.size}, or add images."
            )
        if uneven := [b for b in schedule.batch_sizes.values() if b % self.world_size]:
            raise ValueError(
                f"A minibatch of {uneven[0]} images doesn't divide between {self.world_size} processes. "
                f"Choose batch_sizes that are multiples of {self.world_size}."
            )

    def set_epoch(self, epoch: int) -> None:
        """The epoch that is drawn next, counted from 1 as Ignite does."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.iterations_per_epoch

    def __iter__(self) -> Iterator[list[int]]:
        generator = np.random.default_rng([self.seed, self.epoch])
        first = (self.epoch - 1) * self.iterations_per_epoch
        waiting = np.empty(0, dtype=np.int64)
        for iteration in range(first, first + self.iterations_per_epoch):
            batch_size = self.schedule.at(iteration).batch_size
            if len(waiting) < batch_size:
                waiting = np.concatenate([waiting, generator.permutation(self.size)])
            batch, waiting = waiting[:batch_size], waiting[batch_size:]
            yield batch[self.rank :: self.world_size].tolist()


def _doublings(first: int, last: int) -> list[int]:
    """``first``, twice it, and so on to ``last``."""
    return [first << step for step in range((last // first).bit_length())] if first > 0 else []
