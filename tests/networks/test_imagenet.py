from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from scripts.networks import imagenet
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.fcn import FCN8s
from scripts.networks.imagenet import load_imagenet

WIDTHS = (4, 4, 8, 8, 16, 16, 16, 32, 32, 32, 32, 32, 32)
CONVOLUTIONS = {
    False: (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    True: (0, 3, 7, 10, 14, 17, 20, 24, 27, 30, 34, 37, 40),
}
POOL_AFTER = (1, 3, 6, 9, 12)
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True)
def small_imagenet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imagenet, "IMAGENET_WIDTH", 4)
    monkeypatch.setattr(imagenet, "IMAGENET_FC_WIDTH", 8)


def small_network(in_channels: int = 3, *, batch_norm: bool = True) -> FCN8s:
    torch.manual_seed(1)
    return FCN8s(in_channels, 2, width=4, fc_width=8, batch_norm=batch_norm).eval()


def published_weights(*, batch_norm: bool) -> dict[str, torch.Tensor]:
    """A state dict with torchvision's names and the shapes of a narrow VGG-16."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, torch.Tensor] = {}
    previous = 3
    for index, width in zip(CONVOLUTIONS[batch_norm], WIDTHS, strict=True):
        weights[f"features.{index}.weight"] = torch.randn(width, previous, 3, 3, generator=generator) / previous**0.5
        weights[f"features.{index}.bias"] = torch.randn(width, generator=generator)
        if batch_norm:
            for name in ("weight", "bias", "running_mean", "running_var"):
                weights[f"features.{index + 1}.{name}"] = torch.rand(width, generator=generator) + 0.5
            weights[f"features.{index + 1}.num_batches_tracked"] = torch.tensor(7)
        previous = width
    for name, shape in (("0", (8, 32 * 49)), ("3", (8, 8)), ("6", (1000, 8))):
        weights[f"classifier.{name}.weight"] = torch.randn(shape, generator=generator) / shape[1] ** 0.5
        weights[f"classifier.{name}.bias"] = torch.randn(shape[0], generator=generator)
    return weights


def run_published(weights: dict[str, torch.Tensor], colours: torch.Tensor, *, batch_norm: bool) -> torch.Tensor:
    """fc7 of a picture (B, 3, rows, columns) in [0, 1], framed in mid-grey, by plain functions on the raw weights."""
    x = F.pad(colours, [1, 1, 1, 1], value=0.5)
    x = (x - MEAN[:, None, None]) / STD[:, None, None]
    for count, index in enumerate(CONVOLUTIONS[batch_norm]):
        x = F.conv2d(x, weights[f"features.{index}.weight"], weights[f"features.{index}.bias"], padding=int(count > 0))
        if batch_norm:
            mean, variance, gamma, beta = (
                weights[f"features.{index + 1}.{name}"][:, None, None]
                for name in ("running_mean", "running_var", "weight", "bias")
            )
            x = (x - mean) / (variance + 1e-5).sqrt() * gamma + beta
        x = x.relu()
        if count in POOL_AFTER:
            x = F.max_pool2d(x, 2)
    windows = F.unfold(x, kernel_size=7, padding=3)  # (B, 32 * 49, rows * columns / 32**2)
    x = torch.einsum("oi,bip->bop", weights["classifier.0.weight"], windows) + weights["classifier.0.bias"][:, None]
    x = torch.einsum("oi,bip->bop", weights["classifier.3.weight"], x.relu()) + weights["classifier.3.bias"][:, None]
    return x.relu().mean(dim=2)  # (B, 8)


def save(weights: object, folder: Path) -> Path:
    torch.save(weights, folder / "vgg16.pth")
    return folder / "vgg16.pth"


@pytest.mark.parametrize("batch_norm", [False, True])
def test_colours_are_answered_as_published(batch_norm: bool, tmp_path: Path) -> None:
    weights = published_weights(batch_norm=batch_norm)
    network = load_imagenet(small_network(batch_norm=batch_norm), save(weights, tmp_path))
    colours = torch.rand(2, 3, 64, 96)
    expected = run_published(weights, colours, batch_norm=batch_norm)
    ours = network.encode(2 * colours.transpose(-1, -2) - 1)  # x first, in [-1, 1]
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


@pytest.mark.parametrize("in_channels", [1, 4])
def test_other_channels_are_answered_as_the_grey_picture_of_their_mean(in_channels: int, tmp_path: Path) -> None:
    weights = published_weights(batch_norm=True)
    network = load_imagenet(small_network(in_channels), save(weights, tmp_path))
    image = torch.rand(2, in_channels, 32, 64)
    expected = run_published(weights, image.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1), batch_norm=True)
    ours = network.encode(2 * image.transpose(-1, -2) - 1)
    torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_scores_stay_as_they_were_and_everything_else_changes(tmp_path: Path) -> None:
    before = {name: value.clone() for name, value in small_network().state_dict().items()}
    after = load_imagenet(small_network(), save(published_weights(batch_norm=True), tmp_path)).state_dict()
    same = {name for name in before if torch.equal(before[name], after[name])}
    assert {name for name in same if "num_batches" not in name} == {n for n in before if n.startswith(("score", "ups"))}


def test_no_file_changes_nothing() -> None:
    network = FCN8s(1, 2, width=2, fc_width=3)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert load_imagenet(network, None) is network
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_only_the_published_width_is_taken(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"width 4 and fc_width 16: ImageNet weights fit only width 4 and fc_wid"):
        load_imagenet(FCN8s(3, 2, width=4, fc_width=16), tmp_path / "vgg16.pth")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"No file .*none\.pth: expected torchvision's weights of vgg16_bn"):
        load_imagenet(small_network(), tmp_path / "none.pth")


@pytest.mark.parametrize(("batch_norm", "key"), [(True, "features.1.weight"), (False, "features.2.weight")])
def test_weights_of_the_other_vgg_are_refused(batch_norm: bool, key: str, tmp_path: Path) -> None:
    file = save(published_weights(batch_norm=not batch_norm), tmp_path)
    with pytest.raises(CheckpointError, match=rf"'{key}' is absent, expected .*batch_norm={not batch_norm}"):
        load_imagenet(small_network(batch_norm=batch_norm), file)


def test_another_shape_is_refused_and_leaves_the_network_alone(tmp_path: Path) -> None:
    weights = published_weights(batch_norm=True)
    weights["classifier.0.weight"] = torch.zeros(8, 32 * 36)
    network = small_network()
    first = network.fc7.weight.clone()
    with pytest.raises(CheckpointError, match=r"'classifier.0.weight' is \(8, 1152\), expected \(8, 1568\)"):
        load_imagenet(network, save(weights, tmp_path))
    assert torch.equal(network.fc7.weight, first)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"holds a list, expected weights by name"):
        load_imagenet(small_network(), save([1, 2], tmp_path))


def test_published_shapes_at_full_width() -> None:
    with torch.device("meta"):
        targets = imagenet._targets(FCN8s(3, 2))
    assert len(targets) == 13 * 6 + 4
    assert targets["features.40.weight"].shape == (512, 512, 3, 3)
    assert targets["features.41.running_var"].shape == (512,)
    assert targets["classifier.0.weight"].flatten(1).shape == (4096, 25088)
