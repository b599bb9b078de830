"""The jitter with which YOLOv3 was trained: another aspect ratio, at another place."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, Randomizable
from monai.utils import convert_to_tensor
from torch.nn import functional


class RandAspectd(Randomizable, MapTransform):
    """Squeezes square slices along x or y and shifts them along that axis, with their boxes.

    As in the authors' code of YOLOv3 (Redmon and Farhadi 2018), with u, v from [-jitter, jitter], the new aspect ratio
    is (1 + u) / (1 + v): below 1 the slice gets that narrow, above 1 its inverse that low. The rest of the square, of
    which a uniform share lies before the slice, is background. Nothing is cut off.

    Images are interpolated linearly and filled with -1, where Darknet takes grey (as each fills its letterbox); the key
    "label" takes the nearest value and is filled with 0. Results are plain tensors.

    Args:
        keys: arrays (C, S, S).
        box_key: of boxes (n, 4), x0, y0, x1, y1 in pixels.
        jitter: in [0, 1); .3 as published.

    Raises:
        ValueError: a jitter out of range.
    """

    def __init__(self, keys: KeysCollection, *, box_key: Hashable, jitter: float = 0.3) -> None:
        MapTransform.__init__(self, keys)
        if not 0 <= jitter < 1:
            raise ValueError(f"aspect_jitter is {jitter}, expected a share from 0 to below 1, such as 0.3.")
        self.box_key = box_key
        self.jitter = jitter
        self.ratio, self.place = 1.0, 0.0

    def randomize(self, data: Any = None) -> None:
        """Draws the aspect ratio, and the share of the rest that lies before the slice."""
        width, height = 1 + self.R.uniform(-self.jitter, self.jitter, 2)
        self.ratio, self.place = width / height, self.R.uniform()

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        squeezed = dict(data)
        self.randomize()
        size = squeezed[next(iter(self.key_iterator(squeezed)))].shape[-1]
        axis = 0 if self.ratio < 1 else 1
        side = max(1, round(size * min(self.ratio, 1 / self.ratio)))
        before = int(self.place * (size - side + 1))
        for key in self.key_iterator(squeezed):
            squeezed[key] = _squeeze(squeezed[key], axis, side, before, is_label=key == "label")
        boxes = convert_to_tensor(squeezed[self.box_key], track_meta=False).clone()
        boxes[:, axis::2] = boxes[:, axis::2] * (side / size) + before
        squeezed[self.box_key] = boxes
        return squeezed


def _squeeze(array: torch.Tensor, axis: int, side: int, before: int, *, is_label: bool) -> torch.Tensor:
    plain: torch.Tensor = convert_to_tensor(array, track_meta=False)
    sides = list(plain.shape[1:])
    after, sides[axis] = sides[axis] - side - before, side
    mode = "nearest-exact" if is_label else "bilinear"
    resized = functional.interpolate(plain[None].float(), sides, mode=mode)[0].to(plain.dtype)
    pad = [0, 0, before, after] if axis == 0 else [before, after, 0, 0]  # the last axis first
    return functional.pad(resized, pad, value=0 if is_label else -1)
