from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from scipy.stats import zscore

from scripts.transforms.intensity import StandardiseSlicesd, ToSignedRanged


def convert(image: torch.Tensor, **options) -> torch.Tensor:
    return ToSignedRanged("image", **options)({"image": MetaTensor(image)})["image"]


def test_each_channel_spans_the_range_linearly():
    image = torch.stack([torch.arange(5.0), 100 - 20 * torch.arange(5.0)]).reshape(2, 1, 5)
    expected = torch.tensor([-1, -0.5, 0, 0.5, 1])
    torch.testing.assert_close(torch.Tensor(convert(image)), torch.stack([expected, -expected])[:, None])


def test_wild_ranges_keep_their_precision():
    image = torch.tensor([125.0, 1e6, 2e6 - 125]).reshape(1, 3, 1)
    torch.testing.assert_close(convert(image).flatten().tolist(), [-1.0, 0.0, 1.0], atol=1e-6, rtol=0)


def test_a_constant_channel_is_background_and_leaves_the_others_alone():
    image = torch.stack([torch.full((2, 2), 7.0), torch.tensor([[0.0, 1.0], [2.0, 4.0]])])
    converted = convert(image)
    assert converted[0].unique().tolist() == [-1]
    assert converted[1].flatten().tolist() == [-1, -0.5, 0, 1]


def test_a_fixed_range_clips_at_its_ends():
    image = torch.tensor([-1000.0, -100.0, 0.0, 100.0, 900.0]).reshape(1, 5, 1)
    assert convert(image, intensity_range=[-100, 100]).flatten().tolist() == [-1, -1, 0, 1, 1]


def test_synthetic_items_keep_their_values():
    image = torch.tensor([-1.2, -0.5, 0.25, 0.5]).reshape(1, 4, 1)
    converted = ToSignedRanged("image", [0, 255])({"image": image, "synthetic": {"system": "redgan"}})["image"]
    torch.testing.assert_close(converted.flatten(), torch.tensor([-1, -0.5, 0.25, 0.5]))


def test_volumes_take_the_range_of_the_whole_volume():
    image = torch.arange(8.0).reshape(1, 2, 2, 2)
    torch.testing.assert_close(torch.Tensor(convert(image)), image / 7 * 2 - 1)


def test_meta_data_survives():
    image = MetaTensor(torch.rand(1, 3, 3), affine=torch.diag(torch.tensor([2.0, 3, 4, 1])))
    assert ToSignedRanged("image")({"image": image})["image"].affine.diagonal().tolist() == [2, 3, 4, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [({"intensity_range": [5, 5]}, "expected \\[low, high\\]")],
)
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        ToSignedRanged("image", **options)


def test_standardised_channels_by_hand():
    image = torch.stack([torch.tensor([[1.0, 3.0], [1.0, 3.0]]), torch.tensor([[0.0, 0.0], [0.0, 4.0]])])
    third = 1 / 3**0.5  # mean 1, variance (3 * 1 + 9) / 4 = 3
    expected = [[[-1.0, 1.0], [-1.0, 1.0]], [[-third, -third], [-third, 3 * third]]]
    torch.testing.assert_close(StandardiseSlicesd("image")({"image": image})["image"], torch.tensor(expected))


def test_a_volume_is_standardised_as_its_slices_are_alone():
    volume = torch.rand(2, 6, 5, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 2.0, 5.0, 9.0])
    whole = StandardiseSlicesd("image")({"image": volume})["image"]
    for z in range(4):
        alone = StandardiseSlicesd("image")({"image": volume[..., z]})["image"]
        torch.testing.assert_close(whole[..., z], alone)
        np.testing.assert_allclose(alone.numpy(), zscore(volume[..., z].numpy(), axis=(1, 2)), rtol=1e-4, atol=1e-5)


def test_standardising_undoes_any_linear_change_of_intensities():
    image = torch.rand(1, 8, 8, generator=torch.Generator().manual_seed(0))
    first, second = (StandardiseSlicesd("image")({"image": x})["image"] for x in (image, 200 * image - 70))
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [-1.0, 0.1, 255.0])
def test_a_constant_slice_becomes_zero(value):
    assert not StandardiseSlicesd("image")({"image": torch.full((2, 7, 7), value)})["image"].any()
