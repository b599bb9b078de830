from __future__ import annotations

import dataclasses
import json
from typing import Any

import numpy as np
import pytest
import torch

from scripts.data.contract import DatasetError
from scripts.data.growth import GrowthBatchSampler, GrowthSchedule


def small_schedule(**options: Any) -> GrowthSchedule:
    """4 px: 10 images in 3 minibatches of 4; 8 px: fade of 5 minibatches of 2, then stable ones up to 31 images."""
    arguments = {"image_size": 8, "images_per_phase": 10, "total_images": 31, "batch_sizes": {4: 4, 8: 2}}
    return GrowthSchedule(**{**arguments, **options})


def test_boundaries_by_hand() -> None:
    schedule = small_schedule()
    states = [schedule.at(i) for i in range(schedule.total_iterations)]
    assert schedule.total_iterations == 3 + 5 + 5  # the last phase shows 9 more images, in 5 minibatches of 2
    assert [s.resolution for s in states] == [4] * 3 + [8] * 10
    assert [s.batch_size for s in states] == [4] * 3 + [2] * 10
    assert [s.alpha for s in states] == pytest.approx([1.0] * 3 + [0.0, 0.2, 0.4, 0.6, 0.8] + [1.0] * 5)
    assert [s.phase for s in states] == [0] * 3 + [1] * 5 + [2] * 5
    assert [i for i, s in enumerate(states) if s.is_first] == [0, 3]
    assert [s.images_shown for s in states] == [0, 4, 8, *range(12, 32, 2)]


def test_images_shown_are_the_sum_of_the_minibatches_before() -> None:
    schedule = GrowthSchedule(
        image_size=32, images_per_phase=101, total_images=None, batch_sizes={4: 7, 8: 16, 16: 5, 32: 3}
    )
    shown = 0
    for iteration in range(schedule.total_iterations):
        state = schedule.at(iteration)
        assert state.images_shown == shown
        shown += state.batch_size
    assert schedule.at(schedule.total_iterations).images_shown == shown


def test_the_published_schedule_at_256_pixels() -> None:
    schedule = GrowthSchedule(image_size=256)
    assert [(p.resolution, p.is_fade) for p in schedule.phases[:4]] == [(4, False), (8, True), (8, False), (16, True)]
    assert [(p.resolution, p.is_fade) for p in schedule.phases[-2:]] == [(256, True), (256, False)]
    assert len(schedule.phases) == 13
    assert schedule.phases[-1].images_before == 12 * 600_000 + 5 * 64  # 600,000 / 128 is 4687.5: half a minibatch more
    last = schedule.at(schedule.total_iterations - 1)
    assert last.images_shown + last.batch_size == 12_000_000
    assert schedule.total_iterations == 5 * 4688 + 2 * 9375 + 2 * 18750 + 2 * 37500 + 75_000 + (4_800_000 - 320) // 8


def test_the_whole_schedule_up_to_1024_pixels() -> None:
    schedule = GrowthSchedule(image_size=1024, batch_sizes={2**r: 8 for r in range(2, 11)})
    starts = [p.first_iteration for p in schedule.phases if schedule.at(p.first_iteration).is_first]
    assert starts == [0, *range(75_000, 17 * 75_000 - 75_000, 150_000)]
    assert schedule.total_iterations == 1_500_000


def test_without_total_the_last_phase_is_as_long_as_the_others() -> None:
    assert small_schedule(total_images=None).total_iterations == 3 + 5 + 5
    assert small_schedule(total_images=12 + 10 + 100).total_iterations == 3 + 5 + 50


def test_after_the_end_the_last_phase_goes_on() -> None:
    state = small_schedule().at(1000)
    assert (state.resolution, state.alpha, state.phase, state.is_first) == (8, 1.0, 2, False)


def test_training_may_start_at_any_resolution() -> None:
    schedule = small_schedule(first_resolution=8, batch_sizes={8: 2}, total_images=None)
    assert schedule.total_iterations == 5
    assert schedule.at(0) == dataclasses.replace(schedule.at(4), images_shown=0, is_first=True)
    assert schedule.at(4).alpha == 1.0


def test_batch_sizes_may_come_from_json() -> None:
    sizes = json.loads(json.dumps({4: 4, 8: 2, 16: 1}))
    assert small_schedule(batch_sizes=sizes) == small_schedule()
    assert small_schedule(batch_sizes=sizes).at(0).batch_size == 4


