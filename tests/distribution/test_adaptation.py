from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser, verify_net_in_out

from scripts.data.contract import Dataset
from scripts.distribution.adaptation import adapt_bundle, write_scores
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.resnet_unet import ResNetUNet
from tests.known_weights import write_known

CONFIGS = Path(__file__).parents[2] / "configs"
WIDTHS = {"encoder_widths": [8, 8, 16, 16], "decoder_widths": [16, 8, 8, 8, 8]}
DATA = Dataset(
    Path("/none"), "CT", ["CT"], ["background", "IPH", "SDH"], ["a", "b"], {255: 1}, [0.0, 80.0], {}, ["ignored"]
)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    for name in ("configs", "docs"):
        shutil.copytree(CONFIGS.parent / name, tmp_path / "bundle" / name)
    return tmp_path / "bundle"


def write_model(folder: Path) -> Path:
    network = ResNetUNet(in_channels=1, out_channels=2, **WIDTHS)
    known = {"validated_on": ["p2"], "images": DATA, "settings": {"image_size_pixels": 32}}
    return write_known(folder / "mine.pt", ["p1"], network=network, **known).file


def test_the_configs_take_the_models_sizes_and_names(bundle: Path, tmp_path: Path) -> None:
    adapt_bundle(bundle, model_file=write_model(tmp_path))
    train = json.loads((bundle / "configs" / "train.json").read_text())
    assert {key: train[key] for key in WIDTHS} == WIDTHS
    assert train["image_size_pixels"] == 32


def test_inference_goes_by_the_weights_without_any_option(bundle: Path, tmp_path: Path) -> None:
    adapt_bundle(bundle, model_file=write_model(tmp_path))
    inference = ConfigParser()
    inference.read_config(str(bundle / "configs" / "inference.json"))
    inference["bundle_root"] = str(bundle)
    network = inference.get_parsed_content("network_def")
    assert network.stem[0].weight.shape[:2] == (8, 1)
    assert network.head.out_channels == 2
    assert inference.get_parsed_content("settings") == {"image_size_pixels": 32}


def test_scores_of_other_weights_go(bundle: Path, tmp_path: Path) -> None:
    write_scores(bundle, {"mean_dice": 0.9}, "CT of others")
    file, page = bundle / "configs" / "metadata.json", bundle / "docs" / "README.md"
    assert json.loads(file.read_text())["eval_metrics"] == {"mean_dice": 0.9}
    assert "| mean_dice | 0.900 |" in page.read_text()
    adapt_bundle(bundle, model_file=write_model(tmp_path))
    assert json.loads(file.read_text())["eval_metrics"] == {}
    assert "mean_dice" not in page.read_text()
    assert "were not evaluated" in page.read_text()
    write_scores(bundle, {"mean_dice": 0.9}, "CT of others")
    adapt_bundle(bundle, model_file=bundle / "models" / "model.pt")  # its own weights
    assert json.loads(file.read_text())["eval_metrics"] == {"mean_dice": 0.9}


def test_the_network_is_what_the_metadata_say(bundle: Path, tmp_path: Path) -> None:
    adapt_bundle(bundle, model_file=write_model(tmp_path))
    meta, config = bundle / "configs" / "metadata.json", bundle / "configs" / "inference.json"
    root = {"bundle_root": str(bundle)}
    verify_net_in_out("network_def", meta_file=str(meta), config_file=str(config), device="cpu", **root)
    blocks = json.loads(meta.read_text(encoding="utf-8"))["network_data_format"]
    assert blocks["outputs"]["pred"]["channel_def"] == {"0": "background", "1": "IPH", "2": "SDH"}
    assert blocks["inputs"]["image"]["channel_def"] == {"0": "CT"}
    assert blocks["post_processed_outputs"]["pred"]["value_range"] == [0, 2]


def test_the_weights_and_what_is_known_of_them_lie_in_the_bundle(bundle: Path, tmp_path: Path) -> None:
    file = write_model(tmp_path)
    adapt_bundle(bundle, model_file=file)
    ours, theirs = (torch.load(path, weights_only=True) for path in (file, bundle / "models" / "model.pt"))
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert json.loads((bundle / "models" / "model.json").read_text())["trained_on"] == ["p1"]
    adapt_bundle(bundle, model_file=bundle / "models" / "model.pt")  # its own weights


def test_a_refused_model_changes_nothing(bundle: Path, tmp_path: Path) -> None:
    before = {file.name: file.read_bytes() for file in (bundle / "configs").iterdir()}
    file = write_model(tmp_path)
    torch.save(ResNetUNet(1, 1, **WIDTHS).state_dict(), file)
    with pytest.raises(CheckpointError, match=r"of another configuration: 'head\.bias' is \(1,\) there"):
        adapt_bundle(bundle, model_file=file)
    file.with_suffix(".json").write_text('{"trained_on": ["p1"]}')
    with pytest.raises(CheckpointError, match=r"mine\.json does not describe .*weights of version 0\.1\.0"):
        adapt_bundle(bundle, model_file=file)
    file.with_suffix(".json").unlink()
    with pytest.raises(CheckpointError, match=r"Nothing beside .*mine\.pt describes it\. Copy the \.json"):
        adapt_bundle(bundle, model_file=file)
    assert {file.name: file.read_bytes() for file in (bundle / "configs").iterdir()} == before
    assert not (bundle / "models").exists()


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Name the folder of an unpacked bundle"):
        adapt_bundle(tmp_path, model_file=write_model(tmp_path))
