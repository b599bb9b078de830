from __future__ import annotations

import pytest
import torch
from torch import nn

from scripts.networks.multiscale_discriminator import MultiScaleDiscriminator, PatchDiscriminator, split_outputs


def test_published_discriminator_has_1_34_million_parameters() -> None:
    discriminator = MultiScaleDiscriminator(in_channels=12)
    per_scale = (12 * 64 * 16 + 64) + 64 * 128 * 16 + 128 * 256 * 16 + (256 * 16 + 1)
    assert sum(parameter.numel() for parameter in discriminator.parameters()) == 2 * per_scale == 1_343_618


def test_shapes_of_all_outputs() -> None:
    outputs = MultiScaleDiscriminator(3, width=4)(torch.randn(2, 3, 64, 64))
    fine, coarse = [[tuple(output.shape[1:]) for output in scale] for scale in outputs]
    assert fine == [(4, 33, 33), (8, 17, 17), (16, 9, 9), (1, 10, 10)]
    assert coarse == [(4, 17, 17), (8, 9, 9), (16, 5, 5), (1, 6, 6)]


def test_second_scale_sees_the_pooled_image_without_counting_the_padding() -> None:
    discriminator = MultiScaleDiscriminator(1, width=4).eval()
    x = torch.randn(1, 1, 32, 32)
    padded = torch.full((1, 1, 34, 34), torch.nan)
    padded[..., 1:-1, 1:-1] = x
    windows = padded.unfold(2, 3, 2).unfold(3, 3, 2).flatten(4)  # (1, 1, 16, 16, 9)
    expected = discriminator.scales[1](windows.nanmean(dim=-1))
    for output, reference in zip(discriminator(x)[1], expected, strict=True):
        torch.testing.assert_close(output, reference)


def test_inner_features_are_instance_normalised() -> None:
    outputs = PatchDiscriminator(3, width=4)(1000 * torch.randn(2, 3, 64, 64))  # far above the norm's epsilon
    features = torch.where(outputs[1] < 0, outputs[1] / 0.2, outputs[1])  # undo the LeakyReLU
    torch.testing.assert_close(features.mean((2, 3)), torch.zeros(2, 8), rtol=0, atol=1e-5)
    torch.testing.assert_close(features.var((2, 3), unbiased=False), torch.ones(2, 8), rtol=0, atol=1e-3)


def test_one_batch_of_fake_and_real_equals_two_batches() -> None:
    discriminator = MultiScaleDiscriminator(3, width=4).eval()
    fake, real = torch.randn(2, 3, 32, 32), torch.randn(2, 3, 32, 32)
    halves = split_outputs(discriminator(torch.cat([fake, real])))
    for half, x in zip(halves, (fake, real), strict=True):
        for scale, reference_scale in zip(half, discriminator(x), strict=True):
            for output, reference in zip(scale, reference_scale, strict=True):
                torch.testing.assert_close(output, reference, rtol=1e-4, atol=1e-5)


def test_inner_convolutions_have_spectral_norm_one_and_no_bias() -> None:
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(3, width=4)
    for _ in range(100):
        discriminator(torch.randn(1, 3, 16, 16))
    discriminator.eval()
    carriers = [m for m in discriminator.modules() if nn.utils.parametrize.is_parametrized(m)]
    assert len(carriers) == 2
    for conv in carriers:
        largest = torch.linalg.svdvals(conv.weight.detach().flatten(1).double())[0]
        assert largest.item() == pytest.approx(1.0, abs=1e-3)
        assert conv.bias is None


def test_projection_adds_the_inner_product_with_the_class() -> None:
    discriminator = PatchDiscriminator(3, width=2, class_count=4).eval()
    x = torch.randn(2, 3, 32, 32)
    nn.init.zeros_(discriminator.embedding.weight)
    unconditional = discriminator(x, torch.tensor([0, 0]))
    nn.init.normal_(discriminator.embedding.weight)
    conditional = discriminator(x, torch.tensor([1, 3]))
    added = (conditional[-1] - unconditional[-1])[:, 0, 0, 0]  # first patch, aligned with the first feature
    expected = (discriminator.embedding.weight[[1, 3]] * unconditional[-2][:, :, 0, 0]).sum(1)
    torch.testing.assert_close(added, expected, rtol=1e-4, atol=1e-5)


def test_class_is_ignored_without_classes_and_required_with_them() -> None:
    x = torch.randn(1, 3, 32, 32)
    plain = PatchDiscriminator(3, width=2).eval()
    assert torch.equal(plain(x)[-1], plain(x, torch.tensor([1]))[-1])
    with pytest.raises(ValueError, match="4 classes"):
        MultiScaleDiscriminator(3, width=2, class_count=4)(x)


def test_bfloat16_autocast_gives_a_gradient_to_every_parameter() -> None:
    discriminator = MultiScaleDiscriminator(3, width=4, class_count=2)
    with torch.autocast("cpu", torch.bfloat16):
        outputs = discriminator(torch.randn(2, 3, 64, 64), torch.tensor([0, 1]))
    sum(scale[-1].float().sum() for scale in outputs).backward()
    assert all(parameter.grad.isfinite().all() for parameter in discriminator.parameters())
