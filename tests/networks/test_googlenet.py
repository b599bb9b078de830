from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from scripts.networks.googlenet import GoogLeNet, Inception

# Szegedy et al., table 1, per inception block: output size, output channels, (1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5,
# pool projection), parameters in units of 1024.
TABLE = {
    "3a": (28, 256, (64, 96, 128, 16, 32, 32), 159),
    "3b": (28, 480, (128, 128, 192, 32, 96, 64), 380),
    "4a": (14, 512, (192, 96, 208, 16, 48, 64), 364),
    "4b": (14, 512, (160, 112, 224, 24, 64, 64), 437),
    "4c": (14, 512, (128, 128, 256, 24, 64, 64), 463),
    "4d": (14, 528, (112, 144, 288, 32, 64, 64), 580),
    "4e": (14, 832, (256, 160, 320, 32, 128, 128), 840),
    "5a": (7, 832, (256, 160, 320, 32, 128, 128), 1072),
    "5b": (7, 1024, (384, 192, 384, 48, 128, 128), 1388),
}


def tiny_network(in_channels: int = 1, out_channels: int = 1) -> GoogLeNet:
    torch.manual_seed(0)
    return GoogLeNet(in_channels, out_channels, width_multiplier=1 / 16).eval()


def count_weights(module: nn.Module) -> int:
    return sum(m.weight.numel() for m in module.modules() if isinstance(m, nn.Conv2d))


def test_sizes_and_channels_of_table_1() -> None:
    network = GoogLeNet(3, 1000).eval()
    seen: list[tuple[int, ...]] = []
    for module in [network.stem, *(m for m in network.modules() if isinstance(m, Inception))]:
        module.register_forward_hook(lambda m, i, output: seen.append(tuple(output.shape[1:])))
    assert network(torch.randn(1, 3, 224, 224)).shape == (1, 1000)
    assert seen == [(192, 56, 56), *((channels, size, size) for size, channels, _, _ in TABLE.values())]


def test_parameters_of_table_1() -> None:
    network = GoogLeNet(3, 1000)
    blocks = [m for m in network.modules() if isinstance(m, Inception)]
    assert count_weights(network.stem) == 3 * 64 * 49 + 64 * 64 + 64 * 192 * 9
    channels = 192
    for block, (_, out_channels, (a, b, c, d, e, f), published) in zip(blocks, TABLE.values(), strict=True):
        assert count_weights(block) == channels * (a + b + d + f) + 9 * b * c + 25 * d * e
        assert count_weights(block) / 1024 == pytest.approx(published, rel=0.08)  # the table's own sums are a bit off
        channels = out_channels


def test_total_is_that_of_the_published_caffe_model() -> None:
    network = GoogLeNet(3, 1000)
    biases = sum(m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d))  # batch norm took their place
    head = sum(p.numel() for p in network.head.parameters())
    assert count_weights(network) + biases + head == 6_998_552
    assert sum(p.numel() for p in network.parameters()) == 6_998_552 + biases


def test_widths_scale_and_round_to_at_least_one() -> None:
    network = GoogLeNet(1, width_multiplier=0.01)
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
    assert [m.out_channels for m in convolutions[:3]] == [1, 1, 2]
    assert network.head.in_features == 4 + 4 + 1 + 1  # 3.84, 3.84, 1.28, 1.28


@pytest.mark.parametrize("size", [(32, 32), (33, 100), (256, 224)])
def test_one_logit_per_image_of_any_size(size: tuple[int, int]) -> None:
    assert tiny_network()(torch.randn(2, 1, *size)).shape == (2, 1)


def test_an_image_under_the_minimum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"31 x 40 pixels: expected at least 32 x 32. Resize"):
        tiny_network()(torch.zeros(1, 1, 31, 40))


def test_head_sees_the_mean_over_space() -> None:
    network = tiny_network()
    seen: list[torch.Tensor] = []
    network.stages[2].register_forward_hook(lambda m, i, output: seen.append(output))
    logits = network(torch.randn(2, 1, 64, 96))
    expected = seen[0].flatten(2).sum(-1) / 6 @ network.head.weight.T + network.head.bias
    torch.testing.assert_close(logits, expected)


def test_every_parameter_gets_a_gradient() -> None:
    network = tiny_network().train()
    network(torch.randn(2, 1, 64, 64)).square().sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_script_agrees_with_eager(tmp_path: Path) -> None:
    network, x = tiny_network(), torch.randn(2, 1, 50, 64)
    torch.jit.script(network).save(str(tmp_path / "network.ts"))
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "network.ts"))(x), network(x))


def test_autocast_is_close() -> None:
    network, x = tiny_network(), torch.randn(2, 1, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(x)
    torch.testing.assert_close(logits.float(), network(x), rtol=0.05, atol=0.01)
