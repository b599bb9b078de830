from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.utils.data import DataLoader

from scripts.data.classified_features import (
    ClassifiedFeatures,
    allot,
    held_out_features,
    loss_weights,
    sampling_weights,
    training_features,
)
from scripts.data.contract import DatasetError
from scripts.data.features import FeatureSet
from scripts.data.sampling import SeededSampler

ROWS = {"training": "HHH" * 3 + "LLL", "validation": "HHHLLL", "test": "HHH"}  # training: 9 of HGG, 3 of LGG


@pytest.fixture
def real(tmp_path: Path, write_features: Callable[..., Path]) -> Path:
    return write_features(tmp_path / "real", ROWS)


@pytest.fixture
def synthetic(tmp_path: Path, write_features: Callable[..., Path]) -> Path:
    return write_features(tmp_path / "synthetic", {"training": "HL" * 10}, synthetic=True, trained_on=["tr1"])


def counts(dataset: ClassifiedFeatures) -> list[int]:
    return np.bincount(dataset.class_indices).tolist()


def sources(dataset: ClassifiedFeatures) -> set[str]:
    return {dataset[n]["source"] for n in range(len(dataset))}


@pytest.mark.parametrize(
    ("count", "start", "shares"),
    [(5, [0, 0], [3, 2]), (4, [9, 3], [0, 4]), (8, [9, 3], [1, 7]), (7, [1, 4, 2], [4, 1, 2]), (0, [1, 2], [0, 0])],
)
def test_shares_by_hand(count: int, start: list[int], shares: list[int]) -> None:
    assert allot(count, start) == shares


def test_real_features_alone_are_the_training_split_standardised(real: Path) -> None:
    dataset = training_features(real)
    assert (counts(dataset), dataset.patients) == ([9, 3], ["tr0", "tr1", "tr2", "tr3"])
    images = torch.stack([dataset[n]["image"] for n in range(12)])
    assert images.mean(dim=(0, 2, 3)).tolist() == pytest.approx([0] * 4, abs=1e-6)
    assert images.std(dim=(0, 2, 3), correction=0).tolist() == pytest.approx([1] * 4, abs=1e-6)
    batch = next(iter(DataLoader(dataset, batch_size=4)))
    assert (batch["image"].shape, batch["label"].tolist()) == ((4, 4, 3, 3), [0] * 4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [19, 13]),
        ({"synthetic_count": 0}, [9, 3]),
        ({"synthetic_count": 5}, [12, 5]),
        ({"synthetic_count": 5, "synthetic_split": "balance"}, [9, 8]),
        ({"synthetic_count": 8, "synthetic_split": "balance"}, [10, 10]),
        ({"synthetic_count": 2, "balancing": "smote"}, [10, 10]),
    ],
)
def test_synthetic_features_are_shared_among_classes(
    real: Path, synthetic: Path, options: dict, expected: list[int]
) -> None:
    dataset = training_features(real, synthetic_dir=synthetic, **options)
    assert counts(dataset) == expected
    assert len(dataset) == sum(expected)
    list(DataLoader(dataset, batch_size=4))  # synthetic features have no patient


def test_fewer_synthetic_features_lie_within_more_and_the_seed_chooses(real: Path, synthetic: Path) -> None:
    few, more, other = (
        sources(training_features(real, synthetic_dir=synthetic, synthetic_count=count, seed=seed))
        for count, seed in ((6, 0), (11, 0), (6, 1))
    )
    assert few < more
    assert few != other


def test_smote_lies_between_real_features_of_the_rare_class(real: Path, synthetic: Path) -> None:
    dataset = training_features(real, synthetic_dir=synthetic, synthetic_count=4, balancing="smote")
    rare = [n for n in range(12) if dataset[n]["label"] == 1]
    assert counts(dataset) == [11, 11]
    for n in range(16, 22):
        base, neighbour, share = dataset.interpolations[n - 16]
        assert base in rare
        assert neighbour in rare
        ends = [dataset[place]["image"] for place in (base, neighbour)]
        torch.testing.assert_close(dataset[n]["image"], ends[0] + share * (ends[1] - ends[0]))
        assert dataset[n]["label"] == 1


def test_weights_of_the_loss_are_scikit_learns(real: Path) -> None:
    dataset = training_features(real, balancing="class_weights")
    expected = compute_class_weight("balanced", classes=np.arange(2), y=dataset.class_indices)
    assert loss_weights(dataset, "class_weights").tolist() == pytest.approx(expected.tolist())
    assert [loss_weights(dataset, name) for name in ("none", "oversampling", "smote")] == [None] * 3


def test_oversampling_draws_classes_equally_often(real: Path) -> None:
    dataset = training_features(real, balancing="oversampling")
    sampler = SeededSampler(dataset, weights=sampling_weights(dataset, "oversampling"), samples_per_epoch=4000)
    assert np.mean(dataset.class_indices[list(sampler)]) == pytest.approx(0.5, abs=0.03)
    assert sampling_weights(dataset, "class_weights") is None


