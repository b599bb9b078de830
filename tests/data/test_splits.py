"""Splits: no patient in two of them, classes spread evenly, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.splits import (
    assign_folds,
    assign_splits,
    check_disjoint,
    check_synthetic_sources,
    check_trained_on,
    select_fraction,
    select_items,
    split_by_class,
)


def make_items(counts: dict[str | None, int], images: int = 2) -> list[Item]:
    """`images` images for each of so many patients of each class."""
    return [
        {"image": f"{name}{n}_{k}.png", "label": "m.png", "patient": f"{name}{n}", "class": name}
        for name, count in counts.items()
        for n in range(count)
        for k in range(images)
    ]


def make_dataset(**splits: Any) -> Dataset:
    return Dataset(Path("/data"), "test", ["T1"], ["background", "one"], splits=splits)


def patients(items: list[Item]) -> set[str]:
    return {item["patient"] for item in items}


def test_a_patient_has_one_fold() -> None:
    items = assign_folds(make_items({"A": 7, "B": 6}, images=3))
    assert len({(item["patient"], item["fold"]) for item in items}) == 13


def test_each_class_is_spread_as_evenly_as_its_number_allows() -> None:
    items = assign_folds(make_items({"A": 23, "B": 9, "C": 3}, images=1), folds=4)
    for name, count in (("A", 23), ("B", 9), ("C", 3)):
        sizes = Counter(item["fold"] for item in items if item["class"] == name)
        assert {sizes[k] for k in range(4)} <= {count // 4, count // 4 + 1}
    sizes = Counter(item["fold"] for item in items)
    assert max(sizes.values()) - min(sizes.values()) <= 1


def test_the_seed_decides_and_the_order_of_the_items_does_not() -> None:
    items = make_items({"A": 20})
    fold_of = {item["image"]: item["fold"] for item in assign_folds(items, seed=1)}
    assert {item["image"]: item["fold"] for item in assign_folds(items[::-1], seed=1)} == fold_of
    assert {item["image"]: item["fold"] for item in assign_folds(items, seed=2)} != fold_of


def test_the_only_patient_of_a_class_is_trained_on() -> None:
    splits = assign_splits(make_items({"A": 8, "B": 1, "C": 13}))
    assert "B0" in patients(splits["training"])


def test_splits_are_those_of_fold_zero() -> None:
    splits = assign_splits(make_items({"A": 10}))
    assert {item["fold"] for item in splits["test"]} == {0}
    assert {item["fold"] for item in splits["validation"]} == {1}
    assert {item["fold"] for item in splits["training"]} == {2, 3, 4}


@pytest.mark.parametrize(("count", "folds", "message"), [(4, 5, "4 patients cannot fill 5"), (9, 2, "folds is 2")])
def test_too_few_patients_or_folds_are_refused(count: int, folds: int, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        assign_splits(make_items({"A": count}), folds=folds)


def test_a_fold_for_each_class_leaves_one_out() -> None:
    splits = split_by_class(make_items({"C": 1, "A": 4, "B": 2, "D": 3}), ["A", "B", "unseen", "C", "D"])
    named = {split: {item["class"] for item in items} for split, items in splits.items()}
    assert named == {"test": {"A"}, "validation": {"B"}, "training": {"C", "D"}}
    assert {(item["class"], item["fold"]) for items in splits.values() for item in items} == {
        *zip("ABCD", range(4), strict=True)
    }


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"A": 3, "B": 3}, r"needs three classes with patients.*\['A', 'B'\]"),
        ({"A": 1, "B": 1, None: 1}, "'None0' has the classes .*expected one"),
    ],
)
def test_leaving_a_class_out_needs_three_and_every_patient_in_one(counts: dict[str | None, int], message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        split_by_class(make_items(counts), ["A", "B"])


def test_every_patient_is_tested_once_over_the_folds() -> None:
    dataset = make_dataset(**assign_splits(make_items({"A": 11, "B": 4})))
    tested: Counter[str] = Counter()
    for fold in range(5):
        views = [patients(select_items(dataset, split, fold)) for split in ("training", "validation", "test")]
        assert sum(map(len, views)) == len(set.union(*views)) == 15  # disjoint, and none is left out
        tested.update(views[2])
    assert set(tested.values()) == {1}
    assert len(tested) == 15


def test_an_official_test_set_stays_out_of_the_folds() -> None:
    splits = assign_splits(make_items({"A": 10}))
    official = {"image": "o.png", "label": "m.png", "patient": "official", "class": None}
    dataset = make_dataset(**{**splits, "test": [*splits["test"], official]})
    assert "official" in patients(select_items(dataset, "test"))
    assert all("official" not in patients(select_items(dataset, "test", fold)) for fold in range(5))


def test_without_a_validation_list_a_fifth_of_the_training_patients_validates() -> None:
    dataset = make_dataset(training=make_items({"A": 10, "B": 5}))
    training, validation = select_items(dataset, "training"), select_items(dataset, "validation")
    assert len(patients(validation)) == 3
    assert len(patients(training)) == 12
    assert not patients(training) & patients(validation)
    assert Counter(item["class"] for item in validation) == {"A": 4, "B": 2}  # stratified: 2 and 1 patients
    assert "fold" not in training[0]


def test_unlabelled_items_are_left_out() -> None:
    splits = assign_splits(make_items({"A": 10}))
    splits["training"][0]["label"] = None
    assert len(select_items(make_dataset(**splits), "training")) == len(splits["training"]) - 1


@pytest.mark.parametrize(
    ("split", "fold", "message"),
    [("train", None, "split is 'train'"), ("test", 5, "fold 5 does not exist"), ("test", None, "has no item with a")],
)
def test_what_cannot_be_selected_is_named(split: str, fold: int | None, message: str) -> None:
    splits = assign_splits(make_items({"A": 10}))
    splits["test"] = [{**item, "label": None} for item in splits["test"]]
    with pytest.raises(DatasetError, match=message):
        select_items(make_dataset(**splits), split, fold)


def test_a_patient_in_two_splits_is_refused() -> None:
    splits = assign_splits(make_items({"A": 10}))
    splits["test"].append({**splits["training"][0], "image": "other.png"})
    dataset = make_dataset(**splits)
    with pytest.raises(DatasetError, match="is in both training and test"):
        select_items(dataset, "validation")
    with pytest.raises(DatasetError, match=splits["training"][0]["patient"]):
        check_disjoint(splits, dataset)


def test_synthetic_items_of_held_out_patients_are_refused_by_fold() -> None:
    splits = assign_splits(make_items({"A": 10}))
    dataset = make_dataset(**splits)
    tested = splits["test"][0]["patient"]  # of fold 0; trained on in fold 2, where fold 2 is tested and 3 validates
    item = {"image": "s.nii.gz", "synthetic": {"source_patient": tested}}
    for fold in (None, 0):
        with pytest.raises(DatasetError, match=f"made from patient '{tested}' of the test split"):
            check_synthetic_sources([item], dataset, fold)
    check_synthetic_sources([item], dataset, 2)
    other = splits["training"][0]["patient"]
    item["synthetic"] = {"source_patient": other, "anatomy_patient": tested}
    with pytest.raises(DatasetError, match=f"made from patient '{tested}' of the test split"):
        check_synthetic_sources([item], dataset)


def test_a_synthetic_item_without_provenance_is_refused() -> None:
    dataset = make_dataset(**assign_splits(make_items({"A": 10})))
    with pytest.raises(DatasetError, match="no 'synthetic' provenance"):
        check_synthetic_sources([{"image": "s.png"}], dataset)


@pytest.mark.parametrize("seed", [0, 5])
def test_smaller_fractions_lie_within_larger_ones(seed: int) -> None:
    items = make_items({"A": 20, "B": 13, None: 7}, images=2)
    chosen = [patients(select_fraction(items, share, seed=seed)) for share in (0.025, 0.1, 0.25, 1.0)]
    assert [len(names) for names in chosen] == [1, 4, 10, 40]
    assert all(small < large for small, large in pairwise(chosen))


def test_a_fraction_keeps_all_images_of_its_patients_and_the_shares_of_the_classes() -> None:
    part = select_fraction(make_items({"A": 24, "B": 8}, images=3), 0.25)
    assert Counter(item["class"] for item in part) == {"A": 6 * 3, "B": 2 * 3}


def test_another_seed_draws_other_patients() -> None:
    items = make_items({"A": 40})
    assert len({frozenset(patients(select_fraction(items, 0.1, seed=seed))) for seed in range(5)}) > 1


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(DatasetError, match=f"patient_fraction is {fraction}, expected a number above 0 and up to 1"):
        select_fraction(make_items({"A": 4}), fraction)


def test_a_generator_that_knows_held_out_patients_is_refused_by_fold() -> None:
    dataset = make_dataset(training=assign_folds(make_items({"A": 5})))
    known = [item["patient"] for item in dataset.items if item["fold"] in (2, 3, 4)]
    check_trained_on(known, "generator.pt", dataset, 0)
    for fold in (1, 2, 3, 4):
        with pytest.raises(DatasetError, match=f"trained on patient .+ of the (test|validation) split of fold {fold}"):
            check_trained_on(known, "generator.pt", dataset, fold)
    with pytest.raises(DatasetError, match=r"generator\.pt does not say which patients its generator was trained on"):
        check_trained_on([], "generator.pt", dataset)


def test_boxes_count_as_a_label_where_they_are_worked_on() -> None:
    labelled = make_items({"A": 2}, images=1)
    boxed = [{**item, "label": None, "boxes": [], "patient": f"boxed_{item['patient']}"} for item in labelled]
    neither = [{**item, "label": None, "patient": f"none_{item['patient']}"} for item in labelled]
    dataset = make_dataset(training=[*labelled, *boxed, *neither], validation=make_items({"B": 1}))
    assert select_items(dataset, "training") == labelled
    assert select_items(dataset, "training", boxed=True) == labelled + boxed
    with pytest.raises(DatasetError, match="has no item with a label or boxes"):
        select_items(make_dataset(training=neither, validation=boxed), "training", boxed=True)


@pytest.mark.parametrize(
    ("made", "known", "message"),
    [
        ({"source_patient": "b0"}, ["a0"], "made from patient 'b0' of the test split"),
        ({"source_patient": "a0", "anatomy_patient": "b0"}, ["a0"], "made from patient 'b0' of the test split"),
        ({"seed": 1}, ["a0", "b0"], "was trained on patient 'b0' of the test split"),
        ({"seed": 1}, [], "does not say which patients its generator was trained on"),
    ],
)
def test_training_items_that_claim_to_be_synthetic_are_checked_as_such(
    made: dict[str, Any], known: list[str], message: str
) -> None:
    training = [*make_items({"a": 2}), {"image": "s.png", "label": "s.png", "patient": "s", "synthetic": made}]
    dataset = replace(make_dataset(training=training, test=make_items({"b": 1})), trained_on=known)
    with pytest.raises(DatasetError, match=message):
        select_items(dataset, "training")
    assert select_items(dataset, "test")
