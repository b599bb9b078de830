from __future__ import annotations

import numpy as np
import torch
from monai.data import MetaTensor

from scripts.transforms.outline import AddOutlineClassd, find_head


def disc(radius: float, size: int = 21, centre: tuple[int, int] = (10, 10)) -> np.ndarray:
    x, y = np.mgrid[:size, :size]
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


def test_holes_are_filled_and_smaller_parts_and_specks_dropped():
    head = disc(7)
    bright = head & ~disc(2)
    bright[0, 0] = True
    bright |= disc(2, centre=(2, 18))
    found = find_head(bright)
    assert not found[0, 0]
    assert not found[disc(2, centre=(2, 18)) & ~head].any()
    assert found[disc(2)].all()
    assert (found != head).sum() <= 4  # the opening takes a pixel off the disc's four tips


def test_each_slice_of_a_volume_has_its_own_head():
    small, large = np.stack([disc(3), disc(7), np.zeros_like(disc(1))]).transpose(1, 2, 0), disc(7)
    found = find_head(small)
    np.testing.assert_array_equal(found[..., 0], find_head(disc(3)))
    np.testing.assert_array_equal(found[..., 1], find_head(large))
    assert not found[..., 2].any()


def test_lesions_keep_their_label_and_the_rest_of_the_head_gets_the_outline_class():
    image = np.where(disc(7), 0.5, -1.0)[None].repeat(3, 0)
    label = torch.as_tensor(disc(2) * 2.0)[None]
    outlined = AddOutlineClassd("label", 4)({"image": MetaTensor(image), "label": MetaTensor(label)})["label"]
    expected = np.where(disc(2), 2, np.where(find_head(disc(7)), 4, 0))
    np.testing.assert_array_equal(outlined[0].numpy(), expected)
    assert set(label.unique().tolist()) == {0, 2}  # the input is left alone


def test_one_channel_with_a_bright_background_does_no_harm():
    image = np.where(disc(7), 0.5, -1.0)[None].repeat(3, 0)
    image[1] = 0.9
    label = MetaTensor(torch.zeros(1, 21, 21))
    outlined = AddOutlineClassd("label", 1)({"image": MetaTensor(image), "label": label})["label"]
    np.testing.assert_array_equal(outlined[0].numpy(), find_head(disc(7)))


def test_volumes_are_outlined_slice_by_slice():
    image = np.stack([np.where(disc(r), 0.0, -1.0) for r in (3, 7)], axis=-1)[None]
    label = MetaTensor(torch.zeros(1, 21, 21, 2))
    outlined = AddOutlineClassd("label", 1)({"image": MetaTensor(image), "label": label})["label"]
    np.testing.assert_array_equal(outlined[0].numpy(), np.stack([find_head(disc(3)), find_head(disc(7))], -1))
