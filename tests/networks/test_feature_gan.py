from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scripts.networks.feature_gan import (
    FeatureDiscriminator,
    FeatureGenerator,
    MLPFeatureDiscriminator,
    MLPFeatureGenerator,
    build_feature_discriminator,
    build_feature_generator,
)

SHAPES = [(1024, 15, 15), (512, 30, 30), (128, 120, 120)]


@pytest.mark.parametrize("width", [64, 512])
@pytest.mark.parametrize("shape", SHAPES)
def test_published_shapes(shape: tuple[int, int, int], width: int) -> None:
    with torch.device("meta"):
        generator, discriminator = FeatureGenerator(shape, 2, width=width), FeatureDiscriminator(shape, 2, width=width)
        features = generator(torch.empty(3, 100), torch.empty(3, dtype=torch.long))
        source, classes = discriminator(features)
    assert features.shape == (3, *shape)
    assert source.shape == (3,)
    assert classes.shape == (3, 2)


@pytest.mark.parametrize("shape", [(3, 1, 1), (3, 2, 5), (3, 7, 8), (3, 15, 4)])
@pytest.mark.parametrize("architecture", ["convolutional", "mlp"])
def test_any_size_comes_out_exactly(shape: tuple[int, int, int], architecture: str) -> None:
    generator = build_feature_generator(architecture, shape, 3, latent_dim=4, width=5)
    discriminator = build_feature_discriminator(architecture, shape, 3, width=5)
    features = generator(torch.randn(2, 4), torch.tensor([0, 2]))
    assert features.shape == (2, *shape)
    assert [part.shape for part in discriminator(features)] == [(2,), (2, 3)]


def test_hidden_layers_and_sizes_are_the_published_ones() -> None:
    """Three hidden layers each; 15 halves to 8, 4 and 2, and the generator takes the same way back."""
    sizes: list[tuple[int, ...]] = []
    networks = FeatureGenerator((6, 15, 15), 2, width=4), FeatureDiscriminator((6, 15, 15), 2, width=4)
    for network in networks:
        for module in network.modules():
            if isinstance(module, nn.LeakyReLU):
                assert module.negative_slope == 0.2
                module.register_forward_hook(lambda _, __, output: sizes.append(tuple(output.shape[1:])))
    networks[1](networks[0](torch.randn(2, 100), torch.tensor([0, 1])))
    assert sizes == [(4, 2, 2), (4, 4, 4), (4, 8, 8), (4, 8, 8), (4, 4, 4), (4, 2, 2)]


def test_parameters_by_hand() -> None:
    """1024x15x15, two classes, width 512: linear 102 -> 512 * 4, convolutions of 9 weights a pair, heads on 512 * 4."""
    with torch.device("meta"):
        generator, discriminator = FeatureGenerator((1024, 15, 15), 2), FeatureDiscriminator((1024, 15, 15), 2)
    hidden = 2 * (512 * 512 * 9 + 2 * 512)
    made = (102 + 1) * 512 * 4 + hidden + 512 * 1024 * 9 + 1024
    judged = 1024 * 512 * 9 + 512 + hidden + (512 * 4 + 1) * 3
    assert [sum(p.numel() for p in n.parameters()) for n in (generator, discriminator)] == [made, judged]


@pytest.mark.parametrize("architecture", ["convolutional", "mlp"])
def test_no_output_is_below_the_floor_and_others_are_as_without(architecture: str) -> None:
    torch.manual_seed(0)
    floor = [-0.5, 0.1, -math.inf]
    free = build_feature_generator(architecture, (3, 4, 4), 2, latent_dim=4, width=8)
    free.layers[-2 if architecture == "mlp" else -1].weight.data *= 100
    bounded = build_feature_generator(architecture, (3, 4, 4), 2, latent_dim=4, width=8, floor=floor)
    bounded.load_state_dict({**free.state_dict(), "floor": torch.tensor(floor)})
    latent, classes = torch.randn(6, 4), torch.arange(6) % 2
    raw, features = free(latent, classes), bounded(latent, classes)
    assert (raw < torch.tensor(floor)[:, None, None]).any()
    for channel, least in enumerate(floor):
        torch.testing.assert_close(features[:, channel], raw[:, channel].clamp(min=least))


def test_the_floor_comes_with_the_weights() -> None:
    trained = FeatureGenerator((2, 3, 3), 2, width=4, floor=[0.5, 1.5])
    loaded = FeatureGenerator((2, 3, 3), 2, width=4)
    loaded.load_state_dict(trained.state_dict())
    features = loaded(torch.randn(4, 100), torch.tensor([0, 1, 0, 1]))
    assert features.amin(dim=(0, 2, 3)).tolist() == [0.5, 1.5]


