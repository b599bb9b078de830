"""Every network of the bundle by its name, exported with its weights to TorchScript and ONNX."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from monai.data import save_net_with_metadata
from monai.networks.utils import convert_to_onnx, convert_to_torchscript
from monai.utils import optional_import
from torch import nn
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from scripts.config_options import override, read_config
from scripts.data.atomic import replacing
from scripts.data.claims import claimed
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights
from scripts.networks.weights import open_weights

CONFIGS = Path(__file__).parents[2] / "configs"
FORMATS = ("torchscript", "onnx")
BATCH = 2  # of the example; one would be taken for a constant
TOLERANCE = 1e-4  # largest difference between formats, as a share of the largest output


class FullResolution(nn.Module):
    """A progressive network at its full size, all levels faded in: tensors are its only inputs."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, condition: torch.Tensor | None = None) -> torch.Tensor:
        return self.network(x, resolution=self.network.image_size, alpha=1.0, condition=condition)


class PatchLogits(nn.Module):
    """A multi-scale discriminator's logits per scale, finest first, without the features for feature matching."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor, class_index: torch.Tensor | None = None) -> list[torch.Tensor]:
        return [scale[-1] for scale in self.network(x, class_index)]


@dataclass(frozen=True)
class Export:
    """Where a network is defined, and what goes in and comes out, in the order of its `<name>_data_format`.

    `inputs` has the shape of one item by name, with references to the config; [] is a class index, None leaves the
    input out, and a list of shapes makes as many tensors, `<name>_0`, `<name>_1` ...
    """

    config: str  # file in `configs/`, without its ending
    net_id: str  # of the network in it
    weights: str  # id of the file of weights in it, or an expression
    inputs: Mapping[str, Any]
    outputs: Sequence[str]  # names
    part: str = ""  # of a training's checkpoint, where the weights lie in one
    wrapper: type[nn.Module] | None = None  # makes tensors of what the network takes or gives otherwise
    traced: bool = False  # TorchScript is a trace of the example, for networks that cannot be scripted
    fixed_batch: bool = False  # the batch has the example's size


def _square(channels: str) -> list[str]:
    return [channels, "@image_size_pixels", "@image_size_pixels"]


_GENERATOR = ("generator_def", "@generator_file")
_DISCRIMINATOR = ("discriminator_def", "$@output_dir + '/checkpoint.pt'")
_DOWNSTREAM = ("network_def", "@model_file")
_IMAGE = {"image": _square("@network_def::in_channels")}
_LATENT = {"latent": ["@generator_def::latent_dim"]}
_JUDGED = {"image": _square("@discriminator_def::image_channels")}
# How many levels run is chosen in Python by numbers, not tensors; the export runs all of them.
_GROWN: dict[str, Any] = {"wrapper": FullResolution, "traced": True}
# The minibatch standard deviation groups the images of a batch by numbers fixed in the trace.
_GROWN_JUDGE = {**_GROWN, "part": "discriminator", "fixed_batch": True}

NETWORKS = {
    "redgan_generator": Export(
        "redgan_train",
        *_GENERATOR,
        {
            "mask": _square("@generator_def::mask_channels"),
            "class_index": "$[] if @generator_def::class_count else None",
        },
        ["image"],
        traced=True,  # its spectral norm is a parametrisation, which TorchScript cannot script
    ),
    "redgan_discriminator": Export(
        "redgan_train",
        *_DISCRIMINATOR,
        {
            "x": _square("@discriminator_def::in_channels"),
            "class_index": "$[] if @discriminator_def::class_count else None",
        },
        ["logits_scale_0", "logits_scale_1"],
        "discriminator",
        wrapper=PatchLogits,
        traced=True,  # spectral norm
    ),
    "lcgan_generator": Export(
        "lcgan_train",
        *_GENERATOR,
        {"mask": _square("@generator_def::mask_channels"), "noise": "$@generator_def.dropout_shapes"},
        ["image"],
    ),
    "lcgan_discriminator": Export(
        "lcgan_train", *_DISCRIMINATOR, {"x": _square("@discriminator_def::in_channels")}, ["logits"], "discriminator"
    ),
    "lcgan_segmenter": Export("lcgan_segmenter_train", *_DOWNSTREAM, _IMAGE, ["pred"]),
    "lcgan_classifier": Export("lcgan_classifier_train", *_DOWNSTREAM, _IMAGE, ["logit"]),
    "pggan_ensemble_generator": Export("pggan_ensemble_train", *_GENERATOR, _LATENT, ["image"], **_GROWN),
    "pggan_ensemble_discriminator": Export("pggan_ensemble_train", *_DISCRIMINATOR, _JUDGED, ["score"], **_GROWN_JUDGE),
    # MONAI's DynUNet with deep supervision cannot be scripted.
    "pggan_ensemble_segmenter": Export("pggan_ensemble_segmenter_train", *_DOWNSTREAM, _IMAGE, ["pred"], traced=True),
    "cpggan_generator": Export(
        "cpggan_train",
        *_GENERATOR,
        {**_LATENT, "condition": _square("@generator_def::condition_channels")},
        ["image"],
        **_GROWN,
    ),
    "cpggan_discriminator": Export(
        "cpggan_train",
        *_DISCRIMINATOR,
        {**_JUDGED, "condition": _square("@discriminator_def::condition_channels")},
        ["score"],
        **_GROWN_JUDGE,
    ),
    "cpggan_detector": Export(
        "cpggan_detector_train", *_DOWNSTREAM, _IMAGE, ["raw_stride_8", "raw_stride_16", "raw_stride_32"]
    ),
    "feature_acgan_unet": Export("feature_acgan_unet_train", *_DOWNSTREAM, _IMAGE, ["pred"]),
    "feature_acgan_generator": Export("feature_acgan_train", *_GENERATOR, {**_LATENT, "class_index": []}, ["features"]),
    "feature_acgan_discriminator": Export(
        "feature_acgan_train",
        "discriminator_def",
        "@discriminator_file",
        {"features": "@discriminator_def::feature_shape"},
        ["source", "classes"],
    ),
    "feature_acgan_classifier": Export(
        "feature_acgan_classifier_train", *_DOWNSTREAM, {"features": "@network_def::feature_shape"}, ["logits"]
    ),
}


def build_network(name: str, **options: Any) -> tuple[nn.Module, dict[str, Any]]:
    """A network as its training defines it, without weights, ready to export.

    `options` are top-level values of its training's config; what they leave open comes from the data set.

    Returns:
        The network in eval mode; name -> an example input of `BATCH` items, a tensor or list of tensors.

    Raises:
        ValueError: no such network, or no such option.
    """
    export = _find(name)
    parser = _read_config(export, options)
    parser["_inputs_"] = dict(export.inputs)
    network = parser.get_parsed_content(export.net_id).eval().requires_grad_(False)
    shapes = parser.get_parsed_content("_inputs_")
    class_count = max(getattr(module, "class_count", 0) for module in network.modules())
    return network, {key: _draw(shape, class_count) for key, shape in shapes.items() if shape is not None}


def export_network(
    name: str,
    *,
    weights: str | None = None,
    output_dir: str = "exports",
    formats: str | Sequence[str] = FORMATS,
    **options: Any,
) -> None:
    """Writes `<name>.ts` and `<name>.onnx`, once they give what the network gives.

    Args:
        name: one of `NETWORKS`, such as redgan_generator.
        weights: file of weights, or the checkpoint of a training; by default where training puts it.
        output_dir: folder of the exports.
        formats: torchscript, onnx, or both with a comma between.
        **options: of its training's config, for weights that nothing describes, and `--dataset_dir` for a checkpoint.

    Raises:
        ValueError: an unknown name, option or format, or an export that differs.
        CheckpointError: no weights, or of other options.
    """
    wanted = formats.split(",") if isinstance(formats, str) else list(formats)
    if not wanted or set(wanted) - set(FORMATS):
        raise ValueError(f"formats is {formats!r}, expected {' or '.join(FORMATS)}. Choose one, or both with a comma.")
    export = _find(name)
    parser = _read_config(export, options)
    parser["_weights_"] = export.weights
    file = weights or str(parser.get_parsed_content("_weights_"))
    content = load_checkpoint(file)
    network, example = build_network(name, **_describe(export, file, content, options))
    if export.part and export.part not in content:
        raise CheckpointError(f"{file} holds no {export.part!r}, expected its training's checkpoint. Name that file.")
    load_weights(network, content[export.part] if export.part else content, file)
    folder = Path(output_dir)
    with claimed(folder):
        for kind in wanted:
            written, difference = write_export(name, network, example, folder, kind)
            print(f"{written}: largest difference {difference:.1e} of the largest output")


def _describe(export: Export, file: str, content: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that make the network of a file: what its description or checkpoint says, else the given ones.

    Another network, or a given option that differs from what the file says, is a CheckpointError.
    """
    config = _read_config(export, {}).get()
    if export.part:
        stored = content.get("options", {}) if isinstance(content, Mapping) else {}
        plain = {key: value for key, value in stored.items() if not str(value).startswith(("$", "@", "%"))}
        return {**{key: value for key, value in plain.items() if key in config}, **options}
    definition = config[export.net_id]
    described = open_weights(
        file,
        network=str(definition["_target_"]),
        purpose="prediction",
        arguments={key: options.get(str(value)[1:]) for key, value in definition.items() if str(value)[:1] == "@"},
    )
    if described is None or described.knowledge is None:
        return dict(options)
    size = {key: described.settings[key] for key in ("image_size_pixels",) if key in described.settings}
    return {**options, **size, export.net_id: {"_target_": described.recipe.name, **described.arguments}}


