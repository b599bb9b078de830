"""Classical augmentation of batches of slices: random numbers slice by slice, arithmetic for the whole batch at once.

Distributions are those of MONAI's random dictionary transforms of the same names, which take one slice at a time and
interpolate it once for each of them.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

BLOCK = 64  # rows of a blur that are computed together
Draws = Sequence[np.random.Generator]  # one for each slice
Move = Callable[[torch.Tensor, Draws], torch.Tensor]
Change = Callable[[torch.Tensor, Draws], torch.Tensor]


class Augmentation:
    """Moves the slices of a batch, with their label maps, and then changes their intensities.

    What becomes of a slice depends on its own generator alone. Images are interpolated linearly, once for all moves,
    label maps take the nearest value, and what comes from outside is the nearest pixel of the edge.

    Args:
        moves: of the pixels, in the order in which they happen.
        changes: of intensities in [-1, 1], in order.
        share: of the slices that are augmented, in [0, 1].

    Raises:
        ValueError: a share outside 0..1.
    """

    def __init__(self, *, moves: Sequence[Move] = (), changes: Sequence[Change] = (), share: float = 1.0) -> None:
        if not isinstance(share, (int, float)) or not 0 <= share <= 1:
            raise ValueError(f"augment_share is {share!r}, expected a number from 0 to 1, such as 0.5.")
        self.moves = list(moves)
        self.changes = list(changes)
        self.share = share

    def __call__(self, image: torch.Tensor, label: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented copies of images (B, C, S, S) in [-1, 1] and label maps (B, 1, S, S)."""
        chosen = [n for n, draw in enumerate(draws) if draw.random() < self.share]
        if len(chosen) == len(draws):
            return self._augment(image, label, draws)
        image, label = image.clone(), label.clone()
        if chosen:
            image[chosen], label[chosen] = self._augment(image[chosen], label[chosen], [draws[n] for n in chosen])
        return image, label

    def _augment(self, image: torch.Tensor, label: torch.Tensor, draws: Draws) -> tuple[torch.Tensor, torch.Tensor]:
        # The place that each pixel is taken from: the last move asks the one before it where its pixels were.
        size = image.shape[-1]
        line = (2 * torch.arange(size) + 1) / size - 1  # -1 and 1 are the outer edges of the pixels
        points = torch.stack(torch.meshgrid(line, line, indexing="ij")).expand(len(image), 2, size, size)
        for move in reversed(self.moves):
            points = move(points, draws)

        image = take(image, points, mode="bilinear")
        label = take(label.float(), points, mode="nearest").to(label.dtype)
        for change in self.changes:
            image = change(image, draws)
        return image, label


def take(planes: torch.Tensor, points: torch.Tensor, *, mode: str) -> torch.Tensor:
    """The values of planes (B, C, S, S) at points (B, 2, S, S), along X and along Y, on the scale -1 to 1."""
    grid = points.flip(1).permute(0, 2, 3, 1)  # (B, S, S, 2), the last axis first
    return functional.grid_sample(planes, grid, mode=mode, padding_mode="border", align_corners=False)


class RandFlip:
    """Mirrors slices.

    Args:
        probability: of a mirror image along X, and along Y.
    """

    def __init__(self, probability: Sequence[float]) -> None:
        self.probability = torch.tensor(probability)

    def __call__(self, points: torch.Tensor, draws: Draws) -> torch.Tensor:
        chance = torch.tensor(np.stack([draw.random(2) for draw in draws]))
        return torch.where((chance < self.probability)[:, :, None, None], -points, points)


class RandAffine:
    """Takes each pixel p of a slice, seen from its centre, from A p: A = rotation, shear, shift and scale multiplied.

    As `monai.transforms.RandAffined` does, with the same ranges, all uniform.

    Args:
        probability: of a change.
        rotation: in radians, either way.
        shear: tangents along X and along Y, either way.
        shift: share of the side, either way along both axes.
        scale: lowest and highest factor of what is read, drawn for both axes apart.
    """

    def __init__(
        self,
        *,
        probability: float = 1.0,
        rotation: float = 0.0,
        shear: Sequence[float] = (0.0, 0.0),
        shift: float = 0.0,
        scale: Sequence[float] = (1.0, 1.0),
    ) -> None:
        self.probability = probability
        self.high = np.array([rotation, *shear, shift, shift, scale[1], scale[1]])
        self.low = np.array([*(-self.high[:5]), scale[0], scale[0]])

    def __call__(self, points: torch.Tensor, draws: Draws) -> torch.Tensor:
        matrices = torch.tensor(np.stack([self._draw(draw) for draw in draws]), dtype=torch.float32)  # (B, 2, 3)
        flat = points.flatten(2)  # (B, 2, S * S)
        return torch.baddbmm(matrices[:, :, 2:], matrices[:, :, :2], flat).view_as(points)

    def _draw(self, draw: np.random.Generator) -> np.ndarray:
        if draw.random() >= self.probability:
            return np.eye(2, 3)
        return join_affine(draw.uniform(self.low, self.high))