def test_the_class_changes_the_features_and_equal_noise_with_it_does_not() -> None:
    generator = FeatureGenerator((2, 5, 5), 3, width=8).eval()
    latent = torch.randn(1, 100).repeat(4, 1)
    features = generator(latent, torch.tensor([0, 1, 2, 0]))
    torch.testing.assert_close(features[0], features[3])
    assert not torch.allclose(features[0], features[1])
    assert not torch.allclose(features[1], features[2])


def test_the_mlp_by_matrices() -> None:
    generator = MLPFeatureGenerator((3, 1, 1), 2, latent_dim=4, width=5)
    discriminator = MLPFeatureDiscriminator((3, 1, 1), 2, width=5)
    latent, classes = torch.randn(6, 4), torch.arange(6) % 2
    first, last = generator.layers[0], generator.layers[2]
    hidden = torch.cat([latent, torch.eye(2)[classes]], dim=1) @ first.weight.T + first.bias
    expected = torch.where(hidden > 0, hidden, 0.2 * hidden) @ last.weight.T + last.bias
    features = generator(latent, classes)
    torch.testing.assert_close(features[:, :, 0, 0], expected)
    hidden = expected @ discriminator.layers[1].weight.T + discriminator.layers[1].bias
    hidden = torch.where(hidden > 0, hidden, 0.2 * hidden)
    source, logits = discriminator(features)
    torch.testing.assert_close(source, (hidden @ discriminator.source.weight.T + discriminator.source.bias)[:, 0])
    torch.testing.assert_close(logits, hidden @ discriminator.classes.weight.T + discriminator.classes.bias)


def test_batch_norm_and_dropout_of_the_discriminator() -> None:
    def count(network: nn.Module, kind: type[nn.Module]) -> int:
        return sum(isinstance(module, kind) for module in network.modules())

    shape = (4, 8, 8)
    assert count(build_feature_discriminator("convolutional", shape, 2, width=4), nn.BatchNorm2d) == 2
    plain = build_feature_discriminator("convolutional", shape, 2, width=4, batch_norm=False, dropout=0.0)
    assert count(plain, nn.BatchNorm2d) == 0
    features = torch.randn(3, *shape)
    torch.testing.assert_close(plain(features)[1][:1], plain(features[:1])[1])  # each feature is judged alone
    assert count(build_feature_discriminator("mlp", shape, 2, width=4), nn.BatchNorm2d) == 0


def test_weights_start_as_published() -> None:
    torch.manual_seed(0)
    for network in (FeatureGenerator((16, 15, 15), 2, width=64), FeatureDiscriminator((16, 15, 15), 2, width=64)):
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                assert module.weight.std().item() == pytest.approx(0.02, rel=0.05)
                assert module.bias is None or module.bias.eq(0).all()


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="feature_shape is \\[4, 8\\]"):
        FeatureGenerator((4, 8), 2)
    with pytest.raises(ValueError, match="expected channels, height and width"):
        MLPFeatureDiscriminator((4, 0, 8), 2)
    with pytest.raises(ValueError, match="floor has 3 values, expected 4"):
        FeatureGenerator((4, 8, 8), 2, floor=[0.0] * 3)
    for build in (build_feature_generator, build_feature_discriminator):
        with pytest.raises(ValueError, match="architecture is 'unet'"):
            build("unet", (4, 8, 8), 2)
        with pytest.raises(ValueError, match="halvings is 0, expected 1 or more hidden layers"):
            build("convolutional", (4, 8, 8), 2, halvings=0)


def test_images_take_five_hidden_layers() -> None:
    generator = FeatureGenerator((2, 64, 48), 2, width=4, halvings=5)
    discriminator = FeatureDiscriminator((2, 64, 48), 2, width=4, halvings=5)
    images = generator.eval()(torch.randn(3, 100), torch.tensor([0, 1, 1]))
    assert images.shape == (3, 2, 64, 48)
    assert sum(isinstance(layer, nn.Conv2d) for layer in discriminator.layers) == 5
    assert discriminator.source.in_features == 4 * 2 * 2


def test_no_kernel_reaches_beyond_one_pixel() -> None:
    """PyTorch's bf16 kernels for CPUs leave the gradients of taps that see padding alone unset."""
    generator = build_feature_generator("convolutional", (2, 2, 2), 2, width=4)
    discriminator = build_feature_discriminator("convolutional", (2, 2, 2), 2, width=4)
    transposed = [m.kernel_size for m in generator.modules() if isinstance(m, nn.ConvTranspose2d)]
    convolutions = [m.kernel_size for m in discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert transposed == [(1, 1), (1, 1), (3, 3)]  # 1 -> 1 -> 1 -> 2 pixels
    assert convolutions == [(3, 3), (1, 1), (1, 1)]
