from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from scripts.data.classified_features import held_out_features, training_features
from scripts.data.contract import DatasetError
from scripts.data.feature_source import describe_features
from scripts.data.features import FeatureSet
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.feature_classifier import build_feature_classifier
from scripts.networks.trained_classifier import load_feature_classifier, open_initial_classifier
from scripts.networks.weights import Weights
from tests.known_weights import write_known

CPU = torch.device("cpu")
ROWS = {"training": "HHHLLL", "test": "HHHLLL"}


@pytest.fixture
def real(tmp_path: Path, write_features: Callable[..., Path]) -> Path:
    return write_features(tmp_path / "real", ROWS)


@pytest.fixture
def trained(real: Path, tmp_path: Path) -> Weights:
    network, about = build_feature_classifier("linear", [4, 3, 3], 2), describe_features(FeatureSet(real))
    return write_known(tmp_path / "model.pt", ["tr0", "tr1"], network=network, features=about)


def test_weights_are_loaded_for_the_features_they_are_of(real: Path, trained: Weights) -> None:
    loaded = load_feature_classifier(trained, held_out_features(real, "test"), CPU)
    assert torch.equal(loaded.linear.weight, torch.load(trained.file)["linear.weight"])


def test_patients_it_has_learned_from_are_refused(real: Path, trained: Weights) -> None:
    with pytest.raises(DatasetError, match=r"was trained on patient 'tr0' and 1 more of the training split"):
        load_feature_classifier(trained, held_out_features(real, "training"), CPU)


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
    trained: Weights, tmp_path: Path, write_features: Callable[..., Path], rows: dict, replaced: dict, message: str
) -> None:
    other = write_features(tmp_path / "other", rows, **replaced)
    with pytest.raises(DatasetError, match=message):
        load_feature_classifier(trained, held_out_features(other, "test"), CPU)


def test_weights_without_an_account_are_refused(real: Path, trained: Weights) -> None:
    plain = write_known(trained.file, ["tr0"], network=trained.build())
    with pytest.raises(CheckpointError, match=r"does not say of which features .*KeyError: 'features'"):
        load_feature_classifier(plain, held_out_features(real, "test"), CPU)


def test_a_training_goes_on_from_a_classifier_of_such_features(real: Path, trained: Weights) -> None:
    opened = open_initial_classifier(trained.file, training_features(real))
    assert opened is not None
    assert opened.trained_on == ["tr0", "tr1"]  # whom the next description will name, too
    assert open_initial_classifier(None, training_features(real)) is None


def test_no_training_goes_on_from_a_classifier_that_knows_held_out_patients_or_other_features(
    real: Path, trained: Weights, tmp_path: Path, write_features: Callable[..., Path]
) -> None:
    known = describe_features(FeatureSet(real))
    leaking = write_known(tmp_path / "leaking.pt", ["te1"], network=trained.build(), features=known)
    with pytest.raises(DatasetError, match=r"leaking\.pt was trained on patient 'te1' of the test split"):
        open_initial_classifier(leaking.file, training_features(real))
    other = write_features(tmp_path / "other", ROWS, level="up1")
    with pytest.raises(DatasetError, match="level is up1, expected bottleneck"):
        open_initial_classifier(trained.file, training_features(other))
