from __future__ import annotations

import torch

from scripts.networks.one_hot import one_hot_mask


def test_one_channel_per_class_and_one_class_per_pixel():
    label = torch.tensor([[0, 1, 2], [2, 2, 0]]).reshape(1, 1, 2, 3)
    mask = one_hot_mask(label, 4)
    assert (mask.shape, mask.dtype) == ((1, 4, 2, 3), torch.float32)
    for value in range(4):
        assert torch.equal(mask[0, value], (label[0, 0] == value).float())


def test_a_single_channel_is_lesion_or_not():
    label = torch.tensor([0.0, 1.0, 2.0, 0.0]).reshape(1, 1, 2, 2)
    assert one_hot_mask(label, 1).flatten().tolist() == [0, 1, 1, 0]
