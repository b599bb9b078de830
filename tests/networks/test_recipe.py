from __future__ import annotations

import json
import sys

import pytest
import torch
from torch import nn

from scripts.networks.checkpoints import CheckpointError
from scripts.networks.deep_unet import build_deep_unet
from scripts.networks.feature_classifier import build_feature_classifier
from scripts.networks.feature_unet import FeatureUNet
from scripts.networks.pggan import PGGANGenerator
from scripts.networks.recipe import Recipe, find_maker, recipe_of, remember_recipe
from scripts.networks.resnet_unet import ResNetUNet
from scripts.networks.yolo import YOLOv3


@remember_recipe
class Line(nn.Module):
    def __init__(self, weights: object, bias: float = 0.5) -> None:
        super().__init__()
        self.bias = bias


class Child(Line):
    def __init__(self) -> None:
        super().__init__([1.0])


def test_a_network_tells_its_arguments_with_defaults_and_tensors_as_lists() -> None:
    recipe = recipe_of(Line(torch.tensor([[1.0, 2.0]])))
    assert recipe.arguments == {"weights": [[1.0, 2.0]], "bias": 0.5}
    assert (recipe.name, recipe.short_name) == (f"{__name__}.Line", "Line")
    assert recipe_of(Line(torch.tensor(float("nan")))).arguments["weights"] is None


def test_a_wrapped_network_tells_what_is_inside() -> None:
    inner = Line([1])
    wrapped = nn.parallel.DistributedDataParallel.__new__(nn.parallel.DistributedDataParallel)  # without ranks
    nn.Module.__init__(wrapped)
    wrapped.module = inner
    assert recipe_of(wrapped) is inner.recipe


def test_a_child_does_not_pass_for_its_parent() -> None:
    assert recipe_of(Child()).name == ""


@pytest.mark.parametrize(
    "network",
    [
        ResNetUNet(2, 3, encoder_widths=[4, 4, 8, 8], decoder_widths=[8, 4, 4, 4, 4]),
        FeatureUNet(1, features=(2, 3, 4, 5, 6)),
        build_deep_unet(1, 2, filters=[4, 8, 8], image_size=32),
        build_feature_classifier("cnn", (4, 3, 3), 2, widths=(3,), hidden_dim=5),
        PGGANGenerator(image_channels=1, image_size=32, latent_dim=8, feature_base=64, feature_max=8),
        YOLOv3(1, 2, anchors=torch.arange(18.0).reshape(9, 2) + 1, width_multiplier=1 / 16),
    ],
    ids=lambda network: type(network).__name__,
)
def test_the_recipe_survives_json_and_builds_the_same_network(network: nn.Module) -> None:
    recipe = recipe_of(network)
    built = Recipe(recipe.name, json.loads(json.dumps(recipe.arguments))).build()
    ours, theirs = network.state_dict(), built.state_dict()
    assert {name: value.shape for name, value in ours.items()} == {name: value.shape for name, value in theirs.items()}
    built.load_state_dict(ours)
    assert recipe_of(built) == recipe


@pytest.mark.parametrize(
    "name",
    [
        "os.system",
        "antigravity.fly",
        "scripts.console.prepare_run",
        "scripts.networks.weights.open_weights",
        "scripts.networks.fcn.nn",
        "scripts.networks.absent.Network",
        "scripts.networks.fcn.torch.load",
        "scripts.networks...os.system",
        "FCN8s",
        "",
    ],
)
def test_no_other_name_is_a_network(name: str) -> None:
    sys.modules.pop("antigravity", None)
    with pytest.raises(CheckpointError, match=r"No network '.*' here, expected one of scripts\.networks"):
        find_maker(name)
    assert "antigravity" not in sys.modules


def test_arguments_that_a_network_does_not_take_are_one_line() -> None:
    recipe = Recipe("scripts.networks.feature_unet.FeatureUNet", {"widht": 3})
    with pytest.raises(CheckpointError, match=r"FeatureUNet cannot be made as described: .*widht.*\. Train it again\."):
        recipe.build()


def test_a_network_from_elsewhere_has_no_recipe_and_is_not_built() -> None:
    recipe = recipe_of(nn.Linear(1, 1))
    assert recipe == Recipe("")
    with pytest.raises(CheckpointError, match=r"not this bundle's\. Pass it as --network_def"):
        recipe.build()
