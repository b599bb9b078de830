"""Channels by name."""

from __future__ import annotations

import pytest
import torch

from scripts.data.contract import DatasetError
from scripts.transforms.channels import SelectChannelsd, choose_channels

MODALITY = ["T1", "T1ce", "T2", "FLAIR"]


def test_channels_come_in_the_order_of_their_names() -> None:
    image = torch.arange(4.0)[:, None, None, None].expand(4, 2, 3, 5)
    chosen = SelectChannelsd("image", ["FLAIR", "T1"], MODALITY)({"image": image, "label": image})
    assert chosen["image"].shape == (2, 2, 3, 5)
    assert chosen["image"][:, 0, 0, 0].tolist() == [3, 0]
    assert chosen["label"] is image


def test_one_name_and_none() -> None:
    assert choose_channels("T2", MODALITY) == ["T2"]
    assert choose_channels(None, MODALITY) == MODALITY


@pytest.mark.parametrize("names", [[], ["FLAIR", "FLAIR"], ["flair"], "T3"])
def test_unknown_names_are_refused_with_the_known_ones(names: list[str] | str) -> None:
    with pytest.raises(DatasetError, match=r"expected different names among T1, T1ce, T2, FLAIR .*image_channel_names"):
        SelectChannelsd("image", names, MODALITY)