def test_patients_of_all_networks_count_as_trained_on(real: Path, synthetic: Path, tmp_path: Path) -> None:
    dataset = training_features(real, synthetic_dir=synthetic)
    assert dataset.trained_on == ["tr0", "tr1", "tr2", "tr3"]
    assert "" not in dataset.patients


def test_fingerprint_follows_what_is_used(real: Path, synthetic: Path) -> None:
    options = [
        {},
        {"synthetic_count": 4},
        {"synthetic_count": 4, "seed": 1},
        {"synthetic_count": 0, "balancing": "smote"},
    ]
    prints = [training_features(real, synthetic_dir=synthetic, **each).fingerprint for each in options]
    assert len(set(prints)) == 4
    assert prints[3] == training_features(real, synthetic_dir=synthetic, **options[3]).fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"balancing": "focal"}, "balancing is 'focal', expected one of none, class_weights"),
        ({"synthetic_split": "rare"}, "synthetic_split is 'rare', expected one of equal, balance"),
        ({"synthetic_dir": None, "synthetic_count": 5}, "synthetic_count is 5 and there is no synthetic_dir"),
        ({"synthetic_count": -1}, "synthetic_count is -1, expected 0 or more"),
        ({"synthetic_count": 21}, "takes 11 features of class 'HGG', .*synthetic has 10"),
    ],
)
def test_impossible_options_are_refused(real: Path, synthetic: Path, options: dict, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        training_features(real, **{"synthetic_dir": synthetic, **options})


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"network_sha256": "b" * 64}, "network_sha256 is bbb"),
        ({"level": "up1"}, "level is up1, expected bottleneck"),
        ({"trained_on": ["va0"]}, "patient 'va0' of the validation split"),
    ],
)
def test_features_of_another_network_are_refused(
    real: Path, tmp_path: Path, write_features: Callable[..., Path], replaced: dict, message: str
) -> None:
    other = write_features(tmp_path / "other", {"training": "HL"}, synthetic=True, **replaced)
    with pytest.raises(DatasetError, match=message):
        training_features(real, synthetic_dir=other)


def test_classes_missing_from_a_split_are_refused(tmp_path: Path, write_features: Callable[..., Path]) -> None:
    alone = write_features(tmp_path / "alone", {"training": "HHH", "validation": "HHHLLL"})
    with pytest.raises(DatasetError, match="no training row has class 'LGG'"):
        training_features(alone)
    blind = write_features(tmp_path / "blind", {"training": "HHHLLL", "validation": "LLL"})
    with pytest.raises(DatasetError, match="no validation row has class 'HGG', expected every class"):
        held_out_features(blind, every_class=True)
    assert counts(held_out_features(blind)) == [0, 3]


def test_a_patient_of_two_classes_is_refused(tmp_path: Path, write_features: Callable[..., Path]) -> None:
    folder = write_features(tmp_path / "mixed", {"training": "HL", "test": "HHL"})
    with pytest.raises(DatasetError, match="'te0' has slices of the classes 'HGG' and 'LGG'"):
        held_out_features(folder, "test")


def test_held_out_features_are_standardised_by_the_training_features(real: Path) -> None:
    dataset, features = held_out_features(real, "test"), FeatureSet(real)
    assert (len(dataset), dataset.patients) == (3, ["te0"])
    expected = (features.features[18] - features.mean[:, None, None]) / features.std[:, None, None]
    np.testing.assert_allclose(dataset[0]["image"].numpy(), expected, rtol=1e-5)


def test_synthetic_features_alone_are_standardised_by_the_real_ones(real: Path, synthetic: Path) -> None:
    dataset = training_features(real, synthetic_dir=synthetic, synthetic_count=6, use_real=False)
    assert (counts(dataset), dataset.patients, dataset.is_synthetic.all()) == ([3, 3], [], True)
    together = training_features(real, synthetic_dir=synthetic, synthetic_count=6)
    assert together.is_synthetic.tolist() == [False] * 12 + [True] * 6
    assert torch.equal(dataset[0]["image"], together[12]["image"])


def test_without_real_features_something_must_be_there_to_learn_from(real: Path, synthetic: Path) -> None:
    with pytest.raises(
        DatasetError, match="use_real is False and no synthetic_dir is given: there is nothing to train"
    ):
        training_features(real, use_real=False)
    with pytest.raises(DatasetError, match="use_real is False and SMOTE interpolates between real features"):
        training_features(real, synthetic_dir=synthetic, use_real=False, balancing="smote")


def test_interpolated_features_are_no_real_ones(real: Path) -> None:
    assert training_features(real, balancing="smote").is_synthetic.tolist() == [False] * 12 + [True] * 6
