"""Drafted studies: they suit the data, hold every key, and open."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from scripts.data.contract import Dataset, read_dataset
from scripts.data.phantom import write_phantom
from scripts.experiments.costs import Cost
from scripts.experiments.drafting import (
    CAP,
    Choice,
    Wishes,
    applicable_tasks,
    check_tasks,
    draft_study,
    list_choices,
    useful_systems,
)
from scripts.experiments.fitting import LEAST, MOST, Budget, fit_study, tell_power
from scripts.experiments.outline import Outline, outline_dataset
from scripts.experiments.planning import plan_study
from scripts.experiments.study import Study, open_study
from scripts.nearest_name import OptionError

BOXES = Outline(32, masks=False, classes=(), slices=100)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return read_dataset(write_phantom(tmp_path_factory.mktemp("d") / "mr", patients=15, image_size=32, slices=2))


@pytest.fixture
def outline(dataset: Dataset) -> Outline:
    return outline_dataset(dataset, 0, 32, large=False)


def draft(dataset: Dataset, outline: Outline, choice: Choice, **keys: Any) -> dict[str, Any]:
    keys = {"results_dir": "results/x", "folds": [0], "seeds": [0, 1], **keys}
    return draft_study(str(dataset.root), dataset, outline, choice, keys)


def test_what_a_folder_can_be_used_for(outline: Outline) -> None:
    assert applicable_tasks(outline) == ["segmentation", "detection", "grading"]
    assert applicable_tasks(replace(outline, classes=("A",))) == ["segmentation", "detection"]
    assert applicable_tasks(BOXES) == ["detection"]
    assert useful_systems(BOXES, Wishes(), ["detection"]) == ["cpggan"]


@pytest.mark.parametrize("task", ["segmentation", "detection", "grading"])
def test_a_drafted_study_opens_and_says_every_key(dataset: Dataset, outline: Outline, task: str) -> None:
    systems = useful_systems(outline, Wishes(), [task])
    (choice, *_) = list_choices(outline, Wishes(), [task], systems)
    content = draft(dataset, outline, choice)
    study = open_study(content)
    assert {each.name for each in fields(Study)} - set(content) <= {"phantom"}
    assert set(study.systems) == set(systems)
    assert plan_study(study).jobs


def test_less_is_compared_from_choice_to_choice(outline: Outline) -> None:
    found = list_choices(outline, Wishes(), ["segmentation", "grading"], ["redgan", "lcgan", "feature_acgan"])
    assert list(found[0]) == ["segmentation", "grading"]
    assert found[-1] == {"segmentation": [*found[0]["segmentation"][:2], *found[-1]["segmentation"][2:]]}
    assert not any("lcgan" in arm for arm in found[-1]["segmentation"])
    kept = list_choices(outline, Wishes(arms=["real", "real+redgan"]), ["segmentation"], ["redgan"])
    assert kept == [{"segmentation": ["real", "real+redgan"]}]


def test_several_classes_bring_oversampling(outline: Outline) -> None:
    with_classes, without = (
        list_choices(replace(outline, classes=classes, labels=1), Wishes(), ["segmentation"], ["redgan"])[0][
            "segmentation"
        ]
        for classes in (("A", "B"), ())
    )
    assert {"real+oversampling", "real+redgan:new_masks"} <= set(with_classes)
    assert "real+oversampling" not in without
    assert "real+redgan:third_player:new_masks" in without  # the generator without class


@pytest.mark.parametrize(
    ("wishes", "message"),
    [
        (Wishes(systems=["redgn"]), "no system redgn; did you mean redgan"),
        (Wishes(systems=["feature_acgan"]), "feature_acgan makes nothing for segmentation"),
    ],
)
def test_a_system_that_does_not_suit_is_refused(outline: Outline, wishes: Wishes, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        useful_systems(outline, wishes, ["segmentation"])


@pytest.mark.parametrize(
    ("task", "message"), [("grding", "no task grding; did you mean grading"), ("grading", "grading needs label maps")]
)
def test_a_task_that_does_not_suit_is_refused(dataset: Dataset, task: str, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        check_tasks(BOXES, Wishes(tasks=[task]), dataset)


def test_a_progressive_training_grows_to_its_end_in_24_epochs() -> None:
    growth = replace(BOXES, image_size=64).growth(48_000)
    epochs = growth["total_images"] / growth["iterations_per_epoch"] / 16
    assert (epochs, len(growth["batch_size_at_4_8_16_pixels"])) == (24, 5)
    assert 8 * growth["images_per_phase"] < growth["total_images"] <= 48_384


@pytest.mark.parametrize(("hours", "seeds", "folds"), [(0.1, 2, 1), (1.0, 3, 2), (9.0, 5, 5)])
def test_hours_buy_lengths_then_seeds_and_folds(
    dataset: Dataset, outline: Outline, hours: float, seeds: int, folds: int
) -> None:
    def write(choice: Choice, outline: Outline, folds: Any, seeds: Any) -> dict[str, Any]:
        return draft(dataset, outline, choice, folds=list(folds), seeds=list(seeds))

    choices = list_choices(
        outline, Wishes(arms=["real", "real+classical", "real+redgan"]), ["segmentation"], ["redgan"]
    )
    costs = dict.fromkeys(("train", "train+classical", "redgan_train"), Cost(0.0, 4.0))
    costs |= dict.fromkeys(("plan", "redgan_inference", "redgan_evaluate", "evaluate"), Cost(0.0))
    repeats = [(range(5), range(5)), (range(2), range(3)), ([0], [0, 1])]
    budget = Budget(3600 * hours, 1, costs)
    fitted = fit_study(write, outline, choices, repeats, budget)
    assert (len(fitted["seeds"]), len(fitted["folds"])) == (seeds, folds)
    spent = budget.spent(plan_study(open_study(fitted)).jobs)
    assert spent <= 1.02 * 3600 * hours  # epochs are whole
    assert spent > 0.8 * 3600 * hours or fitted["segmenters"]["unet"]["max_epochs"] == MOST * CAP


def test_too_few_hours_are_refused_with_those_that_would_do(dataset: Dataset, outline: Outline) -> None:
    def write(choice: Choice, outline: Outline, folds: Any, seeds: Any) -> dict[str, Any]:
        return draft(dataset, outline, choice, folds=folds, seeds=seeds)

    choices = list_choices(outline, Wishes(arms=["real", "real+redgan"]), ["segmentation"], ["redgan"])
    costs = {"train": Cost(600.0)}
    with pytest.raises(OptionError, match=r"--hours allows 0.50 more, but half the good lengths .* take [1-9]"):
        fit_study(write, outline, choices, [([0], [0, 1])], Budget(1800, 2, costs))
    assert LEAST < 1


def test_what_can_be_told_is_said_before(content: dict[str, Any]) -> None:
    study = open_study(content)
    assert "5 test patients cannot show anything in 2 tests" in tell_power(study, 5)
    # Bonferroni over 2 tests: (2.2414 + 0.8416) * 0.15 / sqrt(25) = 0.0925
    assert "segmentation: 25 test patients, 2 tests: a difference from about 0.09 on would show" in tell_power(
        study, 25
    )
