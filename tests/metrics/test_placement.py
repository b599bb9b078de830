from __future__ import annotations

import numpy as np
import pytest

from scripts.metrics.placement import area_inside, lesion_shares, pair_with_others


def lesion(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Rectangles of lesion in an image of 10 x 12 pixels."""
    mask = np.zeros((10, 12), dtype=bool)
    for x0, y0, x1, y1 in boxes:
        mask[x0:x1, y0:y1] = True
    return mask


def test_shares_by_hand() -> None:
    boxes = np.array([[2, 4, 6, 8], [0, 0, 2, 2], [6, 4, 8, 8]])
    assert lesion_shares(lesion((4, 4, 7, 8)), boxes) == pytest.approx([8 / 16, 0, 4 / 8])
    assert lesion_shares(lesion(), np.zeros((0, 4))).shape == (0,)


def test_whole_pixels_count_and_what_lies_outside_does_not() -> None:
    boxes = np.array([[2.4, 4.9, 5.1, 7.2], [8, 10, 14, 16], [10, 0, 12, 2]])  # the first touches 4 x 4 pixels
    shares = lesion_shares(lesion((4, 4, 7, 8), (9, 11, 10, 12)), boxes)
    assert shares[:2] == pytest.approx([8 / 16, 1 / 4])
    assert np.isnan(shares[2])


def test_area_inside_is_that_of_the_union_of_boxes() -> None:
    boxes = np.array([[2, 4, 6, 8], [3, 4, 7, 8]])  # together 5 x 4
    assert area_inside(lesion((2, 4, 7, 8)), boxes) == 1
    assert area_inside(lesion((6, 4, 9, 8)), boxes) == pytest.approx(1 / 3)
    assert area_inside(lesion((0, 0, 2, 2)), boxes) == 0
    assert area_inside(lesion((0, 0, 2, 2)), np.zeros((0, 4))) == 0


def test_without_lesion_no_area_is_known() -> None:
    assert np.isnan(area_inside(lesion(), np.array([[2, 4, 6, 8]])))


@pytest.mark.parametrize("seed", range(5))
def test_each_is_paired_with_another_patients(seed: int) -> None:
    patients = ["a", "b", "c", "a", "b", "a", "d", "a"]  # the half are of a
    partners = pair_with_others(patients, seed)
    assert sorted(partners) == list(range(8))
    assert all(patients[n] != patients[partner] for n, partner in enumerate(partners))
    assert (partners == pair_with_others(patients, seed)).all()


def test_pairs_depend_on_the_seed() -> None:
    patients = [str(n) for n in range(20)]
    assert (pair_with_others(patients, 0) != pair_with_others(patients, 1)).any()


@pytest.mark.parametrize("patients", ["aaab", "aaaa", "aa"])
def test_none_is_paired_with_itself_unless_it_is_alone(patients: str) -> None:
    partners = pair_with_others(list(patients))
    assert sorted(partners) == list(range(len(patients)))
    assert all(partner != n for n, partner in enumerate(partners))
    assert pair_with_others(["a"]).tolist() == [0]
    assert pair_with_others([]).tolist() == []
