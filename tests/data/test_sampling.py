from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from scripts.data.contract import DatasetError
from scripts.data.sampling import SeededSampler, class_weights, source_weights


def order(sampler: SeededSampler, epoch: int) -> list[int]:
    sampler.set_epoch(epoch)
    return list(sampler)


def shares(monkeypatch, world_size: int, size: int, **options) -> list[SeededSampler]:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: world_size)
    samplers = []
    for rank in range(world_size):
        monkeypatch.setattr(torch.distributed, "get_rank", lambda rank=rank: rank)
        samplers.append(SeededSampler(range(size), **options))
    return samplers


def test_an_epoch_is_a_permutation_and_the_next_another():
    sampler = SeededSampler(range(50), seed=1)
    first, second = order(sampler, 1), order(sampler, 2)
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert len(sampler) == 50


def test_the_order_follows_seed_and_epoch_alone():
    np.random.seed(0)
    torch.manual_seed(0)
    wanted = order(SeededSampler(range(50), seed=1), 7)
    sampler = SeededSampler(range(50), seed=1)
    order(sampler, 1)
    np.random.rand(3)
    torch.rand(3)
    assert order(sampler, 7) == wanted
    assert order(SeededSampler(range(50), seed=2), 7) != wanted


@pytest.mark.parametrize("weights", [None, np.ones(10)])
def test_the_shares_of_the_ranks_part_the_common_order(monkeypatch, weights):
    alone = order(SeededSampler(range(10), seed=1, weights=weights), 3)
    samplers = shares(monkeypatch, 3, 10, seed=1, weights=weights)
    parts = [order(sampler, 3) for sampler in samplers]
    assert [len(part) for part in parts] == [len(sampler) for sampler in samplers] == [3, 3, 3]
    assert [index for together in zip(*parts, strict=True) for index in together] == alone[:9]
    if weights is None:
        assert len({index for part in parts for index in part}) == 9


@pytest.mark.parametrize(("count", "least", "most"), [(4, 0, 1), (10, 1, 1), (25, 2, 3)])
def test_without_weights_none_comes_again_before_all_have_come(count, least, most):
    sampler = SeededSampler(range(10), samples_per_epoch=count)
    counts = np.bincount(order(sampler, 1), minlength=10)
    assert len(sampler) == counts.sum() == count
    assert (counts.min(), counts.max()) == (least, most)


def test_class_weights_by_hand():
    weights = class_weights(np.array([0, 0, 0, 2, 2, 5]))
    np.testing.assert_allclose(weights, np.array([1 / 3] * 3 + [1 / 2] * 2 + [1]) / 3)
    assert weights.sum() == pytest.approx(1)


def test_weights_balance_the_classes():
    classes = np.repeat([0, 1, 2], [900, 90, 10])
    sampler = SeededSampler(classes, weights=class_weights(classes), samples_per_epoch=3000)
    counts = np.bincount(classes[order(sampler, 1)])
    chi_square = ((counts - 1000) ** 2 / 1000).sum()
    assert chi_square < 13.8  # 99.9% of the chi-square distribution with 2 degrees of freedom
    assert counts.sum() == 3000


def slices(real: int, synthetic: int, *, real_lesions: int = 0, made_lesions: int = 0, classes: str = "") -> Any:
    """What `source_weights` sees: real slices and then synthetic ones, the first ones of each with a lesion."""
    made = np.arange(real + synthetic) >= real
    lesion = np.where(
        made, np.arange(real + synthetic) < real + made_lesions, np.arange(real + synthetic) < real_lesions
    )
    indices = np.array([ord(letter) for letter in classes or "A" * len(made)])
    return SimpleNamespace(is_synthetic=made, has_lesion=lesion, class_indices=indices)


def test_source_weights_by_hand():
    np.testing.assert_allclose(source_weights(slices(8, 3)), [1 / 16] * 8 + [1 / 6] * 3)


def test_synthetic_slices_are_drawn_so_many_times_as_often():
    weights = source_weights(slices(8, 3), ratio=2)
    np.testing.assert_allclose(weights, [1 / 24] * 8 + [2 / 9] * 3)
    assert source_weights(slices(8, 3), ratio="all") is None
    with pytest.raises(ValueError, match="synthetic_ratio is 0, expected a positive number"):
        source_weights(slices(8, 3), ratio=0)
    with pytest.raises(ValueError, match="synthetic_ratio is 'each', expected a positive number"):
        source_weights(slices(8, 3), ratio="each")


