from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DynUNet
from torch import nn

from scripts.networks.deep_unet import build_deep_unet

FILTERS = (4, 4, 8, 8, 8, 8)


def build(filters: tuple[int, ...] = FILTERS, image_size: int = 64) -> nn.Module:
    torch.manual_seed(0)
    return build_deep_unet(4, 3, filters=filters, image_size=image_size)


def is_reached(module: nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in module.parameters())


@pytest.mark.parametrize(("levels", "heads"), [(6, 5), (7, 5), (5, 4), (3, 2)])
def test_the_five_highest_levels_are_supervised_when_training(levels: int, heads: int) -> None:
    size = 2**levels
    network = build((4,) * levels, size)
    assert network.train()(torch.randn(2, 4, size, size)).shape == (2, heads, 3, size, size)
    assert network.eval()(torch.randn(2, 4, size, size)).shape == (2, 3, size, size)


def test_the_first_output_is_that_of_evaluation_and_lower_ones_have_larger_pixels() -> None:
    network, x = build(), torch.randn(1, 4, 64, 64)
    outputs = network.train()(x)[0]  # (5, 3, 64, 64)
    torch.testing.assert_close(outputs[:1], network.eval()(x))
    for depth, output in enumerate(outputs):
        side = 2**depth
        blocks = output.unfold(1, side, side).unfold(2, side, side).flatten(3)  # (3, 64 / side, 64 / side, side^2)
        assert torch.equal(blocks.amax(3), blocks.amin(3))
        assert blocks[..., 0].unique().numel() > blocks[..., 0].numel() // 2


def test_every_head_trains_its_own_and_all_lower_levels() -> None:
    network = build()
    outputs = network.train()(torch.randn(2, 4, 64, 64))
    heads = [network.output_block, *network.deep_supervision_heads]
    for depth, head in enumerate(heads):
        network.zero_grad()
        outputs[:, depth].square().sum().backward(retain_graph=True)
        assert [is_reached(other) for other in heads] == [other is head for other in heads]
        assert [is_reached(block) for block in network.upsamples] == [True] * (5 - depth) + [False] * depth
        assert is_reached(network.bottleneck)


def test_it_has_instance_norm_and_leaky_relu_and_halves_once_per_level() -> None:
    modules = list(build().modules())
    norms = [module for module in modules if isinstance(module, nn.InstanceNorm2d)]
    slopes = {module.negative_slope for module in modules if isinstance(module, nn.LeakyReLU)}
    assert len(norms) == 2 * 6 + 2 * 5
    assert all(norm.affine and not norm.track_running_stats for norm in norms)
    assert not any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in modules)
    assert slopes == {0.01}


@pytest.mark.parametrize("size", [32, 80, 63])
def test_sizes_that_six_levels_cannot_halve_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size is {size}, expected a multiple of 32 from 64 on"):
        build(image_size=size)


def test_any_other_size_works() -> None:
    assert build(image_size=96).eval()(torch.randn(1, 4, 96, 96)).shape == (1, 3, 96, 96)


def test_two_levels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"filters is \[4, 8\], expected 3 numbers or more"):
        build((4, 8))


def test_features_are_the_bottleneck_averaged_over_the_image() -> None:
    network, x = build().eval(), torch.randn(2, 4, 64, 96)
    deepest: list[torch.Tensor] = []
    hook = network.bottleneck.register_forward_hook(lambda module, given, made: deepest.append(made))
    network(x)
    hook.remove()
    features = network.encode(x)
    assert features.shape == (2, 8)
    assert deepest[0].shape == (2, 8, 2, 3)
    torch.testing.assert_close(features, deepest[0].flatten(2).mean(2))
    torch.testing.assert_close(network.train().encode(x), features)


def test_weights_are_those_of_monais_network() -> None:
    network = build((4, 8, 8), 16)
    plain = DynUNet(
        2,
        4,
        3,
        kernel_size=[3, 3, 3],
        strides=[1, 2, 2],
        upsample_kernel_size=[2, 2],
        filters=[4, 8, 8],
        norm_name=("instance", {"affine": True}),
        deep_supervision=True,
    )
    plain.load_state_dict(network.state_dict())
    x = torch.randn(1, 4, 16, 16)
    torch.testing.assert_close(plain.eval()(x), network.eval()(x))


def test_it_can_be_traced() -> None:
    network, x = build((4, 8, 8), 16).eval(), torch.randn(1, 4, 16, 16)
    traced = torch.jit.trace(network, x, check_trace=False)
    y = torch.randn(3, 4, 16, 16)
    torch.testing.assert_close(traced(y), network(y))
