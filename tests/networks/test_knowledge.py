from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scripts.data.contract import Dataset
from scripts.networks.checkpoints import CheckpointError, load_checkpoint
from scripts.networks.feature_classifier import build_feature_classifier
from scripts.networks.knowledge import (
    Knowledge,
    describe_weights,
    read_description,
    read_known_patients,
    write_weights,
)
from scripts.networks.recipe import Recipe, recipe_of

LINEAR = "scripts.networks.feature_classifier.build_feature_classifier"
KNOWN = Knowledge(["p1"], ["p2"], {"labels": ["background", "a"]}, {"image_size_pixels": 32}, {"mean": [0.5]})


def network() -> nn.Module:
    return build_feature_classifier("linear", [2, 1, 1], 2)


def change(file: Path, **changes: object) -> None:
    """Changes what is said beside weights; None leaves a name out."""
    content = json.loads(file.with_suffix(".json").read_text()) | changes
    file.with_suffix(".json").write_text(
        json.dumps({key: value for key, value in content.items() if value is not None})
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_weights(tmp_path / "model.pt", network(), KNOWN)
    return tmp_path / "model.pt"


def test_what_is_written_is_read(file: Path) -> None:
    assert read_description(file) == (recipe_of(network()), KNOWN)
    assert read_known_patients(file) == ["p1"]
    versions = json.loads(file.with_suffix(".json").read_text())["versions"]
    assert versions == {name: metadata.version(name) for name in ("torch", "monai", "numpy")}


def test_given_weights_are_written_in_place_of_the_networks(tmp_path: Path) -> None:
    best = {name: torch.full_like(value, 7) for name, value in network().state_dict().items()}
    write_weights(tmp_path / "model.pt", network(), KNOWN, best)
    assert load_checkpoint(tmp_path / "model.pt")["linear.weight"].unique().tolist() == [7]


def test_nothing_is_known_of_weights_without_a_description(file: Path) -> None:
    file.with_suffix(".json").unlink()
    assert read_description(file) is None
    with pytest.raises(CheckpointError, match=r"Nothing beside .*model\.pt says whom it was trained on"):
        read_known_patients(file)


def test_patients_of_all_teachers_are_known() -> None:
    taught_by = [
        SimpleNamespace(trained_on=["c", "a"], memorised_sets=["made"]),
        None,
        SimpleNamespace(trained_on=["d"], memorised_sets=[]),
    ]
    knowledge = describe_weights(trained_on=["b", "a"], validated_on=["z", "y"], taught_by=taught_by)
    assert (knowledge.trained_on, knowledge.validated_on) == (["a", "b", "c", "d"], ["y", "z"])
    assert knowledge.memorised_sets == ["made"]


def test_of_a_data_set_names_and_ranges_are_kept_but_no_item() -> None:
    data = Dataset(Path("/none"), "CT", ["CT"], ["background", "a"], ["x"], {255: 1}, [0.0, 80.0], {"training": [{}]})
    images = describe_weights(trained_on=[], images=data).images
    assert images == {
        "modality": ["CT"],
        "labels": ["background", "a"],
        "classes": ["x"],
        "label_values": {255: 1},
        "intensity_range": [0.0, 80.0],
        "slice_axis": data.slice_axis,
    }


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_not_written(tmp_path: Path, value: float) -> None:
    broken = network()
    nn.init.constant_(broken.linear.bias, value)  # type: ignore[arg-type,union-attr]
    with pytest.raises(CheckpointError, match=r"model\.pt: 'linear\.bias' holds NaN or infinity, so its training has"):
        write_weights(tmp_path / "model.pt", broken, KNOWN)
    assert list(tmp_path.iterdir()) == []


def test_a_buffer_may_hold_a_bound_that_is_none(tmp_path: Path) -> None:
    bounded = nn.Linear(1, 1)
    bounded.recipe = Recipe(LINEAR)  # type: ignore[assignment]
    bounded.register_buffer("bound", torch.tensor(float("inf")))
    write_weights(tmp_path / "model.pt", bounded, KNOWN)
    bounded.bound.fill_(float("nan"))  # type: ignore[operator,union-attr]
    with pytest.raises(CheckpointError, match="'bound' holds NaN"):
        write_weights(tmp_path / "model.pt", bounded, KNOWN)


@pytest.mark.parametrize("content", ['{"trained_on": ["p1"], "validated_on": [], "labels": ["a"]}', "[]", "{", "3"])
def test_what_version_0_1_0_wrote_is_one_line(file: Path, content: str) -> None:
    file.with_suffix(".json").write_text(content)
    with pytest.raises(
        CheckpointError, match=r"model\.json does not describe .*weights of version 0\.1\.0 are"
    ) as caught:
        read_description(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("changes", [{"trained_on": "p1"}, {"trained_on": [1]}, {"validated_on": {}}, {"settings": []}])
def test_what_is_of_another_type_is_named(file: Path, changes: dict[str, object]) -> None:
    change(file, **changes)
    (name,) = changes
    with pytest.raises(CheckpointError, match=rf"model\.json: {name}.* is .*: Input should be a"):
        read_description(file)


def test_a_description_without_patients_is_refused(file: Path) -> None:
    change(file, trained_on=None)
    with pytest.raises(CheckpointError, match=r"does not describe .*trained_on is missing"):
        read_description(file)


def test_a_name_outside_the_networks_is_refused(file: Path) -> None:
    change(file, network={"name": "os.system", "arguments": {"command": "true"}})
    with pytest.raises(CheckpointError, match=r"No network 'os\.system' here"):
        read_description(file)