def _read_config(export: Export, options: Mapping[str, Any]) -> ConfigParser:
    parser = read_config(CONFIGS / f"{export.config}.json")
    override(parser, options, ("weights", "output_dir", "formats"))
    return parser


def _find(name: str) -> Export:
    if name not in NETWORKS:
        raise ValueError(f"No network {name!r}, expected one of {', '.join(NETWORKS)}. Choose one.")
    return NETWORKS[name]


def _draw(shape: Any, class_count: int) -> Any:
    """An example of shape (BATCH, *shape): values in [-1, 1], class indices, or a list of tensors."""
    sizes = list(shape)
    if not sizes:
        return torch.arange(BATCH) % class_count
    if not isinstance(sizes[0], int):
        return [torch.rand(BATCH, *each) * 2 - 1 for each in sizes]
    return torch.rand(BATCH, *sizes) * 2 - 1


def write_export(
    name: str, network: nn.Module, example: Mapping[str, Any], folder: Path, kind: str
) -> tuple[Path, float]:
    """Writes one format to a hidden file, compares it on the example, and gives it its name.

    Returns the file and the largest difference as a share of the largest output; one above `TOLERANCE` is a ValueError.
    """
    file = folder / f"{name}.{'ts' if kind == 'torchscript' else 'onnx'}"
    plain = prepare_network(name, network)
    inputs = list(example.values())
    with replacing(file) as temporary, torch.no_grad():
        expected = flatten(plain(*inputs))
        if kind == "torchscript":
            _write_torchscript(name, plain, example, temporary)
            given = flatten(torch.jit.load(temporary)(*inputs))
        else:
            _write_onnx(name, plain, example, temporary)
            given = run_onnx(temporary, inputs)
        difference = compare(expected, given)
        if not difference <= TOLERANCE:
            raise ValueError(
                f"{file.name} gives other outputs than the network, by {difference:.1e} of the largest, expected at "
                f"most {TOLERANCE:.0e}. Export the other format, or report it with the versions of torch and onnx."
            )
    return file, difference


