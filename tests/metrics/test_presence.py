from __future__ import annotations

import numpy as np
import pytest

from scripts.metrics.presence import find_direction, measure_contrast, mirror_boxes


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
