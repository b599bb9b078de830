from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from torch import nn

from scripts.networks.checkpoints import CheckpointError
from scripts.networks.feature_unet import FeatureUNet
from scripts.networks.pretrained import adapt_channels, load_pretrained
from scripts.networks.weights import Weights
from tests.known_weights import write_known

WIDTHS = (2, 3, 4, 5, 6)


def make_network(in_channels: int, *, seed: int = 0, features: tuple[int, ...] = WIDTHS) -> FeatureUNet:
    torch.manual_seed(seed)
    return FeatureUNet(in_channels, features=features).eval()


def save(network: nn.Module, folder: Path) -> Weights:
    return write_known(folder / "model.pt", network=network)


@pytest.mark.parametrize(("old", "new"), [(4, 1), (1, 4), (3, 2)])
def test_adapted_kernels_answer_equal_channels_as_before(old: int, new: int) -> None:
    weight, image = torch.randn(5, old, 3, 3), torch.randn(2, 1, 8, 8)
    before = torch.conv2d(image.expand(-1, old, -1, -1), weight)
    after = torch.conv2d(image.expand(-1, new, -1, -1), adapt_channels(weight, new))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_adapted_kernels_see_the_mean_of_other_channels() -> None:
    weight = torch.tensor([[[[1.0]], [[5.0]]]])  # sums to 6
    image = torch.tensor([1.0, 2.0, 6.0])[None, :, None, None]
    assert torch.conv2d(image, adapt_channels(weight, 3)).item() == pytest.approx(6 * 3.0)


def test_the_same_number_of_channels_changes_nothing() -> None:
    weight = torch.randn(5, 3, 3, 3)
    assert torch.equal(adapt_channels(weight, 3), weight)


def test_a_network_of_other_images_goes_on_with_equal_answers(tmp_path: Path) -> None:
    """Trained on one channel, here on four: four copies of an image are segmented as the image was."""
    trained, network = make_network(1), make_network(4, seed=1)
    assert load_pretrained(network, save(trained, tmp_path)) is network
    image = torch.randn(1, 1, 32, 32)
    torch.testing.assert_close(network(image.repeat(1, 4, 1, 1)), trained(image), atol=1e-5, rtol=1e-5)


def test_weights_for_the_same_channels_are_loaded_as_they_are(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    trained = make_network(3)
    with caplog.at_level(logging.INFO):
        network = load_pretrained(make_network(3, seed=1), save(trained, tmp_path))
    assert all(torch.equal(network.state_dict()[name], value) for name, value in trained.state_dict().items())
    assert not caplog.records


def test_adapting_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        load_pretrained(make_network(1), save(make_network(4), tmp_path))
    assert "took 4 channels, here 1" in caplog.text


def test_no_file_changes_nothing() -> None:
    network = make_network(1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_pretrained(network, None)
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_bad_files(tmp_path: Path) -> None:
    wide = save(make_network(4, features=(2, 3, 4, 5, 7)), tmp_path)
    with pytest.raises(CheckpointError, match="another configuration: 'down_4"):
        load_pretrained(make_network(1), wide)
    with pytest.raises(CheckpointError, match="has no Conv2d"):
        load_pretrained(nn.Linear(2, 2), wide)
    torch.save([1, 2], wide.file)
    with pytest.raises(CheckpointError, match="holds a list"):
        load_pretrained(make_network(1), wide)
