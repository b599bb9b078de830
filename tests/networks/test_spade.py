from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.spade import SPADE, SPADEGenerator, SPADEResnetBlock


def count_parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def tiny_generator(*, class_count: int = 3, image_size: int = 64, seed: int = 0, **arguments: float) -> SPADEGenerator:
    torch.manual_seed(seed)
    return SPADEGenerator(4, 2, class_count, image_size=image_size, width=2, embedding_dim=8, **arguments)


def one_hot_mask(size: int = 64, *, seed: int = 0, batch: int = 2) -> torch.Tensor:
    label = torch.randint(0, 4, (batch, size, size), generator=torch.Generator().manual_seed(seed))
    return F.one_hot(label, 4).permute(0, 3, 1, 2).float()


def test_full_size_generator_has_177_9_million_parameters() -> None:
    with torch.device("meta"):
        generator = SPADEGenerator(mask_channels=5, image_channels=4, class_count=10)
    assert count_parameters(generator) == 177_928_964


def test_modulation_by_hand() -> None:
    spade = SPADE(1, mask_channels=2, hidden_channels=2)
    for parameter in spade.parameters():
        nn.init.zeros_(parameter)
    with torch.no_grad():
        spade.hidden.weight[:, :, 1, 1] = torch.eye(2)  # hidden layer = mask
        spade.modulation.weight[0, 0, 1, 1] = 2.0  # gamma = 2 where the mask's first channel is 1
        spade.modulation.weight[1, 1, 1, 1] = 5.0  # beta = 5 where its second is
    x = torch.tensor([[[[1.0, 3.0], [1.0, 3.0]]]])  # mean 2, standard deviation 1
    mask = torch.tensor([[[[1.0, 1.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 1.0]]]])
    expected = torch.tensor([[[[-3.0, 3.0], [4.0, 6.0]]]])  # -1, 1 times 3 above; plus 5 below
    torch.testing.assert_close(spade(x, mask), expected, rtol=0, atol=1e-4)


def test_one_modulation_convolution_equals_two() -> None:
    torch.manual_seed(0)
    spade, x, mask = SPADE(6, 3).double(), torch.randn(2, 6, 8, 8).double(), torch.randn(2, 3, 8, 8).double()
    hidden = spade.hidden(mask).clamp(min=0)
    (w_gamma, w_beta), (b_gamma, b_beta) = spade.modulation.weight.chunk(2), spade.modulation.bias.chunk(2)
    normalised = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True, unbiased=False) + 1e-5).sqrt()
    expected = normalised * (1 + F.conv2d(hidden, w_gamma, b_gamma, padding=1))
    expected = expected + F.conv2d(hidden, w_beta, b_beta, padding=1)
    torch.testing.assert_close(spade(x, mask), expected)


def test_mask_is_resized_by_nearest_neighbour() -> None:
    torch.manual_seed(0)
    spade, x = SPADE(3, 4).eval(), torch.randn(2, 3, 8, 8)
    mask = one_hot_mask(32)
    torch.testing.assert_close(spade(x, mask), spade(x, mask[:, :, ::4, ::4]), rtol=0, atol=0)


@pytest.mark.parametrize(("in_channels", "out_channels"), [(8, 4), (6, 6), (4, 8)])
def test_spectral_norm_of_every_block_convolution_is_one(in_channels: int, out_channels: int) -> None:
    torch.manual_seed(0)
    block = SPADEResnetBlock(in_channels, out_channels, mask_channels=3)
    for _ in range(400):  # the power iteration runs at each training forward
        block(torch.randn(1, in_channels, 4, 4), torch.randn(1, 3, 4, 4))
    block.eval()
    convs = [child for name, child in block.named_children() if name.startswith("conv_")]
    assert len(convs) == (2 if in_channels == out_channels else 3)
    for conv in convs:
        largest = torch.linalg.svdvals(conv.weight.detach().flatten(1).double())[0]
        assert largest.item() == pytest.approx(1.0, abs=1e-3)


def test_only_block_convolutions_carry_spectral_norm_and_the_shortcut_has_no_bias() -> None:
    generator = tiny_generator()
    carriers = {name for name, module in generator.named_modules() if nn.utils.parametrize.is_parametrized(module)}
    blocks = ["head_0", "middle_0", "middle_1", "up_0", "up_1", "up_2", "up_3"]
    expected = {f"{block}.conv_{end}" for block in blocks for end in "01"}
    expected |= {f"{block}.conv_s" for block in blocks if not block.startswith("middle")}
    assert carriers == expected
    assert generator.head_0.conv_s.bias is None


@pytest.mark.parametrize("image_size", [32, 64, 128, 256])
def test_output_has_the_masks_size_and_lies_in_minus_one_to_one(image_size: int) -> None:
    generator = tiny_generator(image_size=image_size)
    image = generator(one_hot_mask(image_size), torch.tensor([0, 2]))
    assert image.shape == (2, 2, image_size, image_size)
    assert image.abs().max() <= 1


