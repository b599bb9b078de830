"""Where transplanted lesions come to lie: by hand where nothing is distorted, and inside the body whatever is drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import scripts.transforms.transplantation as transplantation
from scripts.transforms.transplantation import Transplant

SIZE = 64
STILL = Transplant(turn_degrees=0, scale=1, shift_x=0, shift_y=0, mirrored=False, elastic_seed=0)


def square(x: int, y: int, side: int) -> np.ndarray:
    body = np.zeros((SIZE, SIZE), dtype=bool)
    body[x : x + side, y : y + side] = True
    return body


def core_and_rim() -> np.ndarray:
    """A bar of 9 x 5 pixels about (20, 20), whose left third is a core of label 2."""
    lesions = np.zeros((SIZE, SIZE), dtype=np.int64)
    lesions[16:25, 18:23] = 1
    lesions[16:19, 18:23] = 2
    return lesions


@pytest.fixture
def rigid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(transplantation.ELASTIC, "alpha", 0.0)


HOME, BODY = square(4, 4, 40), square(12, 8, 40)


@pytest.mark.usefixtures("rigid")
def test_lesions_keep_their_place_in_the_body_and_the_rest_of_it_is_outline() -> None:
    mask = STILL(core_and_rim(), HOME, BODY, outline_label=3)
    expected = np.where(BODY, 3, 0)
    expected[24:33, 22:27] = 1  # the body lies 8 pixels further along x and 4 along y
    expected[24:27, 22:27] = 2
    assert np.array_equal(mask, expected)
    assert np.array_equal(replace(STILL, mirrored=True)(core_and_rim(), HOME, BODY, 3), expected[::-1])


@pytest.mark.usefixtures("rigid")
def test_a_shift_is_a_share_of_the_body_and_a_turn_goes_about_the_lesions_own_centre() -> None:
    shifted = replace(STILL, shift_x=0.1, shift_y=-0.05)(core_and_rim(), HOME, HOME)
    assert np.array_equal(shifted, np.roll(core_and_rim(), (4, -2), (0, 1)))  # of 40 pixels
    turned = replace(STILL, turn_degrees=90)(core_and_rim(), HOME, HOME)
    assert np.argwhere(turned).min(axis=0).tolist() == [18, 16]
    assert np.argwhere(turned).max(axis=0).tolist() == [22, 24]
    assert np.array_equal(np.bincount(turned.ravel()), np.bincount(core_and_rim().ravel()))


@pytest.mark.usefixtures("rigid")
def test_each_lesion_is_scaled_about_its_own_centre() -> None:
    lesions = square(11, 11, 5) * 1 + square(30, 30, 3) * 2
    scaled = replace(STILL, scale=1.4)(lesions, HOME, HOME)
    assert np.array_equal(scaled, square(10, 10, 7) * 1 + square(29, 29, 5) * 2)


@pytest.mark.usefixtures("rigid")
def test_what_does_not_fit_is_refused() -> None:
    assert STILL(core_and_rim(), HOME, square(4, 4, 8)) is None
    assert replace(STILL, shift_x=-0.15)(np.where(square(8, 20, 5), 1, 0), HOME, HOME) is None  # a quarter stays
    assert replace(STILL, scale=0.6)(square(20, 20, 9) * 1 + square(24, 24, 1), HOME, HOME) is not None
    tiny = square(20, 20, 9) * 1
    tiny[20, 20] = 2  # a label of one pixel, between those that are taken
    assert replace(STILL, scale=0.6)(tiny, HOME, HOME) is None


def test_whatever_is_drawn_lies_as_deep_in_the_body_as_before_with_its_labels() -> None:
    rng = np.random.default_rng(0)
    x, y = np.mgrid[:SIZE, :SIZE]
    body = (x - 30) ** 2 + ((y - 33) / 1.2) ** 2 <= 22**2
    made = [Transplant.draw(rng)(core_and_rim(), HOME, body, 3) for _ in range(200)]
    masks = [mask for mask in made if mask is not None]
    assert len(masks) > 100
    for mask in masks:
        inside = np.argwhere((mask == 1) | (mask == 2))
        outside = np.argwhere(mask == 0)
        assert set(np.unique(mask)) == {0, 1, 2, 3}
        depths = np.hypot(*(inside[:, None] - outside[None]).T).min(axis=0)
        assert np.mean(depths > 2) >= 0.9  # 4 pixels before the distortion
    assert len({mask.tobytes() for mask in masks}) == len(masks)
    areas = np.array([((mask == 1) | (mask == 2)).sum() for mask in masks])
    assert areas.min() > 0.3 * 45  # of 45 pixels, scaled to .36 to 1.96
    assert areas.max() < 2.4 * 45


def test_what_is_drawn_stays_in_range_and_is_short() -> None:
    rng = np.random.default_rng(1)
    drawn = [Transplant.draw(rng) for _ in range(500)]
    turns, scales = [each.turn_degrees for each in drawn], [each.scale for each in drawn]
    assert -40 <= min(turns) < -39 < 39 < max(turns) <= 40
    assert 0.6 <= min(scales) < 0.62 < 1.38 < max(scales) <= 1.4
    assert {len(repr(scale)) <= 4 for scale in scales} == {True}
    assert 0.4 < np.mean([each.mirrored for each in drawn]) < 0.6
