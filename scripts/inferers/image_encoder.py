"""Generated images as a U-Net's features, so that they serve the classifier that generated features serve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from scripts.data.contract import DatasetError, Item
from scripts.data.feature_format import hash_file
from scripts.data.feature_source import FeatureSource
from scripts.inferers.features import FeatureInferer
from scripts.networks.feature_unet import IMAGE, FeatureUNet, level_minimum
from scripts.networks.weights import Weights
from scripts.pictures.grids import image_pictures, write_grid

SHOWN = 8  # images of a class


class ImageEncoder:
    """Images that an AC-GAN made, through the U-Net whose features the classifier takes.

    That is the baseline that Mehra, Soliman and Sahoo name as future work (section 5), in the same protocol.

    Args:
        network: the U-Net, with its weights.
        weights: these.
        source: of the generator; its features are images, extracted with `--level image`.
        inferer: takes the features.

    Attributes:
        description: of the features; `trained_on` lists the generator's and the U-Net's patients.

    Raises:
        DatasetError: the generator does not make images, or makes pooled ones, or the file is unreadable.
        ValueError: an unknown level.
    """

    def __init__(self, network: FeatureUNet, weights: Weights, source: FeatureSource, inferer: FeatureInferer) -> None:
        made = source.description
        if made.level != IMAGE:
            raise DatasetError(
                f"The generator makes features of level {made.level!r}, expected {IMAGE!r} where model_file is given. "
                "Leave model_file out, or train a generator on what --level image extracts."
            )
        size = (made.image_size, made.image_size)
        if made.feature_shape[1:] != size:
            raise DatasetError(
                f"The generator makes images of {made.feature_shape[1:]} pixels, expected {size}, as the U-Net sees. "
                "Extract them with --level image and without pooled_size, and train a generator on those."
            )
        self.network = network.eval()
        self.inferer = inferer
        self.shown: dict[str, list[np.ndarray]] = {name: [] for name in made.classes}
        self.modality = made.image_channels
        self.description = replace(
            made,
            level=inferer.level,
            feature_shape=inferer.feature_shape(network, made.image_size),
            network_sha256=hash_file(weights.file),
            network_file=weights.file.name,
            trained_on=sorted({*made.trained_on, *weights.trained_on}),
            precision=str(inferer.precision).removeprefix("torch."),
            minimum=level_minimum(inferer.level),
        )

    @torch.no_grad()
    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, C, S, S), cut to [-1, 1], to features (B, C', S', S')."""
        return self.inferer(images.clamp(-1, 1), self.network)

    def show(self, images: torch.Tensor, items: Sequence[Item]) -> None:
        """Keeps the first images (B, C, S, S) of each class for the picture."""
        for image, item in zip(images.clamp(-1, 1), items, strict=True):
            if len(self.shown[item["class"]]) < SHOWN:
                self.shown[item["class"]].append(image.cpu().numpy())

    def write_picture(self, file: str | Path) -> None:
        """Writes the first images of each class as a PNG, a row for each class and channel."""
        shown = {name: images for name, images in self.shown.items() if images}
        if not shown:
            return
        count = min(map(len, shown.values()))
        pictures = {name: [image_pictures(image, self.modality) for image in images] for name, images in shown.items()}
        rows = [(name, row) for name, images in pictures.items() for row in range(len(images[0]))]
        titles = [name if len(self.modality) == 1 else f"{name} {self.modality[row]}" for name, row in rows]
        columns = [[pictures[name][n][row] for name, row in rows] for n in range(count)]
        write_grid(columns, file, row_titles=titles)


def load_encoder(
    weights: Weights | None, source: FeatureSource, inferer: FeatureInferer, *, device: torch.device
) -> ImageEncoder | None:
    """The encoder with a U-Net of these weights, None without; for configs. Errors are those of `ImageEncoder`."""
    if weights is None:
        return None
    network = weights.load(device)
    assert isinstance(network, FeatureUNet)
    return ImageEncoder(network, weights, source, inferer)
