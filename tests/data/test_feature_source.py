from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from scripts.data.feature_format import FeatureDescription
from scripts.data.feature_source import FeatureSource, describe_features
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import FeatureSet
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.weights import Weights
from tests.known_weights import write_known


@pytest.fixture
def features(tmp_path: Path) -> FeatureSet:
    """Six rows of two channels around 1 and 20, of which five are training ones."""
    description = FeatureDescription(
        level="bottleneck",
        feature_shape=(2, 3, 3),
        network_sha256="0" * 64,
        network_file="model.pt",
        trained_on=["elsewhere"],
        dataset="phantom",
        classes=["LGG", "HGG"],
        image_size=48,
        image_channels=["FLAIR"],
        dtype="float32",
        minimum=0.0,
    )
    maker = torch.Generator().manual_seed(0)
    values = torch.rand(6, 2, 3, 3, generator=maker) * torch.tensor([2.0, 40.0])[:, None, None]
    with FeatureWriter(tmp_path / "features", description, 6) as writer:
        for n, value in enumerate(values):
            split = "test" if n == 5 else "training"
            item = {"source": f"s{n}", "patient": f"p{n}", "class": "LGG", "split": split, "synthetic": None}
            writer.append(value[None], [item])
        return writer.finish()


def write_pair(features: FeatureSet, folder: Path) -> list[Weights]:
    about = describe_features(features)
    files = (folder / f"{name}.pt" for name in ("generator", "discriminator"))
    return [write_known(file, ["p0", "p1"], features=about) for file in files]


def test_it_remembers_what_the_features_are_and_whom_they_show(features: FeatureSet, tmp_path: Path) -> None:
    source = FeatureSource(*write_pair(features, tmp_path))
    assert source.description.to_json() == {**features.description.to_json(), "trained_on": ["p0", "p1"]}


def test_restoring_undoes_the_standardisation_of_the_set(features: FeatureSet, tmp_path: Path) -> None:
    source = FeatureSource(*write_pair(features, tmp_path))
    values = np.array(features.features)
    mean, std = (f(values[:5], axis=(0, 2, 3))[:, None, None] for f in (np.mean, np.std))
    torch.testing.assert_close(source.restore(torch.from_numpy((values - mean) / std)), torch.from_numpy(values))
    assert source.restore(torch.full((1, 2, 3, 3), -100.0)).eq(0).all()  # not below what a ReLU leaves


def test_bad_files(features: FeatureSet, tmp_path: Path) -> None:
    generator, _ = write_pair(features, tmp_path)
    about = describe_features(features)
    with pytest.raises(CheckpointError, match=r"other\.pt learned from other features or patients"):
        FeatureSource(generator, write_known(tmp_path / "other.pt", ["p7"], features=about))
    with pytest.raises(CheckpointError, match=r"does not say of which features.*KeyError"):
        FeatureSource(write_known(tmp_path / "plain.pt", ["p0"]), generator)
    broken = write_known(tmp_path / "broken.pt", ["p0"], features={**about, "mean": [0.0]})
    with pytest.raises(CheckpointError, match="another number of channels"):
        FeatureSource(broken, generator)


def test_the_account_is_plain_json(features: FeatureSet) -> None:
    content = describe_features(features)
    assert json.loads(json.dumps(content)) == content