def test_schedule_and_state_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        small_schedule().image_size = 16  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        small_schedule().at(0).alpha = 0.5  # type: ignore[misc]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"image_size": 24}, r"image_size is 24: .* Choose 32"),
        ({"image_size": 32}, r"no positive number of images for 16, 32 pixels: .* from 4 to 32\. Add"),
        ({"batch_sizes": {4: 4, 8: 0}}, "no positive number of images for 8 pixels"),
        ({"first_resolution": 16}, r"first_resolution is 16: expected one of \[4, 8\]"),
        ({"first_resolution": 6}, r"first_resolution is 6: expected one of \[4, 8\]"),
        ({"images_per_phase": 0}, "images_per_phase is 0: expected at least 1"),
        ({"total_images": 22}, "total_images is 22, but growing to 8 pixels takes 22. Raise"),
    ],
)
def test_impossible_schedules_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small_schedule(**options)


def test_a_negative_iteration_is_refused() -> None:
    with pytest.raises(ValueError, match="iteration is -1: expected one counted from 0"):
        small_schedule().at(-1)


def draw(sampler: GrowthBatchSampler, epoch: int) -> list[list[int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


def small_sampler(size: int = 11, seed: int = 3, iterations: int = 4) -> GrowthBatchSampler:
    return GrowthBatchSampler(range(size), small_schedule(), seed=seed, iterations_per_epoch=iterations)


def test_minibatches_have_the_scheduled_sizes() -> None:
    sampler = small_sampler()
    assert len(sampler) == 4
    assert [[len(batch) for batch in draw(sampler, epoch)] for epoch in (1, 2, 4)] == [[4, 4, 4, 2], [2] * 4, [2] * 4]


def test_no_image_comes_twice_before_all_came_once() -> None:
    sampler = small_sampler(iterations=13)
    order = [index for batch in draw(sampler, 1) for index in batch]
    assert len(order) == 12 + 20
    assert sorted(order[:11]) == sorted(order[11:22]) == list(range(11))
    assert order[:11] != order[11:22]
    assert len(set(order[22:])) == 10


def test_the_order_follows_seed_and_epoch_alone() -> None:
    sampler = small_sampler()
    wanted = draw(sampler, 3)
    np.random.seed(0)
    torch.manual_seed(0)
    assert draw(small_sampler(), 3) == wanted
    assert draw(small_sampler(seed=4), 3) != wanted
    assert draw(sampler, 2) != wanted
    assert draw(sampler, 3) == wanted


def test_a_data_loader_draws_by_it() -> None:
    sampler = small_sampler()
    loader = torch.utils.data.DataLoader(torch.arange(11), batch_sampler=sampler)  # type: ignore[arg-type]
    assert len(loader) == 4
    assert [batch.tolist() for batch in loader] == draw(sampler, 1)


def test_ranks_share_each_minibatch(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = draw(small_sampler(), 1)
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    shares = []
    for rank in range(2):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        shares.append(draw(small_sampler(), 1))
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(batch) for batch in alone]
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 3)
    with pytest.raises(ValueError, match=r"4 images doesn't divide between 3 processes\. Choose"):
        small_sampler()


def test_too_few_images_for_a_minibatch_are_refused() -> None:
    with pytest.raises(DatasetError, match=r"has 3 images, but a minibatch .* has 4, .* batch_sizes to at most 3"):
        small_sampler(size=3)
    assert len(draw(small_sampler(size=4), 1)) == 4


def test_snapshots_are_evenly_apart_in_the_last_phase():
    # 2 iterations at 4 px, 2 of the fade, 6 at 8 px
    schedule = GrowthSchedule(image_size=8, images_per_phase=8, total_images=40, batch_sizes={4: 4, 8: 4})
    assert schedule.snapshot_epochs(0, 1) == []
    assert schedule.snapshot_epochs(3, 1) == [6, 8, 10]
    assert schedule.snapshot_epochs(1, 3) == [4]  # epochs 2 to 4 end in it, the last one after the schedule's end
    for wrong in (-1, 7):
        with pytest.raises(ValueError, match=f"snapshot_count is {wrong}, but 6 epochs end after"):
            schedule.snapshot_epochs(wrong, 1)
