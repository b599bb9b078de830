from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from scripts.transforms.carving import carve, crop_covered, draw_rectangles, paste, signed_distance


def square(size: int = 11, first: int = 3, last: int = 8) -> np.ndarray:
    lesion = np.zeros((size, size), dtype=bool)
    lesion[first:last, first:last] = True
    return lesion


def fixed(chance: float, place: float) -> Any:
    """A generator that draws this chance, and this place between the ends of what is drawn uniformly."""

    class Fixed:
        def random(self) -> float:
            return chance

        def uniform(self, low: float, high: float) -> float:
            return low + place * (high - low)

    return Fixed()


def test_distances_to_a_square_by_hand() -> None:
    row = signed_distance(square())[5]  # through the middle of a square of 5 pixels
    assert row.tolist() == [3, 2, 1, -1, -2, -3, -2, -1, 1, 2, 3]
    assert signed_distance(square())[1, 2] == pytest.approx(np.hypot(2, 1))
    assert signed_distance(np.ones((5, 5), bool))[2].tolist() == [-1, -2, -3, -2, -1]  # the image's border is its own


@pytest.mark.parametrize(
    ("chance", "place", "side"),
    [(0.9, 0.0, 5), (0.9, 0.4, 7), (0.9, 0.999, 9), (0.1, 1.0, 5), (0.1, 0.1, 3)],  # t = 0, 1.2, 2.997, 0, -1.35
)
def test_the_region_grows_up_to_the_depth_and_shrinks_to_half_of_it(chance: float, place: float, side: int) -> None:
    region = carve(square(), fixed(chance, place))
    assert region[5].sum() == region[:, 5].sum() == side
    assert region.sum() <= side**2  # a grown square has round corners


def test_the_threshold_is_drawn_from_both_ranges_alike() -> None:
    generator = np.random.default_rng(0)
    areas = np.array([carve(square(41, 10, 31), generator).sum() for _ in range(1000)])
    shares = [(areas < 21**2).mean(), (areas > 21**2).mean()]  # t < -1 of -5.5..0, and t >= 1 of 0..11
    np.testing.assert_allclose(shares, [4.5 / 5.5 / 2, 10 / 11 / 2], atol=0.052)  # 99.9% of a binomial


def test_the_deepest_pixel_is_never_lost() -> None:
    generator = np.random.default_rng(0)
    assert all(carve(square(5, 2, 3), generator)[2, 2] for _ in range(50))


def test_rectangles_touch_whole_pixels_and_grow_by_half_the_shorter_side() -> None:
    boxes = np.array([[2.5, 3, 4, 7]])
    assert np.argwhere(draw_rectangles(boxes, 10)).min(0).tolist() == [2, 3]
    assert draw_rectangles(boxes, 10).sum() == 2 * 4
    grown = np.argwhere(draw_rectangles(boxes, 10, grown=1.0))  # by 0.75: 1.75..4.75, 2.25..7.75
    assert (grown.min(0).tolist(), grown.max(0).tolist()) == ([1, 2], [4, 7])
    assert draw_rectangles(np.array([[0.0, 0, 10, 10]]), 10, grown=1.0).all()  # the image ends it


def test_covered_boxes_are_dropped_and_others_cropped() -> None:
    region = np.zeros((10, 10), dtype=bool)
    region[:4, :4] = True
    boxes = np.array([[0, 0, 4, 5], [0, 0, 4, 9], [2.5, 1, 8, 3], [6, 6, 9.5, 9]])  # 16/20, 16/36, 4/12, none covered
    left, kept = crop_covered(boxes, region)
    assert kept.tolist() == [False, True, True, True]
    assert left.tolist() == [[0, 4, 4, 9], [4, 1, 8, 3], [6, 6, 9.5, 9]]


def slice_of(value: float, label: np.ndarray, head: slice = slice(None)) -> dict[str, Any]:
    """Two channels of a bright square head on black, with a label map."""
    image = torch.full((2, *label.shape), -1.0)
    image[:, head, head] = value
    return {"image": image, "label": torch.from_numpy(label.astype(np.int64))[None]}


def test_image_and_label_are_the_donors_inside_and_the_targets_outside() -> None:
    target, donor = slice_of(0.25, 2 * square(11, 0, 5)), slice_of(0.75, square())
    result = paste(target, donor, square(11, 2, 9), square())
    assert result is not None
    pasted, region = result
    assert (region == square(11, 2, 9)).all()
    inside = torch.from_numpy(region)
    assert (pasted["image"][:, inside] == 0.75).all()
    assert (pasted["image"][:, ~inside] == 0.25).all()
    assert torch.equal(pasted["label"][0][inside], donor["label"][0][inside])
    assert torch.equal(pasted["label"][0][~inside], target["label"][0][~inside])
    assert target["label"].sum() == 50  # the target itself stays


def test_nothing_is_pasted_onto_air_and_no_air_into_a_head() -> None:
    small, large = slice_of(0.5, np.zeros((20, 20)), slice(4, 16)), slice_of(0.75, square(20, 8, 12))
    result = paste(small, large, square(20, 2, 18), square(20, 8, 12))
    assert result is not None
    head = square(20, 4, 16)
    head[[4, 4, 15, 15], [4, 15, 4, 15]] = False  # the opening of `find_head` takes the corners
    assert (result[1] == head).all()
    assert (result[0]["image"][:, :4] == -1).all()
    reversed_ = paste(
        slice_of(0.75, np.zeros((20, 20))),
        {**small, "label": large["label"]},
        square(20, 2, 18),
        square(20, 8, 12),
    )
    assert reversed_ is not None
    assert (reversed_[0]["image"] > 0).all()


def test_a_lesion_outside_the_head_is_not_pasted() -> None:
    target, donor = slice_of(0.5, np.zeros((20, 20)), slice(0, 10)), slice_of(0.75, square(20, 9, 14))
    assert paste(target, donor, square(20, 9, 14), square(20, 9, 14)) is None
