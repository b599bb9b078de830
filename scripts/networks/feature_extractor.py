"""What images are compared by: a trained network's own features, or those of a user's TorchScript network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from scripts.data.feature_format import hash_file
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.wrapping import freeze


class FeatureExtractor:
    """Frozen features of images, with a name that says where figures come from.

    Attributes:
        name: of the network, with the file's hash where it is a user's.
        image_key: of the elements' images that it sees.
        given: whether it is a user's, whose figures are compared as they are; a segmenter's features differ in scale.
    """

    def __init__(self, encode: Any, name: str, image_key: str = "image", *, given: bool = False) -> None:
        self._encode, self.name, self.image_key, self.given = encode, name, image_key, given

    @torch.no_grad()
    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, C, S, S) to features (B, F) float32."""
        return self._encode(images).float()


def open_extractor(
    file: str | Path | None,
    network: nn.Module | None,
    *,
    device: torch.device,
    image_channels: int,
    image_size: int,
    image_key: str = "image",
) -> FeatureExtractor | None:
    """The extractor of a file, else of a network of this project, else None.

    Args:
        file: a TorchScript network (`torch.jit.save`), from images (B, C, S, S) float32 in [-1, 1], with the data's
            channels at the size that is trained at, to features (B, F). What else it needs (three channels, another
            size, its own mean) belongs into it.
        network: whose `encode` gives features, in evaluation mode from here on.
        device: that the images are on.
        image_channels, image_size: C, S.
        image_key: of the elements' images in [-1, 1], where the network sees others.

    Raises:
        CheckpointError: a file that is no TorchScript, or that does not take such images or give such features.
    """
    if file is None:
        return None if network is None else FeatureExtractor(freeze(network).encode, f"{type(network).__name__}.encode")
    expected = f"expected a TorchScript network from (B, {image_channels}, {image_size}, {image_size}) to (B, F)"
    try:
        scripted = torch.jit.load(str(file), map_location=device).eval()
        shape = tuple(scripted(torch.zeros(2, image_channels, image_size, image_size, device=device)).shape)
    except (ValueError, RuntimeError, AttributeError) as error:
        said = str(error).strip().splitlines()[-1]
        raise CheckpointError(f"Cannot use {file} as --feature_extractor: {said}; {expected}.") from error
    if len(shape) != 2 or shape[0] != 2:
        raise CheckpointError(f"{file} gives {shape} for 2 images; {expected}. Pool or flatten in it.")
    return FeatureExtractor(
        scripted, f"{Path(file).name} (SHA-256 {hash_file(Path(file))[:12]})", image_key, given=True
    )
