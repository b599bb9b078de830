"""Every network gives the same as TorchScript and in onnxruntime, at the batch size of the export and at another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.data import load_net_with_metadata

from scripts.distribution import networks
from scripts.distribution.networks import (
    NETWORKS,
    build_network,
    compare,
    export_network,
    flat_names,
    flatten,
    prepare_network,
    run_onnx,
    write_export,
)
from scripts.networks.checkpoints import CheckpointError

CONFIGS = Path(__file__).parents[2] / "configs"
METADATA = json.loads((CONFIGS / "metadata.json").read_text(encoding="utf-8"))
NARROW = json.loads((CONFIGS / "smoke.json").read_text(encoding="utf-8"))
MR = {"image_channels": 4, "label_count": 3, "class_count": 4, "channel_names": ["FLAIR", "T1", "T1Gd", "T2"]}
CT = {"image_channels": 1, "label_count": 5}
SHAPE = "network_def#feature_shape"


def data_options(name: str, *, feature_shape: list[int]) -> dict[str, Any]:
    """What the config of a network would read from the phantom."""
    if name == "feature_acgan_classifier":
        return {SHAPE: feature_shape, "network_def#class_count": 2}
    known: dict[str, Any] = {**(CT if name.startswith("lcgan") else MR), "feature_shape": feature_shape}
    if name.startswith("feature_acgan"):
        known["class_count"] = 2
    floor = {"generator_def#floor": None} if name == "feature_acgan_generator" else {}  # else read from the features
    return {**only_known(name, known), **floor}


def only_known(name: str, options: dict[str, Any]) -> dict[str, Any]:
    config = json.loads((CONFIGS / f"{NETWORKS[name].config}.json").read_text(encoding="utf-8"))
    return {key: value for key, value in options.items() if key in config and key != "device"}


def build_tiny(name: str) -> tuple[torch.nn.Module, dict[str, Any]]:
    torch.manual_seed(0)
    options = {**only_known(name, NARROW), **data_options(name, feature_shape=[8, 4, 4])}
    return build_network(name, **options)


def another_batch(value: Any) -> Any:
    """Three items instead of two, made of these."""
    return [another_batch(v) for v in value] if isinstance(value, list) else torch.cat([value, value[:1]]).flip(0)


def check_another_batch(name: str, network: torch.nn.Module, example: dict[str, Any], given: Any) -> None:
    if NETWORKS[name].fixed_batch:
        return
    inputs = [another_batch(value) for value in example.values()]
    with torch.no_grad():
        expected = flatten(prepare_network(name, network)(*inputs))
    assert compare(expected, flatten(given(inputs))) < 1e-4


@pytest.mark.parametrize("name", NETWORKS)
def test_torchscript_gives_what_the_network_gives(name: str, tmp_path: Path) -> None:
    network, example = build_tiny(name)
    file, difference = write_export(name, network, example, tmp_path, "torchscript")
    assert difference < 1e-5
    script, described, _ = load_net_with_metadata(str(file))
    assert described["outputs"] == NETWORKS[name].outputs
    check_another_batch(name, network, example, lambda inputs: script(*inputs))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_onnx_gives_what_the_network_gives(name: str, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    network, example = build_tiny(name)
    file, difference = write_export(name, network, example, tmp_path, "onnx")
    assert difference < 1e-4
    assert [path.name for path in tmp_path.iterdir()] == [f"{name}.onnx"]
    check_another_batch(name, network, example, lambda inputs: run_onnx(file, inputs))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_metadata_say_what_goes_in_and_out(name: str) -> None:
    shaping = {"image_size_pixels", "latent_dim", *(["generator_width"] if name.startswith("lcgan") else [])}
    narrow = {key: value for key, value in only_known(name, NARROW).items() if key not in shaping}
    network, example = build_network(name, **narrow, **data_options(name, feature_shape=[1024, 4, 4]))
    with torch.no_grad():
        outputs = flatten(prepare_network(name, network)(*example.values()))
    block = METADATA[f"{name}_data_format"]
    described = dict(zip(flat_names(example), flatten(example.values()), strict=True))
    assert list(block["inputs"]) == list(described)
    assert list(block["outputs"]) == list(NETWORKS[name].outputs)
    for key, tensor in [*described.items(), *zip(NETWORKS[name].outputs, outputs, strict=True)]:
        said = {**block["inputs"], **block["outputs"]}[key]
        shape = [] if said["type"] == "series" else [said["num_channels"], *said["spatial_shape"]]
        assert list(tensor.shape) == [2, *shape], key
        assert str(tensor.dtype) == f"torch.{said['dtype']}", key


def test_every_network_of_the_metadata_can_be_exported() -> None:
    described = {key.removesuffix("_data_format") for key in METADATA if key.endswith("_data_format")}
    assert described == {*NETWORKS, "network"}


def test_every_network_of_the_configs_can_be_exported() -> None:
    exported = {read_definition(export.config, export.net_id)["_target_"] for export in NETWORKS.values()}
    exported.add("scripts.networks.resnet_unet.ResNetUNet")  # by monai.bundle ckpt_export
    for file in CONFIGS.glob("*_train.json"):
        for key, node in json.loads(file.read_text(encoding="utf-8")).items():
            if key.endswith("_def") and isinstance(node, dict) and node["_target_"].startswith("scripts."):
                assert node["_target_"] in exported, f"{file.name}: {key}"


def read_definition(config: str, net_id: str) -> dict[str, Any]:
    definition: dict[str, Any] = json.loads((CONFIGS / f"{config}.json").read_text(encoding="utf-8"))[net_id]
    return definition


def test_the_command_writes_both_formats_from_a_checkpoint(tmp_path: Path) -> None:
    network, _ = build_tiny("lcgan_discriminator")
    options = {**only_known("lcgan_discriminator", NARROW), **CT}
    torch.save({"discriminator": network.state_dict(), "epoch": 1}, tmp_path / "checkpoint.pt")
    arguments = {"weights": str(tmp_path / "checkpoint.pt"), "output_dir": str(tmp_path / "out"), **options}
    export_network("lcgan_discriminator", formats="torchscript", **arguments)
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["lcgan_discriminator.ts"]


def test_weights_of_other_options_are_refused(tmp_path: Path) -> None:
    network, _ = build_tiny("lcgan_segmenter")
    torch.save(network.state_dict(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt is of another configuration: 'fc6\.bias'"):
        export_network("lcgan_segmenter", weights=str(tmp_path / "model.pt"), fcn_width=2, fcn_fc_width=9, **CT)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "redgan"}, "No network 'redgan', expected one of redgan_generator"),
        ({"name": "lcgan_segmenter", "widht": 3}, "no option --widht"),
        ({"name": "lcgan_segmenter", "formats": "onxx"}, "formats is 'onxx', expected torchscript or onnx"),
    ],
)
def test_wrong_words_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        export_network(**arguments)


def test_an_export_that_differs_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, example = build_tiny("feature_acgan_classifier")
    monkeypatch.setattr(networks, "TOLERANCE", -1)
    with pytest.raises(ValueError, match="gives other outputs than the network"):
        write_export("feature_acgan_classifier", network, example, tmp_path, "torchscript")
    assert list(tmp_path.iterdir()) == []


def test_differences_are_shares_of_the_largest_output() -> None:
    large = torch.tensor([100.0, -200.0])
    assert compare([large], [large + torch.tensor([0.0, 2.0])]) == pytest.approx(0.01)
    assert compare([large], [large[:1]]) == float("inf")