def prepare_network(name: str, network: nn.Module) -> nn.Module:
    """The network with tensors as its only inputs and outputs, its spectral norm merged into the weights."""
    for module in network.modules():
        if is_parametrized(module, "weight"):
            remove_parametrizations(module, "weight")
    wrapper = _find(name).wrapper
    return network if wrapper is None else wrapper(network).eval()


def _write_torchscript(name: str, network: nn.Module, example: Mapping[str, Any], file: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # the sizes are those of the config
        script = convert_to_torchscript(network, inputs=tuple(example.values()), use_trace=_find(name).traced)
    described = {"network": name, "inputs": list(example), "outputs": list(_find(name).outputs)}
    with open(file, "wb") as stream:
        save_net_with_metadata(script, stream, meta_values=described)


def _write_onnx(name: str, network: nn.Module, example: Mapping[str, Any], file: Path) -> None:
    if not optional_import("onnxscript")[1]:
        raise ValueError("ONNX needs the packages onnx and onnxscript, expected them installed. Install them with pip.")
    batch = {} if _find(name).fixed_batch else {0: torch.export.Dim("batch")}
    inputs = tuple(example.values())
    convert_to_onnx(
        network,
        inputs,
        input_names=list(flat_names(example)),
        output_names=list(_find(name).outputs),
        filename=str(file),
        dynamo=True,
        dynamic_shapes=tuple([batch] * len(value) if isinstance(value, list) else batch for value in inputs),
        external_data=False,
        verbose=False,
    )


def run_onnx(file: Path, inputs: Sequence[Any]) -> list[torch.Tensor]:
    """Outputs of an ONNX file on tensors, by onnxruntime on the CPU."""
    runtime, found = optional_import("onnxruntime")
    if not found:
        raise ValueError("Comparing needs the package onnxruntime, expected it installed. Install it with pip.")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]
    fed = {key: value.numpy() for key, value in zip(names, flatten(inputs), strict=True)}
    return [torch.from_numpy(np.asarray(value)) for value in session.run(None, fed)]


def flatten(values: Any) -> list[torch.Tensor]:
    """Tensors of a tensor or nested lists, in order."""
    return [values] if isinstance(values, torch.Tensor) else [t for value in values for t in flatten(value)]


def flat_names(example: Mapping[str, Any]) -> list[str]:
    """Names of the tensors in an example, `<name>_0`, `<name>_1` ... where an input is a list."""
    return [
        name
        for key, value in example.items()
        for name in ([f"{key}_{n}" for n in range(len(value))] if isinstance(value, list) else [key])
    ]


def compare(expected: Sequence[torch.Tensor], given: Sequence[torch.Tensor]) -> float:
    """Largest difference of any output, as a share of its largest magnitude; infinite for other shapes."""
    if [e.shape for e in expected] != [g.shape for g in given]:
        return float("inf")
    return max(float((e - g).abs().max() / e.abs().max().clamp(min=1e-6)) for e, g in zip(expected, given, strict=True))
