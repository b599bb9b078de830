from __future__ import annotations

import pytest
import torch
from torch import nn

from scripts.networks.darknet import Darknet53, ResidualBlock, build_convolution, fuse_norms

# Redmon and Farhadi, table 1: kernel size, output channels, stride, and how often, by row; the first is the stem.
TABLE = [
    [(3, 32, 1)],
    [(3, 64, 2), *[(1, 32, 1), (3, 64, 1)] * 1],
    [(3, 128, 2), *[(1, 64, 1), (3, 128, 1)] * 2],
    [(3, 256, 2), *[(1, 128, 1), (3, 256, 1)] * 8],
    [(3, 512, 2), *[(1, 256, 1), (3, 512, 1)] * 8],
    [(3, 1024, 2), *[(1, 512, 1), (3, 1024, 1)] * 4],
]


@pytest.fixture(autouse=True)
def _no_draws(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Spares the published sizes 40 million draws."""
    if "published" in request.node.name:
        for name in ("kaiming_uniform_", "kaiming_normal_"):
            monkeypatch.setattr(nn.init, name, lambda weight, **options: weight)


def test_published_convolutions_are_those_of_table_1_in_its_order() -> None:
    expected, channels = [], 3
    for kernel, out, stride in (layer for row in TABLE for layer in row):
        expected.append((channels, out, kernel, stride))
        channels = out
    found = [m for m in Darknet53(3).modules() if isinstance(m, nn.Conv2d)]
    assert [(m.in_channels, m.out_channels, m.kernel_size[0], m.stride[0]) for m in found] == expected
    assert len(found) == 52  # with the classifier 53


def test_parameters_of_the_published_backbone() -> None:
    channels, expected = 3, 0
    for kernel, out, _ in (layer for row in TABLE for layer in row):
        expected += channels * out * kernel**2 + 2 * out  # batch norm in place of the bias
        channels = out
    assert sum(p.numel() for p in Darknet53(3).parameters()) == expected == 40_584_928


def test_features_at_strides_8_16_32() -> None:
    network = Darknet53(2, width_multiplier=1 / 16).eval()
    features = network(torch.zeros(2, 2, 64, 96))
    assert [tuple(f.shape) for f in features] == [(2, 16, 8, 12), (2, 32, 4, 6), (2, 64, 2, 3)]
    assert network.out_channels == [16, 32, 64]


def test_widths_round_to_at_least_one() -> None:
    network = Darknet53(1, width_multiplier=0.01)
    convolutions = [m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert convolutions[:3] == [1, 1, 1]
    assert network.out_channels == [3, 5, 10]  # 2.56, 5.12, 10.24


def test_a_block_adds_its_input() -> None:
    block = ResidualBlock(4, 2).eval()
    nn.init.zeros_(block.convolutions[1][0].weight)  # type: ignore[index]
    x = torch.randn(1, 4, 5, 5)
    assert torch.equal(block(x), x)


def test_a_layer_is_convolution_norm_and_leaky_slope_of_a_tenth() -> None:
    layer = build_convolution(1, 1, kernel_size=1).eval()
    nn.init.ones_(layer[0].weight)  # type: ignore[arg-type]
    torch.testing.assert_close(layer(torch.tensor([[[[-3.0, 2.0]]]])), torch.tensor([[[[-0.3, 2.0]]]]))


def test_running_statistics_move_by_the_momentum() -> None:
    layer = build_convolution(1, 1, kernel_size=1, norm_momentum=0.25)
    nn.init.ones_(layer[0].weight)  # type: ignore[arg-type]
    layer(torch.full((1, 1, 2, 2), 8.0))
    assert layer[1].running_mean.item() == 2.0  # type: ignore[union-attr,operator]
    assert build_convolution(1, 1, kernel_size=1)[1].momentum == 0.01


def test_other_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"The image has 64 x 50 pixels: expected multiples of 32\. Letterbox"):
        Darknet53(1, width_multiplier=0.01)(torch.zeros(1, 1, 64, 50))


def test_norms_inside_convolutions_change_no_result() -> None:
    backbone = Darknet53(1, width_multiplier=0.125, norm_momentum=0.5).double()
    image = torch.randn(2, 1, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        backbone(image)
    expected = backbone.eval()(image)
    fused = fuse_norms(backbone)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in fused.modules())
    torch.testing.assert_close(fused(image), expected)
