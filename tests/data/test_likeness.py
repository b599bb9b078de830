"""Pictures that are the same, exactly and nearly."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from scripts.data.likeness import MOST_COMPARED, Pair, describe_likeness, find_same


def picture(seed: int, anatomy: int = 0) -> np.ndarray:
    """A picture (1, 64, 64) of 8 bits: an anatomy, which patients may share, and texture of its own."""
    shared = ndimage.gaussian_filter(np.random.default_rng([1, anatomy]).normal(size=(64, 64)), 8)
    own = ndimage.gaussian_filter(np.random.default_rng([2, seed]).normal(size=(64, 64)), 1)
    return np.round(120 + 60 * shared / shared.std() * 0.5 + 20 * own / own.std()).clip(0, 255)[None]


def as_jpeg(image: np.ndarray) -> np.ndarray:
    stream = io.BytesIO()
    Image.fromarray(image[0].astype(np.uint8)).save(stream, "JPEG", quality=85)
    return np.asarray(Image.open(stream), float)[None]


def halved(image: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(image[0].astype(np.float32)).resize((48, 48), Image.Resampling.BILINEAR))[None]


def pairs(*images: np.ndarray) -> list[Pair]:
    return find_same([describe_likeness(image) for image in images])


def test_equal_pixels_are_found_once() -> None:
    assert pairs(picture(0), picture(1), picture(0)) == [Pair(0, 2, True)]


@pytest.mark.parametrize("change", [as_jpeg, halved, lambda image: image * 0.5 + 40], ids=["jpeg", "smaller", "darker"])
def test_nearly_equal_pictures_are_found(change) -> None:
    others = [picture(seed) for seed in range(1, 20)]
    assert pairs(picture(0), *others, change(picture(0))) == [Pair(0, 20, False)]


def test_pictures_of_one_anatomy_with_their_own_texture_differ() -> None:
    assert pairs(*(picture(seed, anatomy=0) for seed in range(20))) == []


def test_a_volume_is_compared_as_a_whole() -> None:
    volume = np.stack([picture(seed) for seed in range(4)], axis=-1)
    changed = volume.copy()
    changed[0, 0, 0, 0] += 1
    assert pairs(volume, picture(9), changed) == [Pair(0, 2, False)]


def test_constant_pictures_are_no_evidence() -> None:
    assert pairs(np.zeros((1, 8, 8)), np.zeros((1, 8, 8))) == []


def test_many_copies_take_a_bounded_number_of_comparisons() -> None:
    likeness = [describe_likeness(picture(0) + n / 1000) for n in range(40)]  # each differs a little
    assert 39 <= len(find_same(likeness)) <= 40 * MOST_COMPARED
