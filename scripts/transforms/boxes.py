"""Boxes that follow their image into a square and back.

Boxes are (N, 4): x0, y0, x1, y1 in pixels, half-open. Arrays are (C, X, Y), so a box of whole numbers holds the pixels
``array[:, x0:x1, y0:y1]``. For flips take `monai.apps.detection.transforms.RandFlipBoxd`, which keeps both conventions.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.transforms import InvertibleTransform
from torch.nn import functional


@dataclass(frozen=True)
class Letterbox:
    """How an image of `width` x `height` pixels (X, Y) lies in a square: resized with its aspect kept, in the middle.

    The longer side fills the square, the shorter one is rounded to whole pixels. Boxes are scaled by the sides as
    rounded, so they stay on what they enclose.
    """

    width: int
    height: int
    image_size: int

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.image_size) < 1:
            raise ValueError(f"{self} has a side under 1 pixel, expected 1 or more.")

    @property
    def resized(self) -> tuple[int, int]:
        """Sides of the resized image in pixels."""
        scale = self.image_size / max(self.width, self.height)
        return max(1, round(self.width * scale)), max(1, round(self.height * scale))

    @property
    def before(self) -> tuple[int, int]:
        """Pixels of padding before the resized image along X and Y; after it lie as many or one more."""
        width, height = self.resized
        return (self.image_size - width) // 2, (self.image_size - height) // 2

    def place_boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """Boxes (N, 4) of the image to those of the square, computed in fp64, in their own precision."""
        scale, shift = self._scale_and_shift(boxes.device)
        return (boxes.double() * scale + shift).to(boxes.dtype)

    def restore_boxes(self, boxes: torch.Tensor) -> torch.Tensor:
        """Boxes (N, 4) of the square to those of the image; the inverse of `place_boxes`."""
        scale, shift = self._scale_and_shift(boxes.device)
        return ((boxes.double() - shift) / scale).to(boxes.dtype)

    def place_image(self, image: torch.Tensor, background: float) -> torch.Tensor:
        """Image (C, X, Y) to (C, S, S): averaged over area where it shrinks, bilinear where it grows, then padded."""
        (x, y), (width, height) = self.before, self.resized
        resized = _resize(image, (width, height))
        pad = [y, self.image_size - height - y, x, self.image_size - width - x]
        return functional.pad(resized, pad, value=background)

    def restore_image(self, image: torch.Tensor) -> torch.Tensor:
        """Image (C, S, S) to (C, X, Y): without the padding, resized back."""
        (x, y), (width, height) = self.before, self.resized
        return _resize(image[:, x : x + width, y : y + height], (self.width, self.height))

    def _scale_and_shift(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        (x, y), (width, height) = self.before, self.resized
        scale = [width / self.width, height / self.height]
        options: dict[str, Any] = {"dtype": torch.float64, "device": device}
        return torch.tensor([*scale, *scale], **options), torch.tensor([x, y, x, y], **options)


class Letterboxd(InvertibleTransform):
    """Puts the image and its boxes into a square of `image_size` pixels, see `Letterbox`.

    Adds `letterbox`, int64 (3,): the image's sides along X and Y and the square's, from which
    ``Letterbox(*letterbox.tolist())`` brings found boxes back to the image. The inverse restores the image's size, the
    boxes where there are any, and takes that key away.

    Args:
        image_size: side of the square in pixels, for YOLOv3 a multiple of 32.
        background: the value around the image; -1 after `ToSignedRanged`.
        image_key: of an image (C, X, Y).
        box_key: of boxes, a tensor, array or list (N, 4); N may be 0, and the key may be missing.
    """

    def __init__(
        self, image_size: int, *, background: float = -1.0, image_key: str = "image", box_key: str = "boxes"
    ) -> None:
        super().__init__()
        if image_size < 1:
            raise ValueError(f"image_size is {image_size}, expected a positive number of pixels.")
        self.image_size = int(image_size)
        self.background = background
        self.image_key = image_key
        self.box_key = box_key

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        placed = dict(data)
        image = torch.as_tensor(placed[self.image_key])
        if image.ndim != 3:
            raise ValueError(f"'{self.image_key}' has shape {tuple(image.shape)}, expected a slice (C, X, Y).")
        letterbox = Letterbox(image.shape[1], image.shape[2], self.image_size)
        placed[self.image_key] = letterbox.place_image(image, self.background)
        if self.box_key in placed:
            placed[self.box_key] = letterbox.place_boxes(to_boxes(placed[self.box_key]))
        placed["letterbox"] = torch.tensor([letterbox.width, letterbox.height, self.image_size])
        return placed

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        restored = dict(data)
        letterbox = Letterbox(*restored.pop("letterbox").tolist())
        restored[self.image_key] = letterbox.restore_image(restored[self.image_key])
        if self.box_key in restored:
            restored[self.box_key] = letterbox.restore_boxes(restored[self.box_key])
        return restored


def to_boxes(boxes: Any) -> torch.Tensor:
    """Boxes as a tensor (N, 4), fp32 unless they are fp64; ``[]`` or None becomes (0, 4).

    Raises:
        ValueError: another shape.
    """
    found = torch.as_tensor([] if boxes is None else boxes)
    if found.dtype != torch.float64:
        found = found.float()
    if found.numel() == 0:
        return found.reshape(0, 4)
    if found.ndim != 2 or found.shape[1] != 4:
        raise ValueError(f"The boxes have shape {tuple(found.shape)}, expected (N, 4): x0, y0, x1, y1.")
    return found


def clip_boxes(boxes: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The parts of boxes inside an image of `size` (X, Y) pixels, without boxes that have none.

    MONAI's `ClipBoxToImaged` also drops boxes thinner than a pixel, or keeps empty ones.

    Args:
        boxes: (N, 4).
        size: sides of the image in pixels.

    Returns:
        boxes (M, 4), M <= N, and which of the N were kept, (N,) bool, to select their labels.
    """
    clipped = boxes.clamp(min=0).minimum(boxes.new_tensor([*size, *size]))
    kept = (clipped[:, :2] < clipped[:, 2:]).all(dim=1)
    return clipped[kept], kept


def _resize(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Image (C, X, Y) to (C, *size); along each axis by area where it shrinks and linearly where it grows."""
    for axis, side in enumerate(size):
        if side == image.shape[1 + axis]:
            continue
        target = [side if other == axis else image.shape[1 + other] for other in range(2)]
        mode = "area" if side < image.shape[1 + axis] else "bilinear"
        image = functional.interpolate(image[None].float(), target, mode=mode)[0]
    return image
