"""MONAI's own ways to load, build and change a bundle, from a folder that is not the bundle's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, create_workflow

from scripts.data.contract import Dataset
from scripts.networks.resnet_unet import ResNetUNet
from tests.known_weights import write_known

ROOT = Path(__file__).parents[2]
NAME = "lesion_gan_augmentation"
EXAMPLES = ROOT / "docs" / "examples"
LOADING = """
import socket, sys, torch
def refuse(*arguments): raise OSError("there is no network here")
socket.socket.connect = refuse
sys.path.insert(0, f"{sys.argv[1]}/{sys.argv[2]}")
from monai.bundle import load
folder = {"name": sys.argv[2], "bundle_dir": sys.argv[1], "device": "cpu"}
eager = load(**folder, workflow_type="inference").eval()
script, metadata, _ = load(**folder, load_ts_module=True)
own = load(**folder, model=load(**folder, workflow_type="inference"))
colour = load(**folder, workflow_type="inference", model_file="models/colour.pt", net_override={"in_channels": 3})
image = torch.ones(1, 4, 64, 64)
with torch.no_grad():
    torch.testing.assert_close(script.eval()(image), eager(image))
    torch.testing.assert_close(own.eval()(image), eager(image))
    print(metadata["network_data_format"]["inputs"]["image"]["num_channels"], tuple(colour.eval()(image[:, :3]).shape))
torch.save(eager.state_dict(), "loaded.pt")
"""


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """An unzipped bundle with weights: eager, of images in colour, and as TorchScript."""
    folder = tmp_path / "zoo" / NAME
    (folder / "models").mkdir(parents=True)
    for name in ("configs", "scripts"):
        (folder / name).symlink_to(ROOT / name)
    for name, channels in (("model", 4), ("colour", 3)):
        channel_names = [f"channel {n}" for n in range(channels)]
        images = Dataset(tmp_path, "none", channel_names, ["background", "core", "oedema", "rim"])
        network = ResNetUNet(channels, 3, encoder_widths=(8, 8, 16, 16), decoder_widths=(16, 8, 8, 8, 8))
        file = folder / "models" / f"{name}.pt"
        write_known(file, network=network, images=images, settings={"image_size_pixels": 64})
    return folder


@pytest.mark.slow
def test_load_gives_the_network_with_its_weights(bundle: Path, tmp_path: Path) -> None:
    files = {"meta_file": "configs/metadata.json", "config_file": "configs/inference.json"}
    ckpt_export(
        "network_def",
        filepath=str(bundle / "models" / "model.ts"),
        ckpt_file=str(bundle / "models" / "model.pt"),
        bundle_root=str(bundle),
        **{key: str(ROOT / file) for key, file in files.items()},
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-c", LOADING, str(bundle.parent), NAME]
    done = subprocess.run(command, cwd=elsewhere, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-1] == "4 (1, 3, 64, 64)"
    written = torch.load(bundle / "models" / "model.pt", weights_only=True)
    torch.testing.assert_close(torch.load(elsewhere / "loaded.pt", weights_only=True), written, rtol=0, atol=0)
    assert [file.name for file in elsewhere.iterdir()] == ["loaded.pt"]  # no phantom was written


def test_create_workflow_runs_from_another_folder(
    bundle: Path, phantom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    workflow = create_workflow(
        config_file=str(bundle / "configs" / "inference.json"),
        workflow_type="infer",
        bundle_root=str(bundle),
        dataset_dir=str(phantom),
        logging_file=False,
        run_id="evaluation",
        evaluation=["$@evaluator.run()"],
    )
    assert workflow.check_properties() == []
    assert workflow.version == json.loads((ROOT / "configs" / "metadata.json").read_text())["version"]
    workflow.run()
    workflow.finalize()
    assert list((bundle / "runs" / "predictions").glob("*_seg.nii.gz"))


def make(config: str, phantom: Path, cache: Path, runs: Path, **options: Any) -> ConfigWorkflow:
    """A tiny training on the phantom, given what `python -m monai.bundle run` would be given."""
    files = [str(ROOT / "configs" / f"{name}.json") for name in (config, "smoke")]
    data = {"dataset_dir": str(phantom), "cache_dir": str(cache), "runs_dir": str(runs)}
    return create_workflow(config_file=files, logging_file=False, **{**data, **options})


@pytest.mark.parametrize("separator", ["#", "::"])
def test_knobs_and_nested_arguments_can_be_overridden(
    separator: str, phantom: Path, cache: Path, tmp_path: Path
) -> None:
    options = {"learning_rate": 0.5, "max_epochs": 7, "batch_size": 2, "encoder_widths": [4, 4, 8, 8]}
    nested = {"train#trainer#max_epochs": 3, "validate#dataloader#batch_size": 5, "optimizer#eps": 0.25}
    options |= {key.replace("#", separator): value for key, value in nested.items()}
    parser = make("train", phantom, cache, tmp_path, **options).parser
    trainer, optimizer = (parser.get_parsed_content(name) for name in ("train#trainer", "optimizer"))
    assert trainer.state.max_epochs == 3
    assert parser.get_parsed_content("max_epochs") == 7
    assert (optimizer.defaults["lr"], optimizer.defaults["eps"]) == (0.5, 0.25)
    assert next(iter(parser.get_parsed_content("train#dataloader")))["image"].shape == (2, 4, 32, 32)
    assert parser.get_parsed_content("validate#dataloader").batch_size == 5
    assert parser.get_parsed_content("network_def").state_dict()["stem.0.weight"].shape[0] == 4


def test_a_whole_component_can_be_replaced(phantom: Path, cache: Path, tmp_path: Path) -> None:
    other = {"_target_": "DynUNet", "spatial_dims": 2, "in_channels": "@image_channels", "out_channels": "@label_count"}
    other |= {"kernel_size": [3, 3, 3], "strides": [1, 2, 2], "upsample_kernel_size": [2, 2]}
    (tmp_path / "other.json").write_text(json.dumps({"net": other}))
    network = make("train", phantom, cache, tmp_path, network_def=f"%{tmp_path}/other.json#net").network_def
    assert type(network).__name__ == "DynUNet"
    assert network(torch.zeros(1, 4, 32, 32)).shape == (1, 3, 32, 32)


def read(file: Path) -> dict[str, Any]:
    return yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML too


@pytest.mark.parametrize(("file", "config"), [("args_train.json", "train"), ("args_redgan_train.yaml", "redgan_train")])
def test_args_files_set_what_they_say(file: str, config: str, phantom: Path, cache: Path, tmp_path: Path) -> None:
    given = read(EXAMPLES / file)
    tiny = {"dataset_dir": str(phantom), "image_size_pixels": 32, "fold": 0}  # a command line wins over the file
    workflow = create_workflow(
        config_file=str(ROOT / "configs" / f"{config}.json"),
        args_file=str(EXAMPLES / file),
        logging_file=False,
        cache_dir=str(cache),
        runs_dir=str(tmp_path),
        device="$torch.device('cpu')",
        **tiny,
    )
    known = ConfigParser.load_config_file(ROOT / "configs" / f"{config}.json")
    assert {key.split("#")[0] for key in given} <= set(known)
    for key, value in {**given, **tiny}.items():
        assert workflow.parser[key] == value, key
    if config == "train":
        assert workflow.parser.get_parsed_content("validate#dataloader").batch_size == 32
        assert workflow.parser.get_parsed_content("network_def").head.out_channels == 3
    else:
        optimizer = workflow.parser.get_parsed_content("generator_optimizer")
        assert optimizer.defaults["lr"] == 0.0001
