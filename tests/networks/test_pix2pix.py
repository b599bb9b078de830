from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import nn

from scripts.networks.pix2pix import Pix2PixDiscriminator, Pix2PixGenerator


def tiny_generator(image_size: int = 32, **options: float) -> Pix2PixGenerator:
    torch.manual_seed(0)
    return Pix2PixGenerator(2, 1, image_size=image_size, width=4, **options)


def count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def batch_norm_twin(network: nn.Module) -> nn.Module:
    """The same network with the published batch norm, in training mode: statistics of the batch."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.InstanceNorm2d):
            norm = nn.BatchNorm2d(child.num_features)
            norm.weight, norm.bias = child.weight, child.bias
            setattr(network, name, norm)
        else:
            batch_norm_twin(child)
    return network.train()


def test_generator_has_the_published_parameters() -> None:
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    down = 3 * 64 * 16 + 64  # no norm, so a bias
    down += sum(a * b * 16 + 2 * b for a, b in pairwise(widths[:7]))
    down += 512 * 512 * 16 + 512  # 1x1: no norm, so a bias
    up = sum(
        a * b * 16 + 2 * b
        for a, b in ((512, 512), (1024, 512), (1024, 512), (1024, 512), (1024, 256), (512, 128), (256, 64))
    )
    assert count(Pix2PixGenerator(3, 3)) == down + up + 128 * 3 * 16 + 3 == 54_414_531
    assert down + up + 128 * 3 * 16 + 3 - 64 - 512 == 54_413_955  # the authors' PyTorch code has no bias in those two


def test_discriminator_has_the_published_parameters() -> None:
    inner = sum(a * b * 16 + 2 * b for a, b in ((64, 128), (128, 256), (256, 512)))
    assert count(Pix2PixDiscriminator(6)) == 6 * 64 * 16 + 64 + inner + 512 * 16 + 1 == 2_768_705


@pytest.mark.parametrize(("size", "depth"), [(24, 3), (26, 1), (32, 5), (96, 5), (256, 8), (512, 8)])
def test_depth_follows_the_size(size: int, depth: int) -> None:
    generator = tiny_generator(size)
    convolutions = [m for m in generator.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert len(convolutions) == 2 * depth
    assert len(generator.dropout_shapes) == min(3, depth - 1)
    image = generator(torch.zeros(1, 2, size, size))
    assert image.shape == (1, 1, size, size)
    assert image.abs().max() <= 1


@pytest.mark.parametrize(("size", "innermost_is_normalised"), [(32, False), (96, True), (512, True)])
def test_norms_of_first_last_and_innermost(size: int, innermost_is_normalised: bool) -> None:
    generator = tiny_generator(size)

    def has_norm(module: nn.Module) -> bool:
        return any(isinstance(m, nn.InstanceNorm2d) for m in module.modules())

    assert not has_norm(generator.encoder[0])
    assert not has_norm(generator.decoder[-1])
    assert has_norm(generator.encoder[-1]) == innermost_is_normalised
    assert all(has_norm(block) for block in [*generator.encoder[1:-1], *generator.decoder[:-1]])


def test_a_bias_wherever_no_norm_follows() -> None:
    for network in (tiny_generator(), Pix2PixDiscriminator(3, width=4)):
        modules = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d | nn.InstanceNorm2d)]
        convolutions = [m for m in modules if not isinstance(m, nn.InstanceNorm2d)]
        unbiased = [m for m in convolutions if m.bias is None]
        assert len(unbiased) == len(modules) - len(convolutions)


def test_initial_weights() -> None:
    torch.manual_seed(0)
    block = Pix2PixGenerator(2, 1, image_size=32, width=64).encoder[2]
    assert isinstance(block, nn.Sequential)
    conv, norm = list(block)[1:]
    assert isinstance(conv, nn.Conv2d)
    assert isinstance(norm, nn.InstanceNorm2d)
    assert conv.weight.std().item() == pytest.approx(0.02, rel=0.01)
    assert norm.weight.mean().item() == pytest.approx(1.0, abs=0.005)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_receptive_field_is_70_by_70() -> None:
    torch.manual_seed(0)
    discriminator = Pix2PixDiscriminator(1, width=2).double()
    for module in discriminator.modules():  # instance norm sees the whole image by its statistics; patches don't
        if isinstance(module, nn.InstanceNorm2d):
            module.eval()
            module.track_running_stats = True
            module.running_mean = torch.zeros(module.num_features).double()
            module.running_var = torch.ones(module.num_features).double()
    x = torch.randn(1, 1, 256, 256, dtype=torch.double, requires_grad=True)
    discriminator(x)[0, 0, 15, 12].backward()
    assert x.grad is not None
    rows, columns = (x.grad[0, 0].abs().sum(dim=d).nonzero().flatten().tolist() for d in (1, 0))
    assert rows == list(range(15 * 8 - 23, 15 * 8 - 23 + 70))
    assert columns == list(range(12 * 8 - 23, 12 * 8 - 23 + 70))


@pytest.mark.parametrize(("size", "logits"), [(256, 30), (24, 1), (96, 10)])
def test_logits_per_patch(size: int, logits: int) -> None:
    assert Pix2PixDiscriminator(3, width=2)(torch.randn(2, 3, size, size)).shape == (2, 1, logits, logits)


def test_at_batch_1_instance_norm_is_the_published_batch_norm() -> None:
    generator, discriminator = tiny_generator(64), Pix2PixDiscriminator(3, width=4)
    mask = torch.randn(1, 2, 64, 64)
    noise = generator.draw_noise([5])
    image = generator.eval()(mask, noise)
    logits = discriminator.eval()(torch.cat([mask, image], dim=1))
    torch.testing.assert_close(batch_norm_twin(generator)(mask, noise), image)
    torch.testing.assert_close(batch_norm_twin(discriminator)(torch.cat([mask, image], dim=1)), logits)


def test_noise_follows_each_seed_alone() -> None:
    generator = tiny_generator()
    together, alone = generator.draw_noise([3, 4]), generator.draw_noise(torch.tensor([4]))
    assert [tuple(layer.shape) for layer in together] == [(2, 32, 2, 2), (2, 16, 4, 4), (2, 8, 8, 8)]
    for layer, other in zip(together, alone, strict=True):
        assert torch.equal(layer[1:], other)
        assert not torch.equal(layer[0], layer[1])


def test_noise_is_a_dropout_mask_of_its_probability() -> None:
    layer = torch.cat([n.flatten() for n in tiny_generator(dropout=0.2).draw_noise(range(50))])
    assert layer.unique().tolist() == [0.0, 1.25]
    assert (layer == 0).float().mean().item() == pytest.approx(0.2, abs=0.01)


def test_an_image_does_not_depend_on_its_batch() -> None:
    generator = tiny_generator()
    masks = torch.randn(3, 2, 32, 32)
    images = generator(masks, generator.draw_noise([7, 8, 9]))
    torch.testing.assert_close(generator(masks[1:2], generator.draw_noise([8])), images[1:2])
    assert (generator(masks[1:2], generator.draw_noise([7])) - images[1:2]).abs().max() > 1e-4


def test_noise_takes_the_place_of_dropout(monkeypatch: pytest.MonkeyPatch) -> None:
    generator, mask = tiny_generator().train(), torch.randn(1, 2, 32, 32)
    drawn: list[torch.Tensor] = []

    def dropout(x: torch.Tensor, p: float, training: bool) -> torch.Tensor:
        assert (p, training) == (0.5, True)
        drawn.append(2.0 * torch.randint(2, x.shape))
        return x * drawn[-1]

    monkeypatch.setattr(nn.functional, "dropout", dropout)
    expected = generator(mask)
    torch.testing.assert_close(generator.eval()(mask, drawn), expected, rtol=0, atol=0)


def test_without_noise_training_is_random_and_evaluation_is_not() -> None:
    generator, mask = tiny_generator(), torch.randn(1, 2, 32, 32)
    assert not torch.equal(generator.train()(mask), generator(mask))
    assert torch.equal(generator.eval()(mask), generator(mask))


def test_autocast_keeps_the_image_in_fp32_and_close() -> None:
    generator, mask = tiny_generator(), torch.randn(1, 2, 32, 32)
    noise = generator.draw_noise([0])
    with torch.autocast("cpu", torch.bfloat16):
        image = generator(mask, noise)
    assert image.dtype == torch.float32
    torch.testing.assert_close(image, generator(mask, noise), rtol=0, atol=0.02)


def test_every_parameter_gets_a_gradient() -> None:
    generator, discriminator = tiny_generator(), Pix2PixDiscriminator(3, width=4)
    mask = torch.randn(1, 2, 32, 32)
    discriminator(torch.cat([mask, generator(mask)], dim=1)).square().mean().backward()
    assert all(
        p.grad is not None and p.grad.isfinite().all() for n in (generator, discriminator) for p in n.parameters()
    )


def test_script_agrees_with_eager(tmp_path: Path) -> None:
    generator, mask = tiny_generator().eval(), torch.randn(2, 2, 32, 32)
    torch.jit.script(generator).save(str(tmp_path / "generator.ts"))
    noise = generator.draw_noise([1, 2])
    torch.testing.assert_close(torch.jit.load(str(tmp_path / "generator.ts"))(mask, noise), generator(mask, noise))


@pytest.mark.parametrize("size", [22, 33, 0])
def test_sizes_that_do_not_halve_or_are_too_small_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match=rf"image_size is {size}: expected an even .* at least 24. Choose"):
        tiny_generator(size)


def test_a_mask_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"64 x 32 pixels, but this generator was built for 32 x 32: resize"):
        tiny_generator()(torch.zeros(1, 2, 64, 32))


def test_noise_of_another_generator_is_refused() -> None:
    with pytest.raises(ValueError, match="noise has 2 tensors, but this generator has 3 dropout layers"):
        tiny_generator()(torch.zeros(1, 2, 32, 32), tiny_generator(24).draw_noise([0]))
