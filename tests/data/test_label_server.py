from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.data.contract import Dataset, DatasetError
from scripts.data.label_server import AddSyntheticSet, ElseTraining, choose_description, is_bare, known_patients
from scripts.networks.resnet_unet import ResNetUNet
from tests.known_weights import write_known

BARE = {"image": "/studies/a.nii.gz", "label": "/studies/labels/final/a.nii.gz"}
MADE = {"image": "made.nii.gz", "label": "made_label.nii.gz", "synthetic": {"source_patient": "p0"}}
DESCRIPTION = Dataset(Path("/none"), "model", ["MR"], ["background", "tumour"])


def write(folder: Path, *items: dict[str, Any], **changes: Any) -> Path:
    folder.mkdir()
    content = {"modality": ["MR"], "labels": ["background", "tumour"], "trained_on": ["p0"], "training": list(items)}
    (folder / "dataset.json").write_text(json.dumps({**content, **changes}))
    return folder


def test_items_without_patient_are_a_servers() -> None:
    assert is_bare([BARE])
    assert is_bare([])
    assert not is_bare([{**BARE, "patient": "a"}])


def test_a_set_beside_the_model_joins_what_a_server_sends(tmp_path: Path) -> None:
    folder = write(tmp_path / "synthetic", MADE)
    items = AddSyntheticSet(folder, DESCRIPTION)([BARE])
    assert [item["image"] for item in items] == [BARE["image"], str(folder / "made.nii.gz")]
    assert AddSyntheticSet(folder, DESCRIPTION)([])[0]["synthetic"] == {"source_patient": "p0"}


def test_items_of_a_data_set_stay_alone(tmp_path: Path) -> None:
    items = [{**BARE, "patient": "a"}]
    assert AddSyntheticSet(write(tmp_path / "synthetic", MADE), DESCRIPTION)(items) == items


def test_without_a_set_nothing_is_added(tmp_path: Path) -> None:
    assert AddSyntheticSet(tmp_path / "synthetic", DESCRIPTION)([BARE]) == [BARE]
    with pytest.raises(DatasetError, match="no labelled image to train on"):
        AddSyntheticSet(tmp_path / "synthetic", DESCRIPTION)([])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"modality": ["FLAIR", "T1"]}, r"modality \['FLAIR', 'T1'\] differ from \['MR'\]"),
        ({"labels": ["background", "oedema", "core"]}, "labels .* differ from"),
        ({"training": [{**MADE, "synthetic": None}]}, "no 'synthetic' provenance"),
        ({"training": [{**MADE, "label": None, "boxes": []}]}, "boxes in place of label maps"),
        ({"trained_on": []}, "does not say which patients"),
    ],
)
def test_a_set_that_does_not_fit_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    folder = write(tmp_path / "synthetic", MADE, **change)
    with pytest.raises(DatasetError, match=message):
        AddSyntheticSet(folder, DESCRIPTION)([BARE])


def test_a_folder_without_data_set_is_refused(tmp_path: Path) -> None:
    (tmp_path / "synthetic").mkdir()
    with pytest.raises(DatasetError, match=r"No .*synthetic/dataset\.json"):
        AddSyntheticSet(tmp_path / "synthetic", DESCRIPTION)([BARE])


def test_without_validation_the_real_training_images_count() -> None:
    training: Any = SimpleNamespace(data=[BARE, MADE])
    assert ElseTraining(training)([MADE]) == [MADE]
    assert ElseTraining(training)([]) == [BARE]
    training.data = [MADE]
    assert ElseTraining(training)([]) == [MADE]


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """Weights for CT with two labels, trained on p1 and validated on p2."""
    network = ResNetUNet(1, 2, encoder_widths=[2, 2, 2, 2], decoder_widths=[2, 2, 2, 2, 2])
    images = Dataset(Path("/none"), "CT", ["CT"], ["background", "IPH", "SDH"], ["a"], {255: 1}, [0.0, 80.0])
    known = {"validated_on": ["p2"], "images": images, "settings": {"image_size_pixels": 32}}
    return write_known(tmp_path / "model.pt", ["p1"], network=network, **known).file


def test_a_data_set_describes_itself_and_the_weights_what_a_server_sends(model_file: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "real", BARE)
    assert choose_description([{**BARE, "patient": "p"}], folder, model_file).modality == ["MR"]
    assert choose_description([BARE], folder, tmp_path / "absent.pt").modality == ["MR"]
    served = choose_description([BARE], folder, model_file)
    assert (served.channel_count, served.foreground_count, served.label_values) == (1, 2, {255: 1})


def test_a_server_goes_on_with_what_the_weights_know(model_file: Path, tmp_path: Path) -> None:
    made = {**BARE, "patient": "made", "synthetic": {"source_patient": "p9"}}
    served: Any = SimpleNamespace(data=[BARE, made], known_patients=["scan", "p9"])
    assert known_patients(served, model_file) == ["p1", "p9", "scan"]
    assert known_patients(served, tmp_path / "absent.pt") == ["p9", "scan"]
    served = SimpleNamespace(data=[{**BARE, "patient": "p2"}], known_patients=["p2"])
    assert known_patients(served, model_file) == ["p2"]
