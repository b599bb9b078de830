"""Every config that loads weights asks what they know, before anything is done with them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser
from torch import nn

from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.networks.recipe import Recipe
from tests.known_weights import write_known

FOLDER = Path(__file__).parents[2] / "configs"
OPENERS = ("open_weights", "open_all_weights", "open_backbone")
NARROW: dict[str, dict[str, Any]] = {
    "build_deep_unet": {"in_channels": 4, "out_channels": 4, "filters": [2, 2, 2], "image_size": 16},
    "FCN8s": {"in_channels": 4, "out_channels": 4, "width": 2, "fc_width": 2, "batch_norm": True},
    "FeatureUNet": {"in_channels": 4, "features": [1, 1, 1, 1, 1]},
    "GoogLeNet": {"in_channels": 4, "width_multiplier": 0.05},
    "PGGANGenerator": {"image_channels": 4, "image_size": 8, "latent_dim": 2, "feature_base": 8, "feature_max": 2},
    "Pix2PixGenerator": {"mask_channels": 4, "image_channels": 4},
    "ResNetUNet": {
        "in_channels": 4,
        "out_channels": 3,
        "encoder_widths": [2, 2, 2, 2],
        "decoder_widths": [2, 2, 2, 2, 2],
    },
    "SPADEGenerator": {"mask_channels": 4, "image_channels": 4},
    "YOLOv3": {"in_channels": 4, "class_count": 3, "width_multiplier": 1 / 16},
}
# What opens weights without images to look up their patients in: the guard is where the features are.
JUDGED_BY_FEATURES = {("feature_acgan_classifier_evaluate", "weights")}  # see `load_feature_classifier`


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def find_openers() -> Iterator[tuple[str, str]]:
    """Config and id of all that opens weights."""
    for file in sorted(FOLDER.glob("*.json")):
        for name, node in read(file.stem).items():
            if isinstance(node, dict) and str(node.get("_target_")).rpartition(".")[2] in OPENERS:
                yield file.stem, name


def purpose(config: str, name: str) -> str:
    return read(config)[name].get("purpose", "augmentation")  # that of `open_backbone`


BARRED = [place for place in find_openers() if purpose(*place) != "prediction" and place not in JUDGED_BY_FEATURES]


def write_leaking(file: Path, node: dict[str, Any], images: Dataset, patient: str) -> None:
    """The smallest weights that a config's node takes, which know the patient."""
    networks = node.get("network", "scripts.networks.yolo.YOLOv3")
    recipe = Recipe(networks, NARROW[networks.rpartition(".")[2]])
    network = nn.Linear(1, 1)  # what is in the file does not matter: it is refused before it is read
    network.recipe = recipe  # type: ignore[assignment]
    write_known(file, [patient], network=network, images=images)


@pytest.mark.parametrize(("config", "name"), BARRED, ids="-".join)
def test_weights_that_know_a_held_out_patient_are_refused(
    config: str, name: str, phantom: Path, tmp_path: Path
) -> None:
    real, node = read_dataset(phantom), read(config)[name]
    patient = real.splits["test"][0]["patient"]
    write_leaking(tmp_path / "leaking.pt", node, real, patient)
    parser = ConfigParser({**read(config), "dataset_dir": str(phantom), "split": "test"})
    given = {"files": [str(tmp_path / "leaking.pt")], "file": str(tmp_path / "leaking.pt")}
    for key in given.keys() & node.keys():
        parser[f"{name}#{key}"] = given[key]
    with pytest.raises(RuntimeError, match="Failed to instantiate") as caught:
        parser.get_parsed_content(name)
    assert isinstance(caught.value.__cause__, DatasetError)
    assert f"leaking.pt was trained on patient '{patient}' of the test split" in str(caught.value.__cause__)


def test_weights_are_opened_in_no_other_way() -> None:
    assert len(set(find_openers())) > len(BARRED) > 10
    for file in FOLDER.glob("*.json"):
        text = file.read_text(encoding="utf-8")
        for loader in ("torch.load", "load_checkpoint", "load_weights", "CheckpointLoader", "load_state_dict"):
            assert loader not in text, f"{file.name}: {loader}"


def test_only_predictions_ask_nothing() -> None:
    free = {place for place in find_openers() if purpose(*place) == "prediction"}
    assert {config for config, _ in free} == {"inference", "cpggan_detector_inference", "feature_acgan_inference"}


@pytest.mark.parametrize(("config", "name"), sorted(set(find_openers())), ids="-".join)
def test_users_can_trust_weights_wherever_patients_are_barred(config: str, name: str) -> None:
    if purpose(config, name) != "prediction":
        assert read(config)[name]["trust"] == "@trust_weights"
