"""The Model Zoo's own checks of the segmenter: metadata, input and output, TorchScript, ONNX."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
import torch
from monai.bundle import ckpt_export, onnx_export, verify_metadata, verify_net_in_out

from scripts.data.contract import Dataset
from scripts.networks.resnet_unet import ResNetUNet
from tests.known_weights import write_known

ROOT = Path(__file__).parents[2]
METADATA = ROOT / "configs" / "metadata.json"
INFERENCE = ROOT / "configs" / "inference.json"


@pytest.fixture
def metadata() -> dict:
    return json.loads(METADATA.read_text(encoding="utf-8"))


@pytest.fixture
def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return ResNetUNet(4, 3).eval()


@pytest.fixture
def weights(network: torch.nn.Module, metadata: dict, tmp_path: Path) -> Path:
    """`models/model.pt` of the folder that is given as the bundle's."""
    block = metadata["network_data_format"]
    channels = list(block["inputs"]["image"]["channel_def"].values())
    images = Dataset(tmp_path, "phantom", channels, list(block["outputs"]["pred"]["channel_def"].values()))
    write_known(tmp_path / "models" / "model.pt", network=network, images=images, settings={"image_size_pixels": 64})
    return tmp_path / "models" / "model.pt"


def test_metadata_follows_the_schema(metadata: dict) -> None:
    pytest.importorskip("jsonschema")
    name = metadata["schema"].rsplit("/", 1)[-1]
    schema = Path(os.environ.get("MONAI_META_SCHEMA") or ROOT.parent / "shared" / "monai" / name)
    if not schema.is_file():
        pytest.skip(f"no metadata schema: {schema} does not exist; set MONAI_META_SCHEMA to the file {name}")
    verify_metadata(meta_file=str(METADATA), filepath=str(schema))


def test_metadata_names_the_versions_that_are_pinned_and_released(metadata: dict) -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {name.lower(): version for name, version in (line.split("==") for line in lines if "==" in line)}
    named = {
        "monai": metadata["monai_version"],
        "torch": metadata["pytorch_version"],
        "numpy": metadata["numpy_version"],
        **metadata["required_packages_version"],
    }
    assert named == {name: pins[name].split("+")[0] for name in named}
    released = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert released
    assert metadata["version"] == released[1] == list(metadata["changelog"])[-1]


def test_metadata_is_also_at_the_top() -> None:
    assert (ROOT / "metadata.json").resolve() == METADATA


def test_network_takes_and_gives_what_the_metadata_say(weights: Path) -> None:
    verify_net_in_out(
        "network_def",
        meta_file=str(METADATA),
        config_file=str(INFERENCE),
        device="cpu",
        bundle_root=str(weights.parents[1]),
    )


def test_channels_of_the_other_networks_add_up(metadata: dict) -> None:
    generator, discriminator = (metadata[f"redgan_{n}_data_format"]["inputs"] for n in ("generator", "discriminator"))
    image, pred = (metadata["network_data_format"][k][n] for k, n in (("inputs", "image"), ("outputs", "pred")))
    judged = generator["mask"]["num_channels"] + image["num_channels"] + pred["num_channels"]
    assert discriminator["x"]["num_channels"] == judged == len(discriminator["x"]["channel_def"])
    assert generator["mask"]["num_channels"] == len(pred["channel_def"]) + 1  # and the brain's outline
    assert metadata["redgan_generator_data_format"]["outputs"]["image"] == image


def test_torchscript_gives_what_the_network_gives(network: torch.nn.Module, weights: Path, tmp_path: Path) -> None:
    ckpt_export(
        "network_def",
        filepath=str(tmp_path / "model.ts"),
        ckpt_file=str(weights),
        meta_file=str(METADATA),
        config_file=str(INFERENCE),
        bundle_root=str(weights.parents[1]),
    )
    image = torch.rand(2, 4, 64, 64) * 2 - 1
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts").eval()(image), network(image))


@pytest.mark.slow
def test_onnx_gives_what_the_network_gives(network: torch.nn.Module, weights: Path, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    runtime = pytest.importorskip("onnxruntime")
    onnx_export(
        "network_def",
        filepath=str(tmp_path / "model.onnx"),
        ckpt_file=str(weights),
        meta_file=str(METADATA),
        config_file=str(INFERENCE),
        bundle_root=str(weights.parents[1]),
    )
    image = torch.rand(1, 4, 64, 64) * 2 - 1
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    (given,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        expected = network(image)
    rounding = 1e-5 * expected.abs().max().item()  # untrained logits reach hundreds
    torch.testing.assert_close(torch.from_numpy(given), expected, atol=rounding, rtol=0)
