"""Label maps as image channels, for generators that make image and annotation together (Larsson et al. 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform

CODINGS = ("ordinal", "one_hot")
BACKGROUND_LEVEL = 0
PUBLISHED_LEVELS = (51, 102, 204)  # of BraTS' necrosis, oedema and enhancing tumour (section 3)


class AnnotationChannels:
    """Turns label maps into channels in [-1, 1] and such channels back into label maps.

    - "ordinal" (as published, section 2): one channel, a grey level per label; read back as the label of the nearest
      level. What lies between the levels of two labels is read as a third one, so a soft edge gets a false rim.
    - "one_hot": a channel per label and one for the background, 1 where it is and -1 elsewhere; read back as the
      channel with the highest value. Edges get no third label.

    Args:
        label_count: foreground labels K; label maps hold 0..K.
        coding: "ordinal" or "one_hot".
        levels: grey levels of labels 1..K on the scale 0..255, ascending; by default the paper's 51, 102, 204 for three
            labels, else 204 k / K, so that the highest label has the published one. For "ordinal" only.

    Raises:
        ValueError: unknown coding; levels that are not K different ones above the background's 0.
    """

    def __init__(self, label_count: int, *, coding: str = "ordinal", levels: Sequence[float] | None = None) -> None:
        if coding not in CODINGS:
            raise ValueError(f"coding is {coding!r}, expected one of {', '.join(CODINGS)}.")
        if levels is None and label_count == len(PUBLISHED_LEVELS):
            levels = PUBLISHED_LEVELS
        even = [PUBLISHED_LEVELS[-1] * k / label_count for k in range(1, label_count + 1)]
        chosen = even if levels is None else list(levels)
        rounded = [BACKGROUND_LEVEL, *(round(level) for level in chosen)]
        ascending = all(low < high for low, high in pairwise(rounded))
        if len(chosen) != label_count or not ascending or max(rounded) > 255:
            raise ValueError(
                f"annotation_levels are {chosen} for {label_count} labels: expected as many whole grey levels, "
                "ascending from above 0 to at most 255, so that no two labels share one. Give others, or use the "
                "one_hot coding."
            )
        self.label_count = label_count
        self.coding = coding
        self.levels = torch.tensor([BACKGROUND_LEVEL, *chosen]) / 255 * 2 - 1  # (K + 1,)

    @property
    def channel_count(self) -> int:
        """Channels that the annotation takes."""
        return 1 if self.coding == "ordinal" else self.label_count + 1

    def encode(self, label: torch.Tensor) -> torch.Tensor:
        """Label map (B, 1, X, Y) of 0..K to channels (B, A, X, Y) in [-1, 1], float32."""
        if self.coding == "ordinal":
            return self.levels.to(label.device)[label.long()]
        values = torch.arange(self.label_count + 1, device=label.device).view(1, -1, 1, 1)
        return (label == values).float() * 2 - 1

    def decode(self, channels: torch.Tensor) -> torch.Tensor:
        """Channels (B, A, X, Y) to a label map (B, 1, X, Y) of 0..K, int64; of equally near levels the lower counts."""
        if self.coding == "ordinal":
            levels = self.levels.to(channels.device, channels.dtype).view(1, -1, 1, 1)
            return (channels - levels).abs().argmin(dim=1, keepdim=True)
        return channels.argmax(dim=1, keepdim=True)


class SplitAnnotationd(MapTransform):
    """Parts what a generator made, (C + A, X, Y), into the image (C, X, Y) and `label`, a map (1, X, Y) of 0..K.

    Args:
        keys: of the generated channels, replaced by the image.
        annotation: reads the annotation channels.
        image_channels: C.
    """

    def __init__(self, keys: KeysCollection, annotation: AnnotationChannels, image_channels: int) -> None:
        super().__init__(keys)
        self.annotation = annotation
        self.image_channels = image_channels

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        parted = dict(data)
        for key in self.key_iterator(parted):
            made = parted[key]
            parted["label"] = self.annotation.decode(made[None, self.image_channels :])[0]
            parted[key] = made[: self.image_channels]
        return parted
