"""Weights in the authors' format, written here by hand, answer in our network as in theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from ignite.engine import Engine

from scripts.data.contract import Dataset, DatasetError
from scripts.handlers.training_state import TrainingState
from scripts.networks import darknet_weights
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.darknet import Darknet53
from scripts.networks.darknet_weights import load_backbone, open_backbone, read_darknet
from scripts.networks.knowledge import Knowledge
from scripts.networks.yolo import YOLOv3
from tests.known_weights import write_known

SMALL = 1 / 16  # of the published widths: 2, 4, 8, 16, 32, 64
BLOCKS = (1, 2, 8, 8, 4)
Layer = dict[str, np.ndarray]


@pytest.fixture
def small_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file as if the published network were a sixteenth as wide."""
    monkeypatch.setattr(darknet_weights, "PUBLISHED_WIDTH", SMALL)
    return write(tmp_path / "darknet53.conv.74", layers())


def detector(in_channels: int = 3, class_count: int = 1, *, width: float = SMALL) -> YOLOv3:
    torch.manual_seed(1)
    return YOLOv3(in_channels, class_count, width_multiplier=width).eval()


def layers() -> list[Layer]:
    """The numbers of all 52 layers: a stem, then stages of a halving 3x3 and blocks of 1x1 and 3x3."""
    generator = np.random.default_rng(0)
    shapes, width = [(3, 2, 3)], 2
    for count in BLOCKS:
        shapes += [(width, 2 * width, 3), *[(2 * width, width, 1), (width, 2 * width, 3)] * count]
        width *= 2
    made = []
    for fan_in, out, side in shapes:
        kernel = generator.normal(size=(out, fan_in, side, side)) / (fan_in * side**2) ** 0.5
        norm = {name: generator.uniform(0.5, 1.5, out) for name in ("bias", "scale", "mean", "variance")}
        made.append({name: array.astype("<f4") for name, array in {**norm, "kernel": kernel}.items()})
    return made


def write(file: Path, numbers: list[Layer], *, version: tuple[int, int, int] = (0, 2, 0)) -> Path:
    """Darknet's `save_convolutional_weights`, layer after layer."""
    with open(file, "wb") as stream:
        np.array(version, "<i4").tofile(stream)
        np.array([32013312], "<i4" if version < (0, 2) else "<i8").tofile(stream)
        for layer in numbers:
            for name in ("bias", "scale", "mean", "variance", "kernel"):
                layer[name].tofile(stream)
    return file


def run_published(pictures: torch.Tensor) -> list[torch.Tensor]:
    """Features of pictures (B, 3, rows, columns) in [0, 1], framed in mid-grey, by plain functions."""
    numbers = iter(layers())
    x = convolve(F.pad(pictures, [1, 1, 1, 1], value=0.5), numbers, padding=0)
    features = []
    for count in BLOCKS:
        x = convolve(x, numbers, stride=2)
        for _ in range(count):
            x = x + convolve(convolve(x, numbers), numbers)
        features.append(x)
    return features[2:]


def convolve(x: torch.Tensor, numbers: Iterator[Layer], *, stride: int = 1, padding: int | None = None) -> torch.Tensor:
    layer = {name: torch.tensor(array) for name, array in next(numbers).items()}
    kernel = layer.pop("kernel")
    bias, scale, mean, variance = (values[:, None, None] for values in layer.values())
    x = F.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2 if padding is None else padding)
    x = (x - mean) / (variance + 1e-5).sqrt() * scale + bias
    return torch.where(x > 0, x, 0.1 * x)


@pytest.mark.parametrize("in_channels", [3, 1, 4])
def test_the_authors_file_is_answered_as_published(small_file: Path, in_channels: int) -> None:
    network = load_backbone(detector(in_channels), small_file)
    image = torch.rand(2, in_channels, 64, 96)
    pictures = image if in_channels == 3 else image.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    with torch.no_grad():
        ours = network.backbone(2 * image.transpose(-1, -2) - 1)  # x first, in [-1, 1]
    for own, expected in zip(ours, run_published(pictures), strict=True):
        torch.testing.assert_close(own.transpose(-1, -2), expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())


def test_numbers_lie_where_the_file_has_them(small_file: Path) -> None:
    network = load_backbone(detector(), small_file)
    last = layers()[-1]
    conv, norm = network.backbone.stages[4][4].convolutions[1][:2]  # type: ignore[index,union-attr]
    np.testing.assert_array_equal(conv.weight.detach(), last["kernel"].transpose(0, 1, 3, 2))
    found = (norm.bias, norm.weight, norm.running_mean, norm.running_var)
    for tensor, name in zip(found, ("bias", "scale", "mean", "variance"), strict=True):
        np.testing.assert_array_equal(tensor.detach(), last[name])


def test_heads_and_anchors_stay_as_they_were(small_file: Path) -> None:
    before = {name: value.clone() for name, value in detector().state_dict().items()}
    after = load_backbone(detector(), small_file).state_dict()
    same = {name for name in before if torch.equal(before[name], after[name]) and "num_batches" not in name}
    assert same == {name for name in before if not name.startswith("backbone") and "num_batches" not in name}


