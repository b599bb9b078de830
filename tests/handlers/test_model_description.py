from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.data.contract import Dataset
from scripts.handlers.export import write_trained_on
from scripts.handlers.model_description import choose_description, describe_model, known_patients, read_model
from scripts.networks.checkpoints import CheckpointError

DATA = Dataset(Path("/none"), "CT", ["CT"], ["background", "IPH", "SDH"], ["a"], {255: 1}, [0.0, 80.0])
SIZES = {"image_size_pixels": 32, "encoder_widths": [8], "decoder_widths": [4]}
BARE = {"image": "scan.nii.gz", "label": "mask.nii.gz"}


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    write_trained_on(tmp_path / "model.pt", ["p1"], describe_model(DATA, validated_on=["p2"], **SIZES))
    (tmp_path / "model.pt").touch()
    return tmp_path / "model.pt"


@pytest.fixture
def dataset_dir(tmp_path: Path) -> Path:
    content = {"modality": ["MR"], "labels": ["background", "tumour"], "training": [BARE]}
    (tmp_path / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def test_what_is_written_is_read(model_file: Path) -> None:
    model = read_model(model_file)
    assert model["label_values"] == {255: 1}
    assert (model["labels"], model["intensity_range"]) == (["background", "IPH", "SDH"], [0.0, 80.0])
    assert {name: model[name] for name in SIZES} == SIZES


def test_weights_that_nothing_describes(tmp_path: Path) -> None:
    write_trained_on(tmp_path / "old.pt", ["p1"], {"labels": ["background", "a"]})
    with pytest.raises(CheckpointError, match=r"old\.json does not say the validated_on, modality, .*train again"):
        read_model(tmp_path / "old.pt")


def test_a_data_set_describes_itself_and_the_weights_what_a_server_sends(model_file: Path, dataset_dir: Path) -> None:
    assert choose_description([{**BARE, "patient": "p"}], dataset_dir, model_file).modality == ["MR"]
    assert choose_description([BARE], dataset_dir, dataset_dir / "absent.pt").modality == ["MR"]
    served = choose_description([BARE], dataset_dir, model_file)
    assert (served.channel_count, served.foreground_count, served.label_values) == (1, 2, {255: 1})


def test_a_server_goes_on_with_what_the_weights_know(model_file: Path, tmp_path: Path) -> None:
    made = {**BARE, "patient": "made", "synthetic": {"source_patient": "p9"}}
    served: Any = SimpleNamespace(data=[BARE, made], patients=["scan", "p9"])
    assert known_patients(served, model_file) == ["p1", "p9", "scan"]
    assert known_patients(served, tmp_path / "absent.pt") == ["p9", "scan"]
    served.data = [{**BARE, "patient": "p2"}]
    served.patients = ["p2"]
    assert known_patients(served, model_file) == ["p2"]
