from __future__ import annotations

import pytest
import torch

from scripts.networks.feature_unet import LEVELS, FeatureUNet, level_minimum

PUBLISHED = {
    "image": (4, 240, 240),
    "encoder_1": (64, 240, 240),
    "encoder_2": (128, 120, 120),
    "encoder_3": (256, 60, 60),
    "encoder_4": (512, 30, 30),
    "bottleneck": (1024, 15, 15),
    "decoder_1": (512, 30, 30),
    "decoder_2": (256, 60, 60),
    "decoder_3": (128, 120, 120),
    "decoder_4": (64, 240, 240),
}


def small_network(**options: object) -> FeatureUNet:
    torch.manual_seed(0)
    return FeatureUNet(2, features=(3, 4, 5, 6, 7), **options).eval()


@pytest.mark.parametrize("level", LEVELS)
def test_published_shapes(level: str) -> None:
    with torch.device("meta"):
        network = FeatureUNet(4)
        images = torch.empty(1, 4, 240, 240)
    assert network.extract(images, level).shape[1:] == PUBLISHED[level]
    assert network.feature_shape(level, 240) == PUBLISHED[level]
    assert network(images).shape == (1, 1, 240, 240)


@pytest.mark.parametrize("size", [32, 50])
@pytest.mark.parametrize("level", LEVELS)
def test_the_announced_shape_is_the_one_that_comes_out(level: str, size: int) -> None:
    network = small_network()
    with torch.no_grad():
        features = network.extract(2 * torch.rand(1, 2, size, size) - 1, level)
    assert tuple(features.shape[1:]) == network.feature_shape(level, size)
    assert features.min() >= level_minimum(level)


def test_features_are_those_that_the_segmentation_is_made_of() -> None:
    network, images, seen = small_network(), torch.randn(2, 2, 32, 32), {}
    modules = {"encoder_3": network.down_2, "bottleneck": network.down_4, "decoder_2": network.upcat_3}
    for level, module in modules.items():
        module.register_forward_hook(lambda _, __, output, level=level: seen.update({level: output}))
    with torch.no_grad():
        logits = network(images)
        whole = dict(seen)
        for level in modules:
            torch.testing.assert_close(network.extract(images, level), whole[level])
        torch.testing.assert_close(network.final_conv(network.extract(images, "decoder_4")), logits)


def test_a_level_is_computed_no_further_than_needed() -> None:
    network = small_network()
    network.upcat_4.register_forward_hook(lambda *_: pytest.fail("the decoder ran for a feature of the encoder"))
    network.extract(torch.randn(1, 2, 32, 32), "bottleneck")


def test_features_of_a_slice_do_not_depend_on_its_batch() -> None:
    network, images = small_network().train(), torch.randn(3, 2, 32, 32)
    together = network.extract(images, "bottleneck")
    torch.testing.assert_close(together[1:2], network.extract(images[1:2], "bottleneck"))


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="expected 5 numbers"):
        FeatureUNet(1, features=(8, 16))
    with pytest.raises(ValueError, match=r"'middle'.*bottleneck"):
        small_network().extract(torch.zeros(1, 2, 32, 32), "middle")
    with pytest.raises(ValueError, match="image_size is 16, expected at least 32"):
        small_network().feature_shape("bottleneck", 16)
