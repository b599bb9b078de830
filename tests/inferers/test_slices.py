from __future__ import annotations

import pytest
import torch
from torch import nn

from scripts.inferers.slices import AnySliceInferer


@pytest.mark.parametrize("depth", [1, 3, 8])
def test_a_volume_equals_its_slices_one_by_one(depth):
    network = nn.Conv2d(2, 3, 3, padding=1)
    volume = torch.randn(1, 2, 16, 16, depth)
    with torch.no_grad():
        result = AnySliceInferer(16, slice_batch=3)(volume, network)
        expected = torch.stack([network(volume[..., z]) for z in range(depth)], dim=-1)
    torch.testing.assert_close(result, expected)


def test_plane_images_go_through_at_once():
    calls = []
    image = torch.randn(2, 1, 16, 16)
    result = AnySliceInferer(16)(image, lambda x: calls.append(x.shape) or 2 * x)
    torch.testing.assert_close(result, 2 * image)
    assert calls == [(2, 1, 16, 16)]


def test_slices_go_through_in_batches():
    sizes = []
    AnySliceInferer(8, slice_batch=4)(torch.zeros(1, 1, 8, 8, 10), lambda x: sizes.append(len(x)) or x)
    assert sizes == [4, 4, 2]
