from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scripts.losses.wgan_gp import gradient_penalty
from scripts.networks.pggan import (
    PGGANDiscriminator,
    PGGANGenerator,
    fade_images,
    minibatch_stddev,
    pixel_norm,
    pool_pyramid,
    shrink_images,
)

TINY: dict[str, Any] = {"image_size": 16, "feature_base": 32, "feature_max": 6}


def tiny_generator(**options: Any) -> PGGANGenerator:
    torch.manual_seed(0)
    return PGGANGenerator(2, **{**TINY, "latent_dim": 5, **options})


def tiny_discriminator(**options: Any) -> PGGANDiscriminator:
    torch.manual_seed(0)
    return with_biases(PGGANDiscriminator(2, **{**TINY, **options}))


def with_biases(network: Any) -> Any:
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(parameter, std=0.3)
    return network


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def conv(state: dict[str, torch.Tensor], name: str, x: torch.Tensor, gain: float, padding: int) -> torch.Tensor:
    """Convolution with its weights scaled by hand: gain over the root of the weights per output."""
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight * (gain / math.sqrt(weight[0].numel())), state[f"{name}.bias"], padding=padding)


def leaky(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x > 0, x, 0.2 * x)


def normalise(x: torch.Tensor) -> torch.Tensor:
    return x / torch.sqrt((x**2).mean(dim=1, keepdim=True) + 1e-8)


def double_size(x: torch.Tensor) -> torch.Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def plain_generator(
    network: nn.Module, z: torch.Tensor, size: int, alpha: float, condition: torch.Tensor
) -> torch.Tensor:
    """Table 2 written out: every level's image, faded as in figure 2."""
    state = network.state_dict()
    start = state["start.weight"]
    x = (normalise(z) @ start.T * math.sqrt(2 / (16 * z.shape[1]))).view(len(z), -1, 4, 4)
    x = normalise(leaky(x + state["start.bias"].view(1, -1, 1, 1)))
    image = torch.zeros(0)
    for level in range(size.bit_length() - 2):
        x = double_size(x) if level else x
        x = torch.cat([x, F.max_pool2d(condition, condition.shape[-1] // x.shape[-1])], dim=1)
        for index in range(2 if level else 1):
            x = normalise(leaky(conv(state, f"blocks.{level}.convs.{index}", x, math.sqrt(2), 1)))
        before, image = image, conv(state, f"to_image.{level}", x, 1, 0)
    return alpha * image + (1 - alpha) * double_size(before)


def plain_discriminator(
    network: nn.Module, images: torch.Tensor, alpha: float, condition: torch.Tensor
) -> torch.Tensor:
    """Table 2 written out for 8x8 pixels and one group of images."""
    state, gain = network.state_dict(), math.sqrt(2)
    x = leaky(conv(state, "from_image.1", images, gain, 0))
    x = torch.cat([x, F.max_pool2d(condition, 2)], dim=1)
    x = leaky(conv(state, "blocks.0.conv_0", x, gain, 1))
    x = F.avg_pool2d(leaky(conv(state, "blocks.0.conv_1", x, gain, 1)), 2)
    x = alpha * x + (1 - alpha) * leaky(conv(state, "from_image.0", F.avg_pool2d(images, 2), gain, 0))
    deviation = torch.sqrt(((x - x.mean(dim=0)) ** 2).mean(dim=0) + 1e-8).mean().expand(len(x), 1, 4, 4)
    x = torch.cat([x, F.max_pool2d(condition, 4), deviation], dim=1)
    x = leaky(conv(state, "dense", leaky(conv(state, "conv", x, gain, 1)), gain, 0))
    return conv(state, "score", x, 1, 0).flatten(1)


def test_feature_counts_of_the_published_network() -> None:
    with torch.device("meta"):
        generator, discriminator = PGGANGenerator(3, image_size=1024), PGGANDiscriminator(3, image_size=1024)
    widths = [512, 512, 512, 512, 256, 128, 64, 32, 16]  # 4 to 1024 pixels
    assert [layer.weight.shape[1] for layer in generator.to_image] == widths
    assert [layer.weight.shape[0] for layer in discriminator.from_image] == widths
    assert discriminator.conv.weight.shape == (512, 513, 3, 3)


def test_parameters_of_the_published_generator() -> None:
    with torch.device("meta"):
        generator = PGGANGenerator(3, image_size=1024)
    table_2 = [4_194_816, *[2_359_808] * 7, 1_179_904, 590_080, 295_040, 147_584, 73_792, 36_928, 18_464, 9_248]
    table_2 += [4_624, 2_320, 51]
    smaller_images = 3 * (4 * 512 + 256 + 128 + 64 + 32) + 8 * 3
    assert sum(table_2) == 23_071_507  # "23.1M", whose last row is the only 1x1 convolution
    assert count(generator) == sum(table_2) + smaller_images == 23_079_115


def test_parameters_of_the_published_discriminator() -> None:
    with torch.device("meta"):
        discriminator = PGGANDiscriminator(3, image_size=1024)
    table_2 = [64, 2_320, 4_640, 9_248, 18_496, 36_928, 73_856, 147_584, 295_168, 590_080, 1_180_160, *[2_359_808] * 6]
    table_2 += [513 * 512 * 9 + 512, 512 * 512 * 16 + 512, 513]
    smaller_images = 4 * (4 * 512 + 256 + 128 + 64 + 32)
    assert round(sum(table_2) / 1e6, 1) == 23.1
    assert count(discriminator) == sum(table_2) + smaller_images


def test_pixel_norm_by_hand() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0]])[:, :, None, None].expand(2, 2, 3, 3)
    expected = torch.tensor([[3.0, 4.0], [0.0, 0.0]]) / math.sqrt(12.5)
    torch.testing.assert_close(pixel_norm(x), expected[:, :, None, None].expand(2, 2, 3, 3))
    torch.testing.assert_close(pixel_norm(x[:, :, 0, 0]), expected)


