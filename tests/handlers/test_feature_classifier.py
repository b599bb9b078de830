from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scripts.data.classified_features import held_out_features
from scripts.data.contract import DatasetError
from scripts.data.features import FeatureSet
from scripts.handlers.export import write_trained_on
from scripts.handlers.feature_classifier import load_feature_classifier
from scripts.handlers.feature_source import describe_features
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.feature_classifier import LinearFeatureClassifier

ROWS = {"training": "HHHLLL", "test": "HHHLLL"}


@pytest.fixture
def real(tmp_path: Path, write_features: Callable[..., Path]) -> Path:
    return write_features(tmp_path / "real", ROWS)


def network() -> LinearFeatureClassifier:
    return LinearFeatureClassifier((4, 3, 3), 2)


@pytest.fixture
def trained(real: Path, tmp_path: Path) -> Path:
    file = tmp_path / "model.pt"
    torch.save(network().state_dict(), file)
    write_trained_on(file, ["tr0", "tr1"], describe_features(FeatureSet(real)))
    return file


def test_weights_are_loaded_for_the_features_they_are_of(real: Path, trained: Path) -> None:
    loaded = load_feature_classifier(network(), trained, held_out_features(real, "test"))
    assert torch.equal(loaded.linear.weight, torch.load(trained)["linear.weight"])


def test_patients_it_has_learned_from_are_refused(real: Path, trained: Path) -> None:
    with pytest.raises(DatasetError, match="was trained on patient 'tr0', whom it is to judge"):
        load_feature_classifier(network(), trained, held_out_features(real, "training"))


@pytest.mark.parametrize(
    ("rows", "replaced", "message"),
    [
        (ROWS, {"level": "up1"}, "level is up1, expected bottleneck"),
        (ROWS, {"network_sha256": "c" * 64}, "network_sha256 is ccc"),
        (ROWS, {"feature_shape": (4, 2, 2)}, r"feature_shape is \(4, 2, 2\)"),
        (ROWS, {"classes": ["LGG", "HGG"]}, r"has the classes \['LGG', 'HGG'\]"),
        ({**ROWS, "training": "HHHHHHLLL"}, {}, "standardised by other training features"),
    ],
)
def test_other_features_are_refused(
    trained: Path, tmp_path: Path, write_features: Callable[..., Path], rows: dict, replaced: dict, message: str
) -> None:
    other = write_features(tmp_path / "other", rows, **replaced)
    with pytest.raises(DatasetError, match=message):
        load_feature_classifier(network(), trained, held_out_features(other, "test"))


def test_weights_without_an_account_are_refused(real: Path, trained: Path) -> None:
    write_trained_on(trained, ["tr0"])
    with pytest.raises(CheckpointError, match=r"does not say of which features .*KeyError: 'features'"):
        load_feature_classifier(network(), trained, held_out_features(real, "test"))
    trained.with_suffix(".json").write_text(json.dumps({}))
    with pytest.raises(CheckpointError, match="does not say which patients"):
        load_feature_classifier(network(), trained, held_out_features(real, "test"))
