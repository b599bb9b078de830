"""Intensities: the one conversion from files to [-1, 1], and what some systems make of that range."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform


class ToSignedRanged(MapTransform):
    """Maps each channel of an image linearly to [-1, 1] and clips.

    Synthetic items (`synthetic` in the item) were written in [-1, 1] by their generator and stay as they are.
    A constant channel becomes -1 everywhere.

    Args:
        keys: images of shape (C, X, Y[, Z]).
        intensity_range: (low, high) in the file's unit that become -1 and 1, for images with a fixed meaning (RGB:
            0..255, CT: a Hounsfield window). None: the channel's own minimum and maximum (Red-GAN: per volume and
            modality).
    """

    def __init__(self, keys: KeysCollection, intensity_range: Sequence[float] | None = None) -> None:
        super().__init__(keys)
        if intensity_range is not None and not intensity_range[0] < intensity_range[1]:
            raise ValueError(f"intensity_range is {list(intensity_range)}, expected [low, high] with low < high.")
        self.intensity_range = None if intensity_range is None else [float(v) for v in intensity_range]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        converted: dict[Hashable, Any] = dict(data)
        for key in self.key_iterator(converted):
            if converted.get("synthetic"):
                converted[key] = converted[key].clamp(-1, 1)
            else:
                low, high = self._limits(converted[key])
                span = (high - low).clamp_min(torch.finfo(torch.float32).tiny)
                scaled = (converted[key] - low) / span * 2 - 1
                converted[key] = torch.where(high > low, scaled, torch.full_like(scaled, -1.0)).clamp(-1, 1)
        return converted

    def _limits(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (-1,) + (1,) * (image.ndim - 1)
        plain = torch.as_tensor(image.as_tensor() if hasattr(image, "as_tensor") else image)
        if self.intensity_range is not None:
            low, high = (torch.full((plain.shape[0],), value) for value in self.intensity_range)
        else:
            low, high = plain.flatten(1).aminmax(dim=1)
        return low.reshape(shape), high.reshape(shape)


class StandardiseSlicesd(MapTransform):
    """Gives each channel of each slice mean 0 and standard deviation 1 (z-score); a constant slice becomes 0.

    Larsson et al. 2022 (PGGAN ensemble), section 3.2: "the input image channels are normalized using Z-score
    normalization". Their images are slices. A volume is treated slice by slice along Z, so that a network trained on
    slices sees the same in whole volumes, where MONAI's `NormalizeIntensityd` takes the volume's statistics.

    Args:
        keys: images (C, X, Y[, Z]).
    """

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        return {**data, **{key: self._standardise(data[key]) for key in self.key_iterator(data)}}

    def _standardise(self, image: torch.Tensor) -> torch.Tensor:
        centred = image - image.mean(dim=(1, 2), keepdim=True)
        deviation = centred.square().mean(dim=(1, 2), keepdim=True).sqrt()  # (C, 1, 1[, Z])
        # below the rounding of a mean over a constant slice there is nothing to enlarge
        return torch.where(deviation > 1e-6, centred / deviation, torch.zeros_like(centred))