def test_minibatch_stddev_of_known_tensors() -> None:
    x = torch.zeros(4, 2, 3, 5)
    x[:, 0] = torch.tensor([1.0, 3.0, 1.0, 3.0])[:, None, None]  # a standard deviation of 1 in one of two channels
    torch.testing.assert_close(minibatch_stddev(x, 4), torch.full((4, 1, 3, 5), 0.5 * (1 + 1e-4)))


def test_minibatch_stddev_takes_groups_as_published() -> None:
    x = torch.tensor([0.0, 10.0, 2.0, 16.0])[:, None, None, None]  # images 0 and 2, 1 and 3
    assert minibatch_stddev(x, 2).flatten().tolist() == pytest.approx([1.0, 3.0, 1.0, 3.0])


@pytest.mark.parametrize(("batch_size", "groups"), [(6, 2), (4, 1), (2, 1), (5, 5), (8, 2), (9, 3)])
def test_minibatch_stddev_takes_the_largest_group_that_divides(batch_size: int, groups: int) -> None:
    torch.manual_seed(0)
    values = minibatch_stddev(torch.randn(batch_size, 2, 2, 2), 4)[:, 0, 0, 0]
    if groups == batch_size:
        torch.testing.assert_close(values, torch.full((batch_size,), 1e-4))
    else:
        assert len(set(values.tolist())) == groups