def join_affine(parameters: np.ndarray) -> np.ndarray:
    """The matrix (2, 3) of an angle, two shears, two shifts (shares of the side) and two scales, multiplied in order.

    It is applied to points on the scale -1 to 1, whose side is 2 long.
    """
    angle, shear_x, shear_y, shift_x, shift_y, scale_x, scale_y = parameters
    rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    turned = rotation @ np.array([[1, shear_x], [shear_y, 1 + shear_x * shear_y]])  # along X, then along Y
    return np.column_stack([turned * (scale_x, scale_y), turned @ (2 * shift_x, 2 * shift_y)])


class RandChange(ABC):
    """Changes the intensities of some slices of a batch.

    Args:
        probability: of a change.
    """

    def __init__(self, probability: float) -> None:
        self.probability = probability

    def __call__(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Images (B, C, S, S) in [-1, 1], changed in place."""
        chosen = [n for n, draw in enumerate(draws) if draw.random() < self.probability]
        if chosen:
            image[chosen] = self.change(image[chosen], [draws[n] for n in chosen])
        return image

    @abstractmethod
    def change(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        """All of the images (B, C, S, S), changed."""


def _uniform(draws: Draws, low: float, high: float) -> torch.Tensor:
    """A number for each slice, (B, 1, 1, 1)."""
    return torch.tensor([draw.uniform(low, high) for draw in draws], dtype=torch.float32)[:, None, None, None]


class RandNoise(RandChange):
    """Adds normal noise, whose standard deviation is drawn evenly from 0 to `deviation`."""

    def __init__(self, *, probability: float, deviation: float) -> None:
        super().__init__(probability)
        self.deviation = deviation

    def change(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        noise = torch.empty_like(image)
        for row, draw in zip(noise, draws, strict=True):
            row.normal_(generator=torch.Generator().manual_seed(int(draw.integers(2**63))))
        return image + _uniform(draws, 0, self.deviation) * noise


class RandBlur(RandChange):
    """Smooths with a Gaussian, integrated over pixels and cut at four sigma; around the image is black (-1).

    Args:
        probability: of a change.
        sigma: lowest and highest, in pixels, drawn evenly for both axes apart.
    """

    def __init__(self, *, probability: float, sigma: Sequence[float]) -> None:
        super().__init__(probability)
        self.low, self.high = sigma

    def change(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        black = image + 1
        for _ in range(2):  # along X, then along Y
            black = self._filter(black, draws).mT
        return black - 1

    def _filter(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        """The product with band matrices, some rows at a time, since most of the others' columns are 0 there."""
        size, tail = image.shape[-1], round(4 * self.high) + 1
        sigma = _uniform(draws, self.low, self.high)[:, :, 0]  # (B, 1, 1)
        steps = torch.arange(size)
        upper, lower = (((steps + half) / (math.sqrt(2) * sigma)).erf() for half in (0.5, -0.5))
        kernel = (upper - lower) / 2 * (steps <= (4 * sigma + 0.5).floor())  # (B, 1, S), by pixels apart
        matrices = kernel[..., (steps[:, None] - steps).abs()]  # (B, 1, S, S)
        filtered = []
        for start in range(0, size, BLOCK):
            rows, reached = slice(start, start + BLOCK), slice(max(0, start - tail), start + BLOCK + tail)
            filtered.append(matrices[:, :, rows, reached] @ image[:, :, reached])
        return torch.cat(filtered, dim=2)


class RandLowResolution(RandChange):
    """Shrinks slices and enlarges them again, linearly.

    Args:
        probability: of a change.
        zoom: lowest and highest factor of the side, drawn evenly.
    """

    def __init__(self, *, probability: float, zoom: Sequence[float]) -> None:
        super().__init__(probability)
        self.low, self.high = zoom

    def change(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        size = image.shape[-1]
        for row, draw in zip(image, draws, strict=True):
            side = max(1, round(size * draw.uniform(self.low, self.high)))
            coarse = functional.interpolate(row[None], (side, side), mode="bilinear")
            row.copy_(functional.interpolate(coarse, (size, size), mode="bilinear")[0])
        return image


class RandGamma(RandChange):
    """Raises the intensities of a slice, scaled from its lowest to its highest to 0..1, to a power.

    Args:
        probability: of a change.
        gamma: lowest and highest power, drawn evenly.
    """

    def __init__(self, *, probability: float, gamma: Sequence[float]) -> None:
        super().__init__(probability)
        self.low, self.high = gamma

    def change(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        low, high = (limit[:, None, None, None] for limit in image.flatten(1).aminmax(dim=1))
        span = high - low
        return ((image - low) / (span + 1e-7)) ** _uniform(draws, self.low, self.high) * span + low


class RandGain(RandChange):
    """Raises the contrast: the distance from -1 grows by a factor drawn evenly from 1 to 1 + `most`, then is clipped.

    Karki et al. 2020 (LcGAN), section 4.3: "each pixel intensity was increased randomly by up to 50%".
    """

    def __init__(self, *, probability: float, most: float) -> None:
        super().__init__(probability)
        self.most = most

    def change(self, image: torch.Tensor, draws: Draws) -> torch.Tensor:
        return ((image + 1) * _uniform(draws, 1, 1 + self.most) - 1).clamp(-1, 1)
