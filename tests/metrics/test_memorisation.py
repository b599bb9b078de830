from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from scripts.metrics.memorisation import LEVEL, find_copies, membership_auc

REPEATS = 60


def draw(rng: np.random.Generator, patients: int, images: int = 3) -> tuple[np.ndarray, list[str]]:
    """Images of patients who differ more than their images do."""
    places = np.repeat(rng.normal(size=(patients, 8)), images, axis=0)
    names = [f"p{rng.integers(10**9)}_{n // images}" for n in range(len(places))]
    owners = [names[n // images * images] for n in range(len(places))]
    return places + 0.3 * rng.normal(size=places.shape), owners


def share_that_fails(copied: float) -> float:
    """Of many sets of which so much are training images with noise, and the rest real images of new patients."""
    rng, failed = np.random.default_rng(0), 0
    for _ in range(REPEATS):
        (training, _), (held_out, owners), (new, patients) = draw(rng, 30), draw(rng, 12), draw(rng, 30)
        count = round(copied * len(new))
        new[:count] = training[:count] + 0.01 * rng.normal(size=(count, 8))
        found = find_copies(cdist, new, training, held_out, patients=patients, held_out_patients=owners)
        failed += found.p <= LEVEL / 2
    return failed / REPEATS


def test_real_images_of_new_patients_fail_no_more_often_than_the_level_says():
    assert share_that_fails(0) <= LEVEL / 2


def test_training_images_with_noise_fail_and_so_does_a_set_with_half_of_them():
    assert (share_that_fails(1), share_that_fails(0.5)) == (1, 1)


def test_p_is_the_share_of_orders_in_which_as_many_lie_below():
    """Distances from a training image at 0; held-out ones are 10 apart: each ratio is the distance over 10."""
    held_out, made = np.array([2.0, 3, 4, 5, 6, 7]), np.array([1.0, 1.5, 8, 9])

    def measure(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.tile(a[:, None], (1, len(b))) if b.size == 1 else np.full((len(a), len(b)), 10.0)

    names = [f"h{n}" for n in range(6)]
    found = find_copies(measure, made, np.zeros(1), held_out, patients=list("abcd"), held_out_patients=names)
    assert (found.copies, found.expected) == (2 / 4, 1 / 7)
    assert found.threshold == pytest.approx(0.2, rel=1e-3)
    # Of all orders of 4 made and 6 held-out images, those whose first two are made.
    orders = [set(places) for places in combinations(range(10), 4)]
    assert found.p == pytest.approx(np.mean([{0, 1} <= made for made in orders]))
    assert not found.told  # half of four patients are too few to tell
    assert find_copies(
        measure, np.ones(40), np.zeros(1), held_out, patients=list(map(str, range(40))), held_out_patients=names
    ).told


def test_images_from_one_patients_mask_are_as_much_as_one():
    rng = np.random.default_rng(1)
    (training, _), (held_out, owners), (new, _) = draw(rng, 30), draw(rng, 12), draw(rng, 30)
    new[:60] = training[0]
    patients = ["one"] * 60 + list(map(str, range(30)))
    found = find_copies(cdist, new, training, held_out, patients=patients, held_out_patients=owners)
    assert found.p > LEVEL
    with pytest.raises(ValueError, match="1 held-out patient to calibrate on"):
        find_copies(cdist, new, training, held_out[:3], patients=patients, held_out_patients=owners[:3])


def test_membership_is_told_by_patients_mean_scores():
    patients = (["a", "a", "b", "c"], ["d", "e", "e"])
    # Means 2, 1, 4 of training and 3, 0 of held-out patients: 4 of 6 pairs are in order.
    found = membership_auc([1, 3, 1, 4], [3, -1, 1], patients=patients)
    assert (found.value, found.n) == (pytest.approx(4 / 6), 5)
    assert np.isnan(found.low)
    many = [f"t{n}" for n in range(20)], [f"h{n}" for n in range(20)]
    known = membership_auc(np.arange(20) + 20.0, np.arange(20.0), patients=many)
    assert known[:3] == pytest.approx((1, 1, 1))
    chance = membership_auc(np.arange(20.0), np.arange(20.0), patients=many)
    assert chance.value == pytest.approx(0.5)
    assert chance.low < 0.4 < 0.6 < chance.high
