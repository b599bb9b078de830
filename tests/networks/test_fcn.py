from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.fcn import FCN8s, VGG16Trunk


def tiny_network(out_channels: int = 3, *, batch_norm: bool = True) -> FCN8s:
    torch.manual_seed(0)
    return FCN8s(2, out_channels, width=4, fc_width=16, batch_norm=batch_norm).eval()


def train_scores(network: FCN8s) -> FCN8s:
    """As after some training: no score head is zero any more."""
    for score in (network.score_fc7, network.score_pool4, network.score_pool3):
        nn.init.normal_(score.weight)
    return network


def test_parameters_by_closed_form() -> None:
    with torch.device("meta"):
        network = FCN8s(3, 21, batch_norm=False)
    fc = 512 * 4096 * 49 + 4096 + 4096 * 4096 + 4096
    assert 14_714_688 + fc == 138_357_544 - (4096 * 1000 + 1000)  # torchvision's vgg16 without its last layer
    scores = (4096 + 512 + 256) * 21 + 3 * 21
    upsampling = 2 * 21 * 21 * 16  # the last is fixed
    assert sum(p.numel() for p in network.parameters()) == 14_714_688 + fc + scores + upsampling == 134_376_863


@pytest.mark.parametrize("size", [(64, 64), (70, 100), (1, 33), (256, 224)])
def test_any_size_keeps_its_shape(size: tuple[int, int]) -> None:
    assert tiny_network()(torch.randn(1, 2, *size)).shape == (1, 3, *size)


def test_padding_repeats_the_edge() -> None:
    network, x = train_scores(tiny_network()), torch.randn(1, 2, 60, 50)
    rows, columns = torch.arange(64).clamp(max=59), torch.arange(64).clamp(max=49)
    torch.testing.assert_close(network(x), network(x[:, :, rows][..., columns])[..., :60, :50])


def test_upsampling_interpolates_a_ramp_per_channel() -> None:
    network = tiny_network(2)
    ramp = torch.stack([torch.arange(6.0).expand(6, 6), torch.full((6, 6), 5.0)])[None]  # (1, 2, 6, 6)
    upsampled = network.upsample_fc7(ramp)  # centres of the new pixels lie at (i + .5) / 2 - .5
    expected = ((torch.arange(12.0) + 0.5) / 2 - 0.5).expand(12, 12)
    torch.testing.assert_close(upsampled[0, 0, 1:-1, 1:-1], expected[1:-1, 1:-1])
    torch.testing.assert_close(upsampled[0, 1, 1:-1, 1:-1], torch.full((10, 10), 5.0))


def test_last_upsampling_is_the_published_transposed_convolution_inside() -> None:
    network, x = train_scores(tiny_network(1)), torch.randn(1, 2, 128, 128)
    seen: dict[str, torch.Tensor] = {}
    network.upsample_pool4.register_forward_hook(lambda m, i, output: seen.update(a=output))
    network.score_pool3.register_forward_hook(lambda m, i, output: seen.update(b=output))
    logits = network(x)
    taps = 1 - (torch.arange(16.0) - 7.5).abs() / 8
    kernel = (taps[:, None] * taps)[None, None]
    expected = F.conv_transpose2d(seen["a"] + seen["b"], kernel, stride=8, padding=4)
    torch.testing.assert_close(logits[..., 4:-4, 4:-4], expected[..., 4:-4, 4:-4], rtol=0, atol=1e-4)


def test_it_starts_as_an_fcn_32s() -> None:
    network, x = tiny_network(), torch.randn(1, 2, 64, 64)
    x_of_fc7: list[torch.Tensor] = []
    network.score_fc7.register_forward_hook(lambda m, i, output: x_of_fc7.append(output))
    logits = network(x)
    expected = F.interpolate(network.upsample_pool4(network.upsample_fc7(x_of_fc7[0])), scale_factor=8, mode="bilinear")
    torch.testing.assert_close(logits, expected)
    assert logits.std() > 0


@pytest.mark.parametrize("batch_norm", [True, False])
def test_every_parameter_gets_a_gradient_and_the_first_convolution_one_at_once(batch_norm: bool) -> None:
    network = tiny_network(batch_norm=batch_norm).train()
    F.cross_entropy(network(torch.randn(2, 2, 64, 64)), torch.randint(3, (2, 64, 64))).backward()
    assert all(parameter.grad is not None for parameter in network.parameters())
    first = next(network.trunk.parameters())
    assert first.grad is not None
    assert first.grad.abs().max() > 0
    assert network.score_pool3.weight.grad is not None
    assert network.score_pool3.weight.grad.abs().max() > 0


def test_dropout_follows_fc6_and_fc7() -> None:
    network = tiny_network().train()
    seen: list[torch.Tensor] = []
    network.dropout.register_forward_hook(lambda m, inputs, output: seen.append(output))
    network(torch.randn(2, 2, 64, 64))
    assert [tuple(o.shape) for o in seen] == [(2, 16, 2, 2)] * 2
    assert network.dropout.p == 0.5


@pytest.mark.parametrize("size", [(32, 64), (64, 96), (128, 160)])
def test_fc6_is_a_7x7_convolution_whose_taps_outside_the_image_learn_nothing(size: tuple[int, int]) -> None:
    network, x = tiny_network(), torch.randn(2, 2, *size)
    pooled = network.trunk(x)[4]
    expected = F.relu(network.fc7(F.relu(network.fc6(pooled))))
    torch.testing.assert_close(network._connect(pooled), expected)
    with torch.autocast("cpu", torch.bfloat16):
        network(x).square().mean().backward()
    gradient = network.fc6.weight.grad
    assert gradient is not None
    rows, columns = pooled.shape[-2:]
    for tap in range(7):
        assert bool((gradient[:, :, tap] == 0).all()) == (abs(tap - 3) >= rows)
        assert bool((gradient[..., tap] == 0).all()) == (abs(tap - 3) >= columns)


def test_encode_is_the_spatial_mean_of_fc7() -> None:
    network, x = tiny_network(), torch.randn(2, 2, 64, 96)
    seen: list[torch.Tensor] = []
    network.fc7.register_forward_hook(lambda m, inputs, output: seen.append(output))
    features = network.encode(x)
    torch.testing.assert_close(features, seen[0].clamp(min=0).flatten(2).sum(-1) / 6)


@pytest.mark.parametrize("size", [(64, 64), (70, 100)])
def test_script_agrees_with_eager(size: tuple[int, int], tmp_path: Path) -> None:
    network, x = train_scores(tiny_network()), torch.randn(2, 2, *size)
    torch.jit.script(network).save(str(tmp_path / "network.ts"))
    scripted = torch.jit.load(str(tmp_path / "network.ts"))
    torch.testing.assert_close(scripted(x), network(x))
    torch.testing.assert_close(scripted.encode(x), network.encode(x))


def test_autocast_keeps_the_logits_in_fp32_and_close() -> None:
    network, x = train_scores(tiny_network()), torch.randn(1, 2, 64, 64)
    with torch.autocast("cpu", torch.bfloat16):
        logits = network(x)
    expected = network(x)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, expected, rtol=0, atol=0.05 * expected.abs().max().item())


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
