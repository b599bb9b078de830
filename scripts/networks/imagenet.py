"""VGG-16 weights trained on ImageNet, for the FCN-8s."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.networks.checkpoints import CheckpointError, load_checkpoint
from scripts.networks.fcn import FCN8s
from scripts.networks.pretrained import adapt_channels

IMAGENET_WIDTH = 64
IMAGENET_FC_WIDTH = 4096
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def load_imagenet(network: FCN8s, file: str | Path | None) -> FCN8s:
    """The network with its trunk, fc6 and fc7 from torchvision's ``vgg16`` or ``vgg16_bn``; for configs.

    ImageNet's images were normalised per colour, ours lie in [-1, 1]: the first convolution takes the difference, so
    that it answers an image v as the published one answers ``((v + 1) / 2 - mean) / std``. That is exact where the
    kernel lies inside the image: at the border its zero padding stands for mid-grey, not for the mean colour. For a
    number of channels other than three, the weights are summed over the colours and shared out equally, so the network
    sees the mean of the channels as a grey picture. Kernels are transposed, since our arrays are (C, X, Y), x first.

    Args:
        network: FCN-8s of width 64 and fc_width 4096; ``vgg16_bn`` where it has batch norm, else ``vgg16``.
        file: the state dict as torchvision publishes it; None changes nothing.

    Raises:
        CheckpointError: a network of another width, no such file, or a file with other names or shapes.
    """
    if file is None:
        return network
    if (network.width, network.fc_width) != (IMAGENET_WIDTH, IMAGENET_FC_WIDTH):
        raise CheckpointError(
            f"The network has width {network.width} and fc_width {network.fc_width}: ImageNet weights fit only width "
            f"{IMAGENET_WIDTH} and fc_width {IMAGENET_FC_WIDTH}. Choose those, or pass no file."
        )
    if not Path(file).is_file():
        raise CheckpointError(
            f"No file {file}: expected torchvision's weights of {_published_name(network)}. "
            "Correct the path, or pass no file."
        )
    stored = load_checkpoint(file)
    targets = _targets(network)
    _check(stored, targets, network=network, file=file)
    weights = {name: stored[name].float() for name in targets}
    kernel = weights["features.0.weight"]  # (width, 3, 3, 3)
    mean, std = (kernel.new_tensor(values) for values in (IMAGENET_MEAN, IMAGENET_STD))
    weights["features.0.bias"] = weights["features.0.bias"] + answer_to_grey(kernel, mean=mean, std=std)
    kernel = adapt_channels(scale_input(kernel, std=std), targets["features.0.weight"].shape[1])
    weights["features.0.weight"] = kernel
    with torch.no_grad():
        for name, target in targets.items():
            value = weights[name]
            if target.ndim == 4:
                value = value.reshape(target.shape).transpose(-1, -2)  # fc6: (fc_width, channels * 49) before
            target.copy_(value)
    return network


def _targets(network: FCN8s) -> dict[str, torch.Tensor]:
    """Torchvision's name -> the network's tensor that takes it."""
    flat = [layer for stage in network.trunk.stages for layer in stage]  # type: ignore[attr-defined]
    layers = {f"features.{index}": layer for index, layer in enumerate(flat)}
    layers |= {"classifier.0": network.fc6, "classifier.3": network.fc7}
    targets: dict[str, torch.Tensor] = {}
    for name, layer in layers.items():
        if isinstance(layer, nn.Conv2d | nn.BatchNorm2d):
            tensors = {k: v for k, v in layer.state_dict(keep_vars=True).items() if k != "num_batches_tracked"}
            targets.update({f"{name}.{k}": v for k, v in tensors.items()})
    return targets


def _check(weights: Any, targets: Mapping[str, torch.Tensor], *, network: FCN8s, file: str | Path) -> None:
    advice = (
        f"Name the weights that torchvision publishes for {_published_name(network)}, "
        f"or build the network with batch_norm={not network.batch_norm} if these are the other ones."
    )
    if not isinstance(weights, Mapping):
        raise CheckpointError(f"{file} holds a {type(weights).__name__}, expected weights by name. {advice}")
    for name, target in targets.items():
        wanted = tuple(target.shape)
        if name == "features.0.weight":
            wanted = (wanted[0], 3, *wanted[2:])
        elif name.startswith("classifier") and target.ndim == 4:
            wanted = tuple(target.flatten(1).shape)
        stored = tuple(weights[name].shape) if isinstance(weights.get(name), torch.Tensor) else "absent"
        if stored != wanted:
            raise CheckpointError(f"{file}: '{name}' is {stored}, expected {wanted}. {advice}")


def scale_input(weight: torch.Tensor, *, std: torch.Tensor) -> torch.Tensor:
    """A first kernel (width, C, k, k) for images in [0, 1] divided by `std` (C,), as those in [-1, 1] need it."""
    return weight / (2 * std[:, None, None])


def answer_to_grey(weight: torch.Tensor, *, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """What a first kernel (width, C, k, k) for images normalised by mean and std (C,) answers mid-grey: (width,)."""
    return (weight.sum(dim=(2, 3)) * ((0.5 - mean) / std)).sum(dim=1)


def _published_name(network: FCN8s) -> str:
    return "vgg16_bn" if network.batch_norm else "vgg16"