@pytest.mark.parametrize("ratio", [0.5, 1, 30])
def test_slices_without_lesion_keep_their_share_where_every_synthetic_one_has_a_lesion(ratio):
    weights = source_weights(slices(10, 4, real_lesions=3, made_lesions=4), ratio)  # 70% without lesion
    lesion = 0.3 / (1 + ratio)
    np.testing.assert_allclose(weights, [lesion / 3] * 3 + [0.1] * 7 + [ratio * lesion / 4] * 4)


def test_the_ratio_holds_with_and_without_lesion_where_both_sources_have_both():
    weights = source_weights(slices(10, 4, real_lesions=3, made_lesions=1), ratio=3)
    np.testing.assert_allclose(weights, [0.3 / 4 / 3] * 3 + [0.7 / 4 / 7] * 7 + [0.3 * 3 / 4] + [0.7 * 3 / 4 / 3] * 3)


def test_real_slices_of_one_kind_have_no_share_to_keep():
    weights = source_weights(slices(2, 4, real_lesions=2, made_lesions=1))
    np.testing.assert_allclose(weights, [1 / 4] * 2 + [1 / 8] * 4)


def test_classes_are_balanced_within_each_source_and_kind():
    # Real: A has a lesion twice, B once; without lesion is one B. Balanced, an A weighs 1/4 and a B 1/4: 25% without.
    dataset = slices(4, 3, real_lesions=3, made_lesions=3, classes="AABBAAB")
    weights = source_weights(dataset, balance_classes=True)
    np.testing.assert_allclose(weights, [1 / 8] * 3 + [1 / 4] + [0.375 / 4, 0.375 / 4, 0.375 / 2])
    assert weights[dataset.has_lesion].sum() == pytest.approx(0.75)


@pytest.mark.parametrize("ratio", [1.0, "all"])
def test_classes_of_one_source_are_balanced_as_ever(ratio):
    dataset = slices(6, 0, real_lesions=2, classes="AAABBC")
    expected = class_weights(dataset.class_indices)
    np.testing.assert_allclose(source_weights(dataset, ratio, balance_classes=True), expected)


def test_real_and_synthetic_slices_are_drawn_equally_often():
    dataset = slices(20, 400)
    sampler = SeededSampler(range(420), weights=source_weights(dataset), samples_per_epoch=4000)
    real = sum(index < 20 for index in order(sampler, 1))
    assert abs(real - 2000) < 3.3 * (4000 * 0.25) ** 0.5  # 99.9% of a binomial


@pytest.mark.parametrize("dataset", [slices(3, 0), slices(0, 7)])
def test_a_single_source_needs_no_weights(dataset):
    assert source_weights(dataset) is None


def rare(classes: list[int], labels: list[list[int]], synthetic: int = 0) -> SimpleNamespace:
    """Slices of these global classes and with these labels inside, the last ones synthetic."""
    count = len(labels)
    return SimpleNamespace(
        index=range(count),
        class_indices=np.array(classes),
        labels_inside=[np.array(inside, dtype=int) for inside in labels],
        is_synthetic=np.arange(count) >= count - synthetic,
        has_lesion=np.array([len(inside) > 0 for inside in labels]),
    )


def test_global_classes_are_drawn_equally_often_whatever_their_labels() -> None:
    dataset = rare([0, 0, 0, 1], [[1], [2], [], [1]])
    np.testing.assert_allclose(source_weights(dataset, balance_classes=True), [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_without_classes_a_slice_counts_for_its_rarest_label_and_lesion_free_ones_keep_their_share() -> None:
    dataset = rare([-1] * 6, [[1], [1], [1, 2], [1], [], []])  # label 2 is the rarer one
    weights = source_weights(dataset, balance_classes=True)
    np.testing.assert_allclose(weights, [1 / 9, 1 / 9, 1 / 3, 1 / 9, 1 / 6, 1 / 6])


@pytest.mark.parametrize("labels", [[[1], [1], []], [[], []], [[1, 2], [1, 2]]])
def test_where_nothing_is_rare_oversampling_is_refused(labels: list[list[int]]) -> None:
    with pytest.raises(DatasetError, match="balance_classes is True, but the training slices are of one class"):
        source_weights(rare([0] * len(labels), labels), balance_classes=True)


def test_oversampling_within_each_source_keeps_the_ratio_between_them() -> None:
    dataset = rare([0, 0, 0, 1, 1, 1, 0], [[1]] * 7, synthetic=3)
    weights = source_weights(dataset, ratio=3, balance_classes=True)
    np.testing.assert_allclose(weights, np.array([1 / 6, 1 / 6, 1 / 6, 1 / 2, 3 / 4, 3 / 4, 3 / 2]) / 4)
    alike = source_weights(dataset, ratio="all", balance_classes=True)
    np.testing.assert_allclose(alike, [1 / 8, 1 / 8, 1 / 8, 1 / 6, 1 / 6, 1 / 6, 1 / 8])