def test_seen_images_take_four_bytes_in_old_files(small_file: Path, tmp_path: Path) -> None:
    old = write(tmp_path / "old.weights", layers(), version=(0, 1, 0))
    assert small_file.stat().st_size - old.stat().st_size == 4
    first, second = (load_backbone(detector(), file).state_dict() for file in (small_file, old))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_published_file_has_exactly_the_bytes_that_are_expected(tmp_path: Path) -> None:
    file = tmp_path / "darknet53.conv.74"
    file.write_bytes(np.array([0, 2, 0], "<i4").tobytes() + bytes(8))
    with torch.device("meta"):
        backbone = Darknet53(4)  # whatever the data, the file has three channels
    with pytest.raises(CheckpointError, match=r"has 20 bytes, expected 162482580: a header of 20 and 40620640 numbers"):
        read_darknet(file, backbone)


@pytest.mark.parametrize("change", [-4, -1, 4])
def test_a_file_of_another_length_is_refused(small_file: Path, change: int) -> None:
    content = small_file.read_bytes()
    small_file.write_bytes(content[:change] if change < 0 else content + bytes(change))
    with pytest.raises(CheckpointError, match=rf"has {len(content) + change} bytes, expected {len(content)}: a header"):
        load_backbone(detector(), small_file)


def test_the_authors_file_needs_the_published_width(tmp_path: Path) -> None:
    file = write(tmp_path / "darknet53.conv.74", layers())
    with pytest.raises(CheckpointError, match=r"width_multiplier 0\.0625: .*conv\.74, a file in Darknet's .* only 1\."):
        load_backbone(detector(), file)


@pytest.mark.parametrize("whole", [True, False])
def test_own_weights_of_a_detector_or_a_backbone(tmp_path: Path, whole: bool) -> None:
    torch.manual_seed(7)
    other = YOLOv3(3, 4, width_multiplier=SMALL)
    torch.save((other if whole else other.backbone).state_dict(), tmp_path / "model.pt")
    loaded = load_backbone(detector(class_count=2), tmp_path / "model.pt").backbone.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in other.backbone.state_dict().items())


@pytest.mark.parametrize(("stored", "wanted"), [(3, 1), (1, 4), (4, 2)])
def test_own_weights_see_the_mean_of_other_channels(tmp_path: Path, stored: int, wanted: int) -> None:
    torch.manual_seed(7)
    other = YOLOv3(stored, width_multiplier=SMALL).eval()
    torch.save(other.state_dict(), tmp_path / "model.pt")
    network = load_backbone(detector(wanted), tmp_path / "model.pt")
    image = torch.rand(1, wanted, 32, 32)
    with torch.no_grad():
        ours, expected = network.encode(image), other.encode(image.mean(dim=1, keepdim=True).expand(-1, stored, -1, -1))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_own_weights_of_another_width_or_kind_are_refused(tmp_path: Path) -> None:
    torch.save(detector(width=SMALL / 2).state_dict(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt is of another configuration: 'stages"):
        load_backbone(detector(), tmp_path / "model.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(CheckpointError, match=r"list\.pt holds a list, expected weights by name"):
        load_backbone(detector(), tmp_path / "list.pt")


def test_no_file_changes_nothing_and_a_missing_one_is_named(tmp_path: Path) -> None:
    network = detector()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert load_backbone(network, None) is network
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    with pytest.raises(CheckpointError, match=r"No file .*none\.pt: expected pretrained weights"):
        load_backbone(network, tmp_path / "none.pt")


def test_a_resumed_training_goes_on_from_its_checkpoint(small_file: Path, tmp_path: Path) -> None:
    def train(epochs: int) -> YOLOv3:
        network = load_backbone(detector(), small_file)

        def step(engine: Engine, batch: int) -> None:
            with torch.no_grad():
                network.backbone.stem[0].weight += 1  # type: ignore[operator]

        trainer = Engine(step)
        TrainingState(tmp_path / "checkpoint.pt", {"network": network}, [], Knowledge([])).attach(trainer)
        trainer.run([0], max_epochs=epochs)
        return network

    first, second = (train(epochs).backbone.stem[0].weight.detach() for epochs in (1, 2))
    torch.testing.assert_close(second, first + 1)


def test_what_a_backbone_knows_is_asked_of_our_own_files_alone(small_file: Path, tmp_path: Path) -> None:
    splits = {split: [{"patient": split, "label": "x"}] for split in ("training", "validation", "test")}
    dataset = Dataset(tmp_path, "d", ["T1"], ["background", "tumour"], splits=splits)
    assert open_backbone(small_file, dataset=dataset) is open_backbone(None, dataset=dataset) is None
    known = write_known(tmp_path / "own.pt", ["training", "elsewhere"], network=detector().backbone)
    assert open_backbone(known.file, dataset=dataset).trained_on == ["elsewhere", "training"]
    leaking = write_known(tmp_path / "leaking.pt", ["test"], network=detector())
    with pytest.raises(DatasetError, match=r"leaking\.pt was trained on patient 'test' of the test split"):
        open_backbone(leaking.file, dataset=dataset)
