from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.experiments.compare import compare_arms
from scripts.experiments.tasks import detection, segmentation
from scripts.experiments.tasks.task import TaskScores
from scripts.experiments.verdict import Extent, format_difference, give_verdict
from scripts.scores.results import Arm, Estimate, Metric, Verdict
from tests.experiments.studies import ARMS, make_scores, write_detection, write_segmentation

EXTENT = Extent("python -m scripts study x/study.json", [0, 1], [0], [0, 1, 2, 3])
GAINS = {"real": 0.0, "classical": 0.02, "over": 0.0, "gan": 0.1}


def judge(
    by_fraction: dict[float, TaskScores] | TaskScores, arms: list[Arm] = ARMS, extent: Extent = EXTENT
) -> Verdict:
    study = {1.0: by_fraction} if isinstance(by_fraction, TaskScores) else by_fraction
    task = next(iter(study.values())).task
    return give_verdict(task, compare_arms(study, arms), arms, extent)


def test_a_gan_that_beats_everything_helps() -> None:
    verdict = judge(make_scores(GAINS))
    assert verdict.finding == "helps"
    assert verdict.sentence == "Yes: GAN scored better in Dice than Real only and every cheap alternative."
    (detail,) = verdict.details
    assert detail.startswith("GAN: difference in Dice +0.")
    assert "to Real only (raised, p = .002 after Holm over 5 tests), +0.0" in detail
    assert "to Classical, the best cheap alternative (raised" in detail
    assert verdict.next_command == ""


@pytest.mark.parametrize(("chance", "best", "guess"), [(0.0, 0.004, ""), (0.5, 0.52, ", guessing 0.50")])
def test_arms_that_learned_nothing_tell_nothing(chance: float, best: float, guess: str) -> None:
    scores = make_scores({**GAINS, "gan": -0.1})
    task = replace(scores.task, chance=chance)
    verdict = give_verdict(task, compare_arms({1.0: scores}, ARMS), ARMS, EXTENT, best=best)
    assert verdict.finding == "cannot tell"
    assert verdict.sentence == (
        f"Cannot tell: no network learned the task; the best arm scored {best:.3f} in Dice{guess}."
    )
    assert verdict.next_step.startswith("Train longer")


def test_an_alternative_as_good_leaves_it_open() -> None:
    verdict = judge(make_scores({**GAINS, "over": 0.1}))
    assert verdict.finding == "cannot tell"
    assert verdict.sentence.endswith("than Real only, but a gain over every cheap alternative is not shown.")
    assert "Oversampling, the best cheap alternative (cannot tell" in verdict.details[0]


def test_without_alternatives_it_cannot_help() -> None:
    verdict = judge(make_scores({"real": 0, "gan": 0.1}))
    assert verdict.finding == "cannot tell"
    assert verdict.sentence == (
        "Cannot tell: GAN scored better in Dice than Real only, but no cheap alternative was run."
    )
    assert verdict.details[0].endswith("; no cheap alternative was run.")
    assert verdict.next_step.startswith("Run a cheap alternative too")


def test_all_lowered_harms() -> None:
    verdict = judge(make_scores({**GAINS, "gan": -0.1}))
    assert (verdict.finding, verdict.sentence) == ("harms", "No: GAN scored worse in Dice than Real only.")


def test_an_alternative_that_beats_every_gan_is_an_answer() -> None:
    verdict = judge(make_scores({**GAINS, "over": 0.3}))
    assert (verdict.finding, verdict.sentence) == ("no gain", "No: GAN scored worse in Dice than Oversampling.")
    assert verdict.next_command == ""


def test_one_fraction_suffices_to_help() -> None:
    verdict = judge({0.1: make_scores(GAINS), 1.0: make_scores({**GAINS, "gan": -0.1})})
    assert verdict.finding == "helps"
    assert verdict.sentence.startswith("Yes: GAN at 10% of the patients scored better")
    assert [detail.split(":")[0] for detail in verdict.details] == [
        "GAN at 10% of the patients",
        "GAN at 100% of the patients",
    ]


def test_no_gan_arm() -> None:
    assert judge(make_scores({"real": 0, "over": 0})).sentence.startswith("No arm with a GAN was run")


@pytest.mark.parametrize(
    ("options", "seeds", "why", "command"),
    [
        ({"seeds": {0: -0.2, 1: 0.2}}, [0, 1], "Why: the noise between trainings", "--seeds 0,1,2,3,4"),
        ({"seeds": {7: 0.0}}, [7], "Why: one training", "--seeds 7,0,1,2,3"),
        ({"patients": 6}, [0, 1], "Why: too few patients for 5", "--folds 0,1,2,3"),
        ({"patients": 5}, [0, 1], "Why: too few patients: 5", "--folds 0,1,2,3"),
        ({"spread": 0.3}, [0, 1], "Why: the difference is smaller", "--folds 0,1,2,3"),
        ({"patients": 5, "seeds": {0: 0.0}}, [0], "Why: too few", "--seeds 0,1,2,3,4 --folds 0,1,2,3"),
    ],
)
def test_what_to_run_next(options: dict, seeds: list[int], why: str, command: str) -> None:
    verdict = judge(make_scores(GAINS, **options), extent=replace(EXTENT, seeds=seeds))
    assert verdict.finding in ("cannot tell", "too few")
    assert verdict.details[-1].startswith(why)
    assert verdict.next_command == f"python -m scripts study x/study.json {command}"


def test_no_command_where_all_patients_were_tested() -> None:
    verdict = judge(make_scores(GAINS, patients=6), extent=replace(EXTENT, folds=[0, 1, 2, 3]))
    assert (verdict.next_step, verdict.next_command) == ("Add patients: all folds were tested.", "")


def write_arms(folder: Path, write: Callable[..., Path], values: dict) -> dict[str, dict[int, list[Path]]]:
    return {arm.name: {seed: [write(folder / arm.name / str(seed), values)] for seed in (0, 1)} for arm in ARMS}


@pytest.mark.parametrize("options", [{}, {"patients": 5}, {"seeds": {0: -0.2, 1: 0.2}}, {"spread": 0.3}])
def test_all_tasks_speak_alike_of_the_same_differences(tmp_path: Path, options: dict) -> None:
    """Both tasks as their readers describe them, with the same numbers by patient in the primary metric."""
    found = {f"p{n}": 1 for n in range(6)}
    tasks = [
        detection.read_arms(write_arms(tmp_path / "boxes", write_detection, found)),
        segmentation.read_arms(
            write_arms(tmp_path / "masks", write_segmentation, {patient: [0.5, 0.6] for patient in found})
        ),
    ]
    verdicts = []
    for scores in tasks:
        same = make_scores(GAINS, metric=scores.task.primary, **options)
        study = replace(scores, patients=same.patients, measures=same.measures, seeds=same.seeds, paired={})
        verdict = judge(study)
        assert scores.task.primary.title in verdict.details[0]
        text = " ".join([verdict.sentence, *verdict.details, verdict.next_step, verdict.next_command])
        verdicts.append((verdict.finding, text.replace(scores.task.primary.title, "METRIC")))
    assert verdicts[0] == verdicts[1]


def test_numbers_as_text() -> None:
    assert format_difference(Estimate(0.0211, 0.003, 0.04, 9), Metric("dice", "Dice")) == "+0.021 [0.003, 0.040]"
    millimetres = Metric("hd95_mm", "HD95", "lower", "mm", 1)
    assert format_difference(Estimate(-1.23, float("nan"), float("nan"), 3), millimetres) == "\u22121.2 mm"
