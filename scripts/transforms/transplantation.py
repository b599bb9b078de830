"""The lesions of one slice in the anatomy of another: a mask that no patient has."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from scripts.transforms.carving import SMALLEST_INSIDE, signed_distance
from scripts.transforms.elastic import RandElastic

MOST_TURNED = 40.0  # degrees, either way
SCALES = (0.6, 1.4)  # of a lesion's sides
MOST_SHIFTED = 0.15  # of the body's sides, either way
RIM = 1 / 16  # of the image's side: about what scalp and skull take
ELASTIC = {"alpha": 1200.0, "sigma": 48.0}  # twice as smooth as `RandElastic` by default: heads keep the form of heads


@dataclass(frozen=True, kw_only=True)
class Transplant:
    """How lesions come to lie in another anatomy, in few numbers, so that a plan can say it.

    Every lesion, a component whose pixels touch at an edge or a corner, is turned and scaled about its own centre, so
    that lesions of both lungs stay where lungs are. The centre comes to the same place relative to the bounding box of
    the body, plus the shift. Then anatomy and lesions are mirrored and distorted as one. Amounts are ours.
    """

    turn_degrees: float
    scale: float  # factor of a lesion's sides
    shift_x: float  # share of the body's side, along x
    shift_y: float  # likewise along y
    mirrored: bool  # along x, left and right in axial slices
    elastic_seed: int  # of the distortion, see `RandElastic`

    @classmethod
    def draw(cls, generator: np.random.Generator) -> Transplant:
        """Uniform in the ranges above, rounded to what is written."""
        return cls(
            turn_degrees=round(generator.uniform(-MOST_TURNED, MOST_TURNED), 1),
            scale=round(generator.uniform(*SCALES), 2),
            shift_x=round(generator.uniform(-MOST_SHIFTED, MOST_SHIFTED), 3),
            shift_y=round(generator.uniform(-MOST_SHIFTED, MOST_SHIFTED), 3),
            mirrored=bool(generator.random() < 0.5),
            elastic_seed=int(generator.integers(2**31)),
        )

    def __call__(
        self, lesions: np.ndarray, home: np.ndarray, body: np.ndarray, outline_label: int = 0
    ) -> np.ndarray | None:
        """The new mask, (S, S) of the labels of `lesions` and, elsewhere in the body, `outline_label`.

        What lies outside the body is cut off. None where less than 0.9 of the lesions is as deep in the body as all of
        them were before, or deeper than scalp and skull are thick, or where a label is lost. Every pixel takes the
        nearest value.

        Args:
            lesions: (S, S) labels, 0 where there is none.
            home: (S, S) bool, the body of the lesions' own slice.
            body: (S, S) bool, that of the anatomy.
            outline_label: 0 for masks without outline.
        """
        depth = min(-signed_distance(home)[lesions > 0].max(), RIM * len(home))
        points = self._distort(len(body))
        inside = _take(body, points, mode="nearest")
        placed, ends = self._place(lesions, home, body, points)
        if _take(-signed_distance(body) >= depth, ends).mean() < SMALLEST_INSIDE:
            return None
        mask = np.where(inside & (placed > 0), placed, outline_label * inside)
        return mask if np.isin(lesions[lesions > 0], mask).all() else None

    def _distort(self, size: int) -> np.ndarray:
        """Where in the anatomy each pixel of the new mask comes from, (2, S, S)."""
        displacement = RandElastic(**ELASTIC).draw(size, np.random.RandomState(self.elastic_seed))
        points = np.indices((size, size)) + displacement.numpy()
        return points[:, ::-1] if self.mirrored else points

    def _place(
        self, lesions: np.ndarray, home: np.ndarray, body: np.ndarray, points: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The lesions (S, S) at points of the anatomy, in its body or not, and where their n pixels come to, (2, n)."""
        (home_low, home_sides), (low, sides) = bounds(home), bounds(body)
        turn = np.deg2rad(self.turn_degrees)
        there = self.scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        back = np.linalg.inv(there)
        components, count = ndimage.label(lesions > 0, structure=np.ones((3, 3)))
        placed, ends = np.zeros_like(lesions), []
        for number, centre in enumerate(ndimage.center_of_mass(components, components, range(1, count + 1)), start=1):
            goal = low + sides * ((centre - home_low) / home_sides + (self.shift_x, self.shift_y))
            origins = np.einsum("ij,jxy->ixy", back, points - goal[:, None, None]) + np.reshape(centre, (2, 1, 1))
            moved = _take(np.where(components == number, lesions, 0), origins)
            placed = np.where(moved > 0, moved, placed)
            ends.append(there @ (np.argwhere(components == number) - centre).T + goal[:, None])
        return placed, np.concatenate(ends, axis=1)


def _take(plane: np.ndarray, points: np.ndarray, mode: str = "constant") -> np.ndarray:
    """The nearest values of a plane (X, Y) at points (2, S, S); beyond it 0, or in mode "nearest" those of its edge."""
    return ndimage.map_coordinates(plane, points, order=0, mode=mode)


def bounds(body: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First pixel and sides in pixels, each (2,), of the bounding box of a body (S, S) with a pixel at least."""
    inside = np.argwhere(body)
    return inside.min(axis=0), np.ptp(inside, axis=0) + 1
