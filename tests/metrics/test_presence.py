from __future__ import annotations

import numpy as np
import pytest

from scripts.metrics.presence import (
    area_inside,
    find_direction,
    lesion_shares,
    measure_contrast,
    mirror_boxes,
    pair_with_others,
)


def striped(size: int = 16) -> np.ndarray:
    """One channel whose columns are 0 and 0.2 in turn: median 0.1, median deviation 0.1 in any even ring."""
    image = np.zeros((1, size, size))
    image[:, :, 1::2] = 0.2
    return image


def test_contrast_by_hand():
    image = np.concatenate([striped(), striped()])
    image[0, 4:8, 4:8] = 0.6  # ring of 2 pixels around it: 8 x 8 without the box, columns of both kinds alike
    image[1, 4:8, 4:8] = -0.1
    assert measure_contrast(image, np.array([[4, 4, 8, 8]])) == pytest.approx(np.array([[5, -2]]))


def test_the_ring_ends_at_the_border_and_at_the_background():
    image = striped()
    image[0, :4, :4] = 0.6
    image[0, :, 10:] = -1  # outside the head: beyond the ring of the first box, in that of the second
    image[0, 9:13, 4:8] = 0.4
    found = measure_contrast(image, np.array([[0, 0, 4, 4], [9, 4, 13, 8]]))
    assert found == pytest.approx(np.array([[5], [3]]))


def test_a_little_skull_in_the_ring_hides_no_lesion():
    image = np.tile(0.1 * (np.arange(16) % 3), (1, 16, 1))  # columns of 0, 0.1 and 0.2
    image[0, 4:8, 4:8] = 0.6
    boxes = np.array([[4, 4, 8, 8]])
    assert measure_contrast(image, boxes) == pytest.approx(5)
    image[0, 9, 2:6] = 0.95  # 19 of 0, 7 of 0.1, 18 of 0.2 remain in the ring: its median and deviation are the same
    assert measure_contrast(image, boxes) == pytest.approx(5)


def test_fluid_inside_the_head_is_no_background():
    image = striped()
    image[0, 4:8, 4:8] = -1
    assert measure_contrast(image, np.array([[4, 4, 8, 8]])) == pytest.approx(-11)


def test_other_lesions_are_no_surroundings_and_whole_pixels_count():
    image = striped()
    image[0, 4:8, 4:8], image[0, 8:10, 4:8] = 0.6, 1.0
    boxes = np.array([[4.3, 4.2, 7.6, 7.9], [8, 4, 10, 8]])
    assert measure_contrast(image, boxes)[0] == pytest.approx([5])


def test_a_box_in_the_background_shows_nothing():
    image = striped()
    image[0, :8] = -1
    assert measure_contrast(image, np.array([[0, 4, 4, 8]])) == pytest.approx(0)


def test_without_surroundings_a_box_cannot_be_judged():
    assert np.isnan(measure_contrast(striped(), np.array([[0, 0, 16, 16]]))).all()
    assert measure_contrast(striped(), np.zeros((0, 4))).shape == (0, 1)


def test_flat_surroundings_do_not_make_noise_a_lesion():
    image = np.zeros((1, 16, 16))
    image[0, 4:8, 4:8] = 0.001
    assert measure_contrast(image, np.array([[4, 4, 8, 8]])) == pytest.approx(0.1)


def test_the_direction_is_the_mean_of_what_is_known():
    contrasts = np.array([[6.0, -3.0], [0.0, -5.0], [np.nan, np.nan]])
    assert find_direction(contrasts) == pytest.approx(np.array([0.6, -0.8]))


@pytest.mark.parametrize("contrasts", [[[np.nan]], [[1.0], [-1.0]]])
def test_no_direction_is_an_error(contrasts):
    with pytest.raises(ValueError, match="no mean contrast to their surroundings"):
        find_direction(np.array(contrasts))


def test_mirrored_boxes_that_touch_a_lesion_are_left_out():
    boxes = np.array([[1, 2, 4, 5], [6, 2, 8, 6], [11, 4, 15, 9]])  # of 16: the first and the last face each other
    assert mirror_boxes(boxes, 16).tolist() == [[8, 2, 10, 6]]
    assert mirror_boxes(np.zeros((0, 4)), 16).shape == (0, 4)


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
