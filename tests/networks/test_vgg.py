from __future__ import annotations

import torch
from torch import nn

from scripts.networks.vgg import VGG16Trunk


def test_trunk_has_the_parameters_of_vgg_16() -> None:
    trunk = VGG16Trunk(3, batch_norm=False)
    assert sum(p.numel() for p in trunk.parameters()) == 14_714_688  # as Keras and torchvision count them


def test_batch_norm_adds_two_parameters_per_channel() -> None:
    extra = 2 * (2 * 64 + 2 * 128 + 3 * 256 + 6 * 512)
    assert sum(p.numel() for p in VGG16Trunk(3).parameters()) == 14_714_688 + extra


def test_outputs_halve_and_have_table_1s_channels() -> None:
    outputs = VGG16Trunk(1)(torch.zeros(2, 1, 64, 96))
    expected = [(2, 64, 32, 48), (2, 128, 16, 24), (2, 256, 8, 12), (2, 512, 4, 6), (2, 512, 2, 3)]
    assert [tuple(o.shape) for o in outputs] == expected


def test_layers_lie_where_torchvision_has_them() -> None:
    for batch_norm, expected in (
        (False, [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]),
        (True, [0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40]),
    ):
        stages = VGG16Trunk(3, width=1, batch_norm=batch_norm).stages
        flat = [layer for stage in stages for layer in stage.children()]
        assert [i for i, layer in enumerate(flat) if isinstance(layer, nn.Conv2d)] == expected