@pytest.mark.parametrize(("size", "alpha"), [(8, 0.3), (16, 1.0), (16, 0.0), (16, 0.7)])
def test_generator_is_table_2(size: int, alpha: float) -> None:
    generator = with_biases(tiny_generator(condition_channels=1))
    z, condition = torch.randn(3, 5), (torch.rand(3, 1, 16, 16) > 0.9).float()
    image = generator(z, resolution=size, alpha=alpha, condition=condition)
    torch.testing.assert_close(image, plain_generator(generator, z, size, alpha, condition), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_discriminator_is_table_2(alpha: float) -> None:
    discriminator = tiny_discriminator(condition_channels=1)
    images, condition = torch.randn(4, 2, 8, 8), (torch.rand(4, 1, 16, 16) > 0.9).float()
    scores = discriminator(images, resolution=8, alpha=alpha, condition=condition)
    expected = plain_discriminator(discriminator, images, alpha, condition)
    torch.testing.assert_close(scores, expected, rtol=1e-4, atol=1e-5)


def test_at_alpha_0_the_generator_is_the_smaller_one() -> None:
    generator, z = tiny_generator(), torch.randn(2, 5)
    smaller = generator(z, resolution=8, alpha=1.0)
    assert torch.equal(generator(z, resolution=16, alpha=0.0), double_size(smaller))


def test_at_alpha_0_the_discriminator_is_the_smaller_one() -> None:
    discriminator, images = tiny_discriminator(), torch.randn(4, 2, 16, 16)
    smaller = discriminator(shrink_images(images, 8), resolution=8, alpha=1.0)
    assert torch.equal(discriminator(images, resolution=16, alpha=0.0), smaller)


@pytest.mark.parametrize(("alpha", "unused"), [(0.0, {"blocks.2", "to_image.2"}), (1.0, {"to_image.1"}), (0.5, set())])
def test_generator_runs_only_what_counts(alpha: float, unused: set[str]) -> None:
    generator = tiny_generator()
    generator(torch.randn(2, 5), resolution=16, alpha=alpha).sum().backward()
    without = {".".join(n.split(".")[:2]) for n, p in generator.named_parameters() if p.grad is None}
    assert without == {"to_image.0"} | unused


@pytest.mark.parametrize(
    ("alpha", "unused"), [(0.0, {"blocks.1", "from_image.2"}), (1.0, {"from_image.1"}), (0.5, set())]
)
def test_discriminator_runs_only_what_counts(alpha: float, unused: set[str]) -> None:
    discriminator = tiny_discriminator()
    discriminator(torch.randn(4, 2, 16, 16), resolution=16, alpha=alpha).sum().backward()
    without = {".".join(n.split(".")[:2]) for n, p in discriminator.named_parameters() if p.grad is None}
    assert without == {"from_image.0"} | unused


def test_level_0_ignores_alpha() -> None:
    generator, discriminator, z = tiny_generator(), tiny_discriminator(), torch.randn(2, 5)
    image = generator(z, resolution=4, alpha=1.0)
    assert image.shape == (2, 2, 4, 4)
    assert torch.equal(generator(z, resolution=4, alpha=0.0), image)
    score = discriminator(image, resolution=4, alpha=1.0)
    assert score.shape == (2, 1)
    assert torch.equal(discriminator(image, resolution=4, alpha=0.3), score)


def test_an_image_depends_on_the_direction_of_its_latent_vector_alone() -> None:
    generator, z = tiny_generator(), torch.randn(2, 5)
    image = generator(z, resolution=16, alpha=1.0)
    torch.testing.assert_close(generator(7 * z, resolution=16, alpha=1.0), image, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(generator(z[1:], resolution=16, alpha=1.0), image[1:], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("place", [(0, 0), (9, 14), (31, 31)])
def test_a_condition_of_one_pixel_is_visible_at_4_pixels(place: tuple[int, int]) -> None:
    options = {"image_size": 32, "condition_channels": 1}
    generator, discriminator = tiny_generator(**options), tiny_discriminator(**options)
    z, image = torch.randn(1, 5), torch.randn(1, 2, 4, 4)
    empty, box = torch.zeros(2, 1, 1, 32, 32)
    box[0, 0, place[0], place[1]] = 1
    size = {"resolution": 4, "alpha": 1.0}
    difference = generator(z, condition=box, **size) - generator(z, condition=empty, **size)
    touched = torch.zeros(4, 4)
    row, column = place[0] // 8, place[1] // 8
    touched[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 1  # one 3x3 convolution around its cell
    assert torch.equal(difference.abs().sum(dim=(0, 1)) > 1e-4, touched > 0)
    change = discriminator(image, condition=box, **size) - discriminator(image, condition=empty, **size)
    assert change.abs().item() > 1e-4


def test_without_condition_there_are_no_weights_for_one() -> None:
    extra = 9 * 6 + 9 * 6 + 9 * 4  # 3x3 weights from one channel to 6, 6 and 4, on the levels of 4, 8 and 16 pixels
    assert count(tiny_generator(condition_channels=1)) - count(tiny_generator()) == extra
    extra = 9 * 6 + 9 * 6 + 9 * 4  # its levels start with 6, 6 and 4
    assert count(tiny_discriminator(condition_channels=1)) - count(tiny_discriminator()) == extra


def test_autocast_keeps_outputs_in_fp32_and_close() -> None:
    generator, discriminator, z = tiny_generator(), tiny_discriminator(), torch.randn(4, 5)
    size = {"resolution": 16, "alpha": 0.5}
    image = generator(z, **size)
    with torch.autocast("cpu", torch.bfloat16):
        rounded, score = generator(z, **size), discriminator(image, **size)
    assert rounded.dtype == score.dtype == torch.float32
    assert F.cosine_similarity(rounded.flatten(), image.flatten(), dim=0).item() > 0.999
    torch.testing.assert_close(score, discriminator(image, **size), rtol=0, atol=0.05)


def test_norms_are_taken_in_fp32_under_autocast() -> None:
    x = torch.full((4, 8, 2, 2), 3.0) + torch.tensor([-1.0, 1.0, -1.0, 1.0]).view(4, 1, 1, 1) / 64
    x = x.bfloat16()  # exact; a variance in bf16 would lose its digits
    with torch.autocast("cpu", torch.bfloat16):
        deviation, normalised = minibatch_stddev(x, 4), pixel_norm(x)
    assert deviation.dtype == normalised.dtype == torch.bfloat16
    assert deviation[0, 0, 0, 0].item() == pytest.approx(math.sqrt(1 / 64**2 + 1e-8), rel=2**-8)
    torch.testing.assert_close(normalised.float(), torch.ones(4, 8, 2, 2), rtol=0, atol=2**-8)


def test_the_pyramid_holds_the_largest_values_of_areas_of_any_image() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    assert pool_pyramid(x).flatten().tolist() == [*range(16), 5, 7, 13, 15, 15]
    wide = torch.arange(32.0).view(1, 1, 4, 8)
    assert pool_pyramid(wide).flatten().tolist() == [*range(1, 32, 2), 11, 15, 27, 31, 31]


@pytest.mark.parametrize("pyramid", [False, True])
@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_double_backward_under_autocast(alpha: float, pyramid: bool) -> None:
    discriminator = tiny_discriminator(condition_channels=1, spatial_pyramid=pyramid)
    real, fake, condition = torch.randn(4, 2, 16, 16), torch.randn(4, 2, 16, 16), torch.ones(4, 1, 16, 16)
    gradients = []
    for enabled in (False, True):
        discriminator.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            penalty = gradient_penalty(
                lambda x: discriminator(x, resolution=16, alpha=alpha, condition=condition),
                real,
                fake,
                mixing=torch.full((4, 1, 1, 1), 0.5),
            )
        penalty.backward()
        weights = [p.grad.flatten() for n, p in discriminator.named_parameters() if p.grad is not None]
        gradients.append(torch.cat(weights))
    assert gradients[0].abs().max() > 0
    assert F.cosine_similarity(gradients[1], gradients[0], dim=0).item() > 0.99


def test_weights_and_features_are_channels_last() -> None:
    generator, discriminator = tiny_generator(), tiny_discriminator()
    seen: list[torch.Tensor] = []
    for block in [*generator.blocks, *discriminator.blocks]:
        block.register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    size = {"resolution": 16, "alpha": 1.0}
    discriminator(generator(torch.randn(2, 5), **size), **size)
    assert len(seen) == 3 + 2
    weights = [p for network in (generator, discriminator) for p in network.parameters() if p.ndim == 4]
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in [*seen, *weights])


def test_fade_and_shrink_by_hand() -> None:
    x = torch.tensor([[1.0, 2.0, 0.0, 0.0], [3.0, 6.0, 0.0, 4.0], [0.0] * 4, [0.0] * 4])[None, None]
    assert shrink_images(x, 2).tolist() == [[[[3.0, 1.0], [0.0, 0.0]]]]
    assert shrink_images(x, 4) is x
    half = torch.tensor([[2.0, 2.5, 0.5, 0.5], [3.0, 4.5, 0.5, 2.5], [0.0] * 4, [0.0] * 4])[None, None]
    torch.testing.assert_close(fade_images(x, 0.5), half)
    assert torch.equal(fade_images(x, 0.0), double_size(shrink_images(x, 2)))
    assert fade_images(x, 1.0) is x


@pytest.mark.parametrize(
    ("size", "remedy"), [(240, "Choose 256, to which smaller"), (2, "Choose 4"), (2048, "Choose 1024, .* larger")]
)
def test_sizes_that_are_no_power_of_two_are_refused(size: int, remedy: str) -> None:
    for network in (PGGANGenerator, PGGANDiscriminator):
        with pytest.raises(
            ValueError, match=rf"image_size is {size}: .* power of two from 4 to 1024 pixels\. {remedy}"
        ):
            network(1, image_size=size)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ({"resolution": 12, "alpha": 1.0}, "resolution is 12: expected a power of two from 4 to 16"),
        ({"resolution": 32, "alpha": 1.0}, "resolution is 32: .* build the network for larger"),
        ({"resolution": 8, "alpha": 1.2}, r"alpha is 1\.2: expected .* from 0 to 1"),
    ],
)
def test_resolutions_and_weights_out_of_range_are_refused(size: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_generator()(torch.zeros(1, 5), **size)
    with pytest.raises(ValueError, match=message):
        tiny_discriminator()(torch.zeros(1, 2, 8, 8), **size)


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"16 x 16 pixels, but resolution is 8: pass them through shrink_images"):
        tiny_discriminator()(torch.zeros(1, 2, 16, 16), resolution=8, alpha=1.0)
    with pytest.raises(ValueError, match=r"12 x 12 pixels: .* multiple of the resolution, 8\. Pad"):
        shrink_images(torch.zeros(1, 1, 12, 12), 8)


@pytest.mark.parametrize(("built", "given"), [(1, 0), (0, 1), (1, 2)])
def test_conditions_of_other_channels_are_refused(built: int, given: int) -> None:
    condition = torch.zeros(1, given, 16, 16) if given else None
    with pytest.raises(ValueError, match=rf"condition has {given} channels, but this network was built for {built}"):
        tiny_generator(condition_channels=built)(torch.zeros(1, 5), resolution=4, alpha=1.0, condition=condition)


def test_too_few_features_for_the_image_are_refused() -> None:
    with pytest.raises(ValueError, match=r"feature_base is 31 .* at 64 pixels .* feature_base >= 32"):
        PGGANGenerator(1, image_size=64, feature_base=31)
