from __future__ import annotations

import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator
from torch.utils.data import DataLoader

from scripts.data.contract import read_dataset
from scripts.data.slices import SliceDataset
from scripts.data.split_slices import SplitSlices, classified_items
from scripts.handlers.feature_set_writer import FeatureSetWriter, extract_features
from scripts.inferers.features import FeatureInferer
from scripts.networks.feature_unet import FeatureUNet
from scripts.networks.weights import Weights
from tests.known_weights import write_known

SPLITS = {"training": "ABC", "validation": "D", "test": "E"}
SIZE = 32


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


def draw_volume(item):
    """A volume of two slices, the patient's own."""
    noise = np.random.default_rng(ord(Path(item["image"]).stem)).uniform(-1, 1, size=(1, SIZE, SIZE, 2))
    return {"image": noise, "label": np.ones((1, SIZE, SIZE, 2))}


@pytest.fixture
def dataset_dir(tmp_path: Path) -> Path:
    content: dict = {"name": "drawn", "modality": ["FLAIR"], "labels": ["background", "tumour"], "classes": ["X", "Y"]}
    for split, names in SPLITS.items():
        content[split] = [
            {"image": f"{name}.nii", "label": f"{name}.nii", "patient": name, "class": "XY"[n % 2]}
            for n, name in enumerate(names)
        ]
        for name in names:
            (tmp_path / f"{name}.nii").write_text(name)
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


@pytest.fixture
def network() -> FeatureUNet:
    torch.manual_seed(0)
    return FeatureUNet(1, features=[2, 3, 4, 5, 6]).eval()


@pytest.fixture
def weights(tmp_path: Path, network: FeatureUNet) -> Weights:
    return write_known(tmp_path / "model.pt", ["A", "B"], network=network)


@pytest.fixture
def build(dataset_dir, network, weights):
    """A function that makes the evaluator and its handler."""

    def make(output_dir: Path, level: str = "decoder_3"):
        slices = SplitSlices(
            {
                split: SliceDataset(classified_items(dataset_dir, split), draw_volume, dataset_dir / "cache")
                for split in SPLITS
            },
            classes=["X", "Y"],
        )
        handler = FeatureSetWriter(
            slices,
            output_dir,
            feature_shape=network.feature_shape(level, SIZE),
            weights=weights,
            level=level,
            description=read_dataset(dataset_dir),
            image_channels=["FLAIR"],
            image_size=SIZE,
        )
        evaluator = SupervisedEvaluator(
            device=torch.device("cpu"),
            val_data_loader=DataLoader(handler.remaining, batch_size=2),
            network=network,
            inferer=FeatureInferer(level),
            decollate=False,
            val_handlers=[handler],
        )
        return evaluator, handler

    return make


@pytest.mark.parametrize("level", ["bottleneck", "decoder_3"])
def test_rows_are_the_networks_features_of_their_slices(build, network, tmp_path, level):
    evaluator, handler = build(tmp_path / "set", level)
    features = extract_features(evaluator, handler)
    assert [item["patient"] for item in features.items] == list("AABBCCDDEE")
    with torch.inference_mode():
        for row in (0, 3, 9):
            wanted = network.extract(handler.slices[row]["image"][None], level)[0]
            np.testing.assert_allclose(features.read(row), wanted, rtol=1e-3, atol=1e-5)


def test_the_manifest_names_network_level_patients_and_classes(build, tmp_path):
    description = extract_features(*build(tmp_path / "set")).description
    assert description.feature_shape == (3, 16, 16)
    assert (description.level, description.network_file, description.dataset) == ("decoder_3", "model.pt", "drawn")
    assert (description.trained_on, description.classes) == (["A", "B"], ["X", "Y"])
    assert (description.precision, description.minimum) == ("float32", 0.0)


def test_a_killed_extraction_goes_on_to_the_same_bytes(build, tmp_path):
    whole = extract_features(*build(tmp_path / "whole"))
    evaluator, handler = build(tmp_path / "resumed")

    def kill() -> None:
        raise Killed

    evaluator.add_event_handler(Events.ITERATION_COMPLETED(once=2), kill)
    with pytest.raises(Killed):
        extract_features(evaluator, handler)
    assert not (tmp_path / "resumed").exists()
    evaluator, handler = build(tmp_path / "resumed")
    assert len(handler.remaining) == 6
    resumed = extract_features(evaluator, handler)
    assert resumed.file.read_bytes() == whole.file.read_bytes()
    assert (resumed.folder / "manifest.json").read_bytes() == (whole.folder / "manifest.json").read_bytes()


def test_a_finished_extraction_computes_nothing(build, network, tmp_path, monkeypatch, caplog):
    extract_features(*build(tmp_path / "set"))
    monkeypatch.setattr(network, "extract", None)
    with caplog.at_level(logging.INFO, logger="scripts"):
        assert len(extract_features(*build(tmp_path / "set"))) == 10
    told = [record.getMessage() for record in caplog.records if record.name.startswith("scripts")]
    assert told[1] == "10 of 10 features are there already."
