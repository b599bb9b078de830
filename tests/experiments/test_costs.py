"""What jobs cost: kinds, measured costs, and how long several cores take for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.experiments.costs import OVERHEAD, Cost, estimate, kind, length, makespan, measure, representatives
from scripts.experiments.jobs import Job


def job(name: str, *reads: str, run: str = "train", **more: Any) -> Job:
    return Job(run, Path(name), (Path(name) / "model.pt",), tuple(Path(each) / "model.pt" for each in reads), **more)


def test_jobs_with_the_same_modifiers_are_of_a_kind() -> None:
    assert kind(job("unet_real+classical")) == kind(job("unet_real+redgan+classical")) == "train+classical"
    assert kind(job("unet_real")) == "train"


@pytest.mark.parametrize(
    ("options", "expected"),
    [({"max_epochs": 7}, 7), ({"candidate_epochs": [3, 9]}, 9), ({"total_images": 640}, 640), ({}, 0)],
)
def test_a_training_s_length(options: dict[str, Any], expected: int) -> None:
    assert length(job("a", options=options)) == expected


def test_a_job_of_each_kind_and_what_it_waits_for_are_enough_to_time_all() -> None:
    jobs = [job("a"), job("b"), job("c", "b", run="evaluate"), job("d", "c", run="plan"), job("e", "a", run="plan")]
    assert {each.folder.name for each in representatives(jobs)} == {"a", "b", "c", "d"}


def test_an_epoch_costs_what_it_trains_and_what_lies_between_two(tmp_path: Path) -> None:
    training = Job("train", tmp_path / "a", (tmp_path / "a" / "model.pt",), options={"max_epochs": 2})
    (tmp_path / "a" / "run").mkdir(parents=True)
    (tmp_path / "a" / "run" / "curves.csv").write_text("epoch,seconds,training_seconds,loss\n1,4,3,0\n2,5,3,0\n")
    training.benchmark.write_text("s\tmax_rss\n17.0\t500.0\n")
    (cost,) = measure([training]).values()
    assert (cost.unit, cost.epoch, cost.start, cost.memory) == (3.0, 2.0, 17 - 6 - 4, 500.0)
    assert cost.seconds(training) == pytest.approx(17.0)
    assert cost.seconds(training, scale=3.0) == pytest.approx(7 + 3 * 10)


def test_a_progressive_training_has_as_many_epochs_however_long_it_is() -> None:
    options = {"total_images": 960, "iterations_per_epoch": 10, "batch_size_at_4_8_16_pixels": [16, 16]}
    assert Cost(5.0, 0.1, 2.0).seconds(job("a", options=options), scale=2.0) == pytest.approx(5 + 2 * 96 + 6 * 2)


def test_an_unknown_kind_costs_as_much_as_others() -> None:
    found = estimate([job("a"), job("b", run="plan")], {"train": Cost(4.0)})
    assert list(found.values()) == [4 + OVERHEAD] * 2


def test_the_last_job_ends_when_a_hand_made_schedule_says() -> None:
    jobs = [job("a"), job("b"), job("c", "a"), job("d", "b", "c"), job("e", priority=10)]
    seconds = {each.output: cost for each, cost in zip(jobs, (3.0, 5.0, 2.0, 4.0, 6.0), strict=True)}
    # Two cores: e 0-6 first, a 0-3, b 3-8, c 6-8, d 8-12.
    assert makespan(jobs, seconds, 2) == 12.0
    assert makespan(jobs, seconds, 1) == 20.0
    assert makespan(jobs, seconds, 8) == 9.0
