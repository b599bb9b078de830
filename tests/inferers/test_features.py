from __future__ import annotations

import pytest
import torch

from scripts.inferers.features import FeatureInferer
from scripts.networks.feature_unet import FeatureUNet


@pytest.fixture
def network() -> FeatureUNet:
    torch.manual_seed(0)
    return FeatureUNet(2, features=[2, 3, 4, 5, 6]).eval()


@pytest.mark.parametrize("level", ["bottleneck", "decoder_3"])
def test_features_are_those_of_the_level(network, level):
    images = torch.rand(3, 2, 32, 32)
    with torch.inference_mode():
        features = FeatureInferer(level)(images, network)
        assert torch.equal(features, network.extract(images, level))
    assert features.shape == (3, *network.feature_shape(level, 32))
    assert features.dtype == torch.float32


def test_the_network_runs_in_the_precision_asked_for(network):
    with torch.inference_mode():
        features = FeatureInferer("decoder_3", torch.bfloat16)(torch.rand(1, 2, 32, 32), network)
    assert features.dtype == torch.bfloat16


def test_features_may_be_averaged_to_a_smaller_side(network):
    images = torch.randn(2, 2, 32, 32)
    inferer = FeatureInferer("encoder_3", pooled_size=2)
    features = network.extract(images, "encoder_3")  # (2, C, 8, 8)
    expected = features.unflatten(3, (2, 4)).unflatten(2, (2, 4)).mean(dim=(3, 5))
    torch.testing.assert_close(inferer(images, network), expected)
    assert inferer.feature_shape(network, 32) == tuple(expected.shape[1:])
    with pytest.raises(ValueError, match="pooled_size is 9, expected 1 to 8"):
        FeatureInferer("encoder_3", pooled_size=9).feature_shape(network, 32)


def test_at_level_image_it_hands_on_what_it_is_given(network):
    images = torch.randn(1, 2, 32, 32)
    assert FeatureInferer("image")(images, network) is images
    assert FeatureInferer("image").feature_shape(network, 32) == (2, 32, 32)
