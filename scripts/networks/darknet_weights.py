"""A detector's backbone from a file: the authors' Darknet-53 for ImageNet, or one that was trained here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from scripts.data.contract import Dataset
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights
from scripts.networks.darknet import Darknet53
from scripts.networks.imagenet import answer_to_grey, scale_input
from scripts.networks.pretrained import adapt_channels
from scripts.networks.weights import Weights, open_weights
from scripts.networks.yolo import YOLOv3

PUBLISHED_WIDTH = 1.0
PUBLISHED_CHANNELS = 3
LEAST_HEADER = 12  # bytes: major, minor and revision, int32 each; then `seen`, int32 or int64
NUMBERS = ("1.bias", "1.weight", "1.running_mean", "1.running_var", "0.weight")  # of a layer, in the file's order
OWN_SUFFIXES = (".pt", ".pth")
OWN_NETWORKS = ("scripts.networks.yolo.YOLOv3", "scripts.networks.darknet.Darknet53")
KERNEL, MEAN = "stem.0.weight", "stem.1.running_mean"


def open_backbone(
    file: str | Path | None, *, dataset: Dataset, fold: int | None = None, trust: bool = False
) -> Weights | None:
    """What a ``*.pt`` of a detector or backbone knows, see `open_weights`; None for the authors' file, or for none."""
    if file is None or Path(file).suffix not in OWN_SUFFIXES:
        return None
    return open_weights(
        file, network=OWN_NETWORKS, purpose="augmentation", dataset=dataset, fold=fold, same_names=(), trust=trust
    )


def load_backbone(network: YOLOv3, file: str | Path | None) -> YOLOv3:
    """The detector with a backbone that was trained before; the rest stays as it is. For configs.

    A first convolution for another number of image channels is adapted: its weights are summed over the file's
    channels and shared out equally, so that it sees the mean of the images' channels in place of each of the file's.

    Args:
        network: whose `backbone` takes the weights.
        file: ``*.pt`` or ``*.pth``: state dict of a `Darknet53`, or of a `YOLOv3` such as training exports; anything
            else: the authors' binary ``darknet53.conv.74`` (see `read_darknet`). None changes nothing.

    Raises:
        CheckpointError: no such file, or one that does not fit the network.
    """
    if file is None:
        return network
    if not Path(file).is_file():
        raise CheckpointError(f"No file {file}: expected pretrained weights. Correct the path, or pass no file.")
    own = Path(file).suffix in OWN_SUFFIXES
    weights = _read_own(file, network.backbone) if own else read_darknet(file, network.backbone)
    load_weights(network.backbone, weights, str(file))
    return network


def read_darknet(file: str | Path, backbone: Darknet53) -> dict[str, torch.Tensor]:
    """A state dict for the backbone from the authors' binary file of its 52 convolutions, ``darknet53.conv.74``.

    Little-endian: major, minor and revision (int32), the number of images seen (int64 from version 0.2 on, else
    int32), then float32 for each convolution in the order of the network: batch norm's bias, weight, running mean and
    running variance, and the kernel (out, in, rows, columns). Kernels are transposed, since our arrays are x first.
    The published images are RGB in [0, 1]: the first layer takes the difference, so that it answers an image v in
    [-1, 1] as the published one answers (v + 1) / 2, exactly where the kernel lies inside the image; at the border
    its zero padding stands for mid-grey, not for black.

    Deviation: the authors divide by sqrt(variance) + 1e-6 where batch norm here divides by sqrt(variance + 1e-5).

    Raises:
        CheckpointError: a backbone of another width, or a file that is longer or shorter than it needs.
    """
    if backbone.width_multiplier != PUBLISHED_WIDTH:
        raise CheckpointError(
            f"The detector has the width_multiplier {backbone.width_multiplier:g}: {file}, a file in Darknet's format, "
            f"fits only {PUBLISHED_WIDTH:g}. Pass that, or a .pt file of a detector of this width, or no file."
        )
    own = backbone.state_dict()
    layers = [name.removesuffix("0") for name, part in backbone.named_modules() if isinstance(part, nn.Conv2d)]
    shapes = {layer + number: own[layer + number].shape for layer in layers for number in NUMBERS}
    channels = shapes[KERNEL][1]
    shapes[KERNEL] = torch.Size([shapes[KERNEL][0], PUBLISHED_CHANNELS, *shapes[KERNEL][2:]])
    counts = [shape.numel() for shape in shapes.values()]
    weights = dict(own)
    for name, numbers in zip(shapes, _read_numbers(file, sum(counts)).split(counts), strict=True):
        tensor = numbers.reshape(shapes[name])
        weights[name] = tensor.transpose(-1, -2) if tensor.ndim == 4 else tensor
    mean, std = torch.zeros(PUBLISHED_CHANNELS), torch.ones(PUBLISHED_CHANNELS)  # nothing is normalised
    weights[MEAN] = weights[MEAN] - answer_to_grey(weights[KERNEL], mean=mean, std=std)
    weights[KERNEL] = adapt_channels(scale_input(weights[KERNEL], std=std), channels)
    return weights


def _read_numbers(file: str | Path, count: int) -> torch.Tensor:
    """The numbers after the header, (count,) float32."""
    content = Path(file).read_bytes()
    major, minor = np.frombuffer(content[:8].ljust(8, b"\0"), dtype="<i4").tolist()
    header = LEAST_HEADER + (8 if major * 10 + minor >= 2 else 4)
    if len(content) != header + 4 * count:
        raise CheckpointError(
            f"{file} has {len(content)} bytes, expected {header + 4 * count}: a header of {header} and {count} "
            "numbers. Name the whole file darknet53.conv.74 that the authors of YOLOv3 publish, or a .pt file."
        )
    return torch.from_numpy(np.frombuffer(content, dtype="<f4", offset=header).astype(np.float32))


def _read_own(file: str | Path, backbone: Darknet53) -> Any:
    """State dict of the backbone in a file of a backbone or detector; whatever else it holds as it is."""
    stored = load_checkpoint(file)
    if not isinstance(stored, Mapping):
        return stored
    prefix = "backbone."
    weights = {str(name).removeprefix(prefix): value for name, value in stored.items() if str(name).startswith(prefix)}
    weights = weights or dict(stored)
    kernel = weights.get(KERNEL)
    if isinstance(kernel, torch.Tensor) and kernel.ndim == 4:
        weights[KERNEL] = adapt_channels(kernel, backbone.state_dict()[KERNEL].shape[1])
    return weights