def test_scale_and_shift_apply_to_tanh() -> None:
    mask, class_index = one_hot_mask(), torch.tensor([0, 1])
    plain = tiny_generator().eval()(mask, class_index)
    shifted = tiny_generator(output_scale=0.5, output_shift=0.25).eval()(mask, class_index)
    torch.testing.assert_close(shifted, 0.5 * plain + 0.25)


def test_class_changes_the_image() -> None:
    generator = tiny_generator().eval()
    mask = one_hot_mask(batch=1).expand(2, -1, -1, -1)
    first, second = generator(mask, torch.tensor([0, 1]))
    assert (first - second).abs().max() > 0.01 * first.abs().max()


def test_mask_changes_the_image_where_it_differs() -> None:
    """Elsewhere too, by the statistics of the instance norm."""
    generator = tiny_generator().eval()
    mask = one_hot_mask(batch=1)
    changed = mask.clone()
    changed[:, :, 32:, :] = one_hot_mask(batch=1, seed=1)[:, :, 32:, :]
    image = generator(mask, torch.tensor([0]))
    difference = (image - generator(changed, torch.tensor([0]))).abs()
    assert difference[:, :, 32:].max() > 0.01 * image.abs().max()


def test_without_classes_the_class_is_ignored_and_the_head_is_half_as_wide() -> None:
    generator = tiny_generator(class_count=0).eval()
    mask = one_hot_mask()
    torch.testing.assert_close(generator(mask), generator(mask, torch.tensor([0, 1])), rtol=0, atol=0)
    assert generator.head_0.conv_0.weight.shape[1] == 32
    assert not any("embedding" in name for name in generator.state_dict())


def test_initial_weights_are_the_published_ones() -> None:
    generator = SPADEGenerator(4, 2, 0, image_size=32, width=8)
    weight = generator.head_0.norm_0.modulation.weight
    published = 0.02 * (2 / (9 * (weight.shape[0] // 2 + weight.shape[1]))) ** 0.5  # gamma and beta apart
    assert weight.std().item() == pytest.approx(published, rel=0.02)
    biases = [parameter for name, parameter in generator.named_parameters() if name.endswith("bias")]
    assert all((bias == 0).all() for bias in biases)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_bfloat16_autocast_stays_close_to_fp32_and_every_parameter_gets_a_gradient(
    memory_format: torch.memory_format,
) -> None:
    mask, class_index = one_hot_mask().contiguous(memory_format=memory_format), torch.tensor([0, 1])
    exact, half = tiny_generator(), tiny_generator()
    expected = exact(mask, class_index)
    with torch.autocast("cpu", torch.bfloat16):
        image = half(mask, class_index)
    image.square().mean().backward()
    assert image.dtype == torch.float32
    assert (image - expected).abs().mean() < 0.05 * expected.abs().mean()
    assert all(parameter.grad is not None for parameter in half.parameters())


def test_state_dict_restores_the_same_images_also_in_training() -> None:
    generator, restored = tiny_generator(), SPADEGenerator(4, 2, 3, image_size=64, width=2, embedding_dim=8)
    mask, class_index = one_hot_mask(), torch.tensor([2, 0])
    generator(mask, class_index)  # moves batch statistics and power iteration away from their initial state
    restored.load_state_dict(generator.state_dict())
    for _ in range(2):
        torch.testing.assert_close(generator(mask, class_index), restored(mask, class_index), rtol=0, atol=0)


def test_two_runs_from_one_seed_agree_bit_for_bit() -> None:
    gradients = []
    for _ in range(2):
        generator = tiny_generator()
        generator(one_hot_mask(), torch.tensor([0, 1])).square().sum().backward()
        gradients.append(generator.mask_conv.weight.grad)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("image_size", [0, 48, 250])
def test_size_that_is_no_multiple_of_32_is_refused(image_size: int) -> None:
    with pytest.raises(ValueError, match=f"image_size is {image_size}.*multiple of 32"):
        tiny_generator(image_size=image_size)


def test_wrong_mask_and_missing_class_are_refused() -> None:
    generator = tiny_generator()
    with pytest.raises(ValueError, match=r"\(2, 4, 32, 32\).*\(batch, 4, 64, 64\)"):
        generator(one_hot_mask(32), torch.tensor([0, 1]))
    with pytest.raises(ValueError, match="3 classes"):
        generator(one_hot_mask())


@pytest.mark.parametrize(("width", "hidden"), [(64, 128), (32, 64), (8, 32)])
def test_the_modulation_is_as_narrow_as_the_generator(width: int, hidden: int) -> None:
    with torch.device("meta"):
        generator = SPADEGenerator(2, 1, 0, image_size=32, width=width)
    assert {each.hidden.out_channels for each in generator.modules() if isinstance(each, SPADE)} == {hidden}
