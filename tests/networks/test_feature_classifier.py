from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.feature_classifier import FeatureClassifier, LinearFeatureClassifier, build_feature_classifier


@pytest.mark.parametrize("shape", [(1024, 15, 15), (512, 30, 30), (128, 120, 120), (8, 1, 1), (8, 3, 1)])
def test_published_shapes_and_the_smallest(shape: tuple[int, int, int]) -> None:
    with torch.device("meta"):
        features = torch.empty(2, *shape)
        assert FeatureClassifier(shape, 3)(features).shape == (2, 3)
        assert LinearFeatureClassifier(shape, 3)(features).shape == (2, 3)


def test_the_published_layers_by_functions() -> None:
    torch.manual_seed(0)
    network = FeatureClassifier((3, 7, 9), 2, widths=(4, 5), hidden_dim=6).eval()
    x = features = torch.randn(2, 3, 7, 9)
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for convolution, norm in zip(convolutions, norms, strict=True):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        x = F.conv2d(x, convolution.weight, padding=1)
        x = (x - norm.running_mean[:, None, None]) / (norm.running_var[:, None, None] + 1e-5).sqrt()
        x = F.max_pool2d(x.relu(), 2)
    first, last = (module for module in network.modules() if isinstance(module, nn.Linear))
    expected = last(first(x.flatten(1)).relu())
    torch.testing.assert_close(network(features), expected)


def test_dropout_stands_before_and_after_the_first_full_layer() -> None:
    kinds = [type(module) for module in FeatureClassifier((3, 4, 4), 2).head]
    assert kinds == [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert all(module.p == 0.5 for module in FeatureClassifier((3, 4, 4), 2).head if isinstance(module, nn.Dropout))


def test_the_linear_one_sees_means_alone() -> None:
    network, features = LinearFeatureClassifier((3, 4, 5), 2), torch.randn(2, 3, 4, 5)
    shuffled = features.flatten(2)[:, :, torch.randperm(20)].reshape(features.shape)
    torch.testing.assert_close(network(features), network(shuffled))
    means = features.numpy().reshape(2, 3, 20).mean(axis=2)
    weight, bias = network.linear.weight.detach().numpy(), network.linear.bias.detach().numpy()
    torch.testing.assert_close(network(features), torch.from_numpy(means @ weight.T + bias))


def test_classifiers_are_built_by_name() -> None:
    options = {"widths": (4, 2), "hidden_dim": 3, "dropout": 0.1}
    assert build_feature_classifier("cnn", (3, 4, 4), 2, **options).head[1].out_features == 3
    assert build_feature_classifier("linear", (3, 4, 4), 2, **options).linear.out_features == 2
    with pytest.raises(ValueError, match="classifier is 'svm', expected one of cnn, linear"):
        build_feature_classifier("svm", (3, 4, 4), 2)
