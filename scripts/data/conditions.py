"""The boxes that CPGGAN is asked to put lesions into: those of training slices, slightly changed, inside the head.

Or, as new ones that no patient has, inside another patient's head and changed more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from scripts.data.boxes import BoxedSlices, pad_boxes
from scripts.data.contract import DatasetError
from scripts.data.new_masks import spread_evenly
from scripts.data.synthesis import synthetic_files
from scripts.metrics.box_matching import compute_iou
from scripts.transforms.outline import find_head
from scripts.transforms.transplantation import bounds

TRIES = 20  # heads that the boxes of one slice are tried in
MOST_ZOOMED = 0.4  # of a new box's sides, either way
SMALLEST_REST = 0.5  # of a box's area, once clipped to the head's region; a sliver is no lesion


@dataclass(frozen=True, kw_only=True)
class BoxChanges:
    """Changes the boxes of a slice a little: "based on the annotation slightly different from training images".

    All boxes are flipped together with the head; then each is shifted and zoomed on its own. A box is clipped to the
    head's bounding region, and drawn again where less than half of it is left, where more of it lies outside the head
    than before, or where it overlaps another more (in IoU) than any two boxes of the slice do; after `tries` draws it
    stays as it was. The amounts are not in the paper's text. By default only x
    is flipped, since heads are alike on both sides, not in front and behind.

    Raises:
        DatasetError: a share outside [0, 1), an axis that is neither 0 nor 1, or fewer than 1 try.
    """

    flip_axes: Sequence[int] = (
        0,
    )  # each is flipped with probability 1/2: 0 is x, left and right, 1 is y, front and back
    shift: float = 0.1  # at most so far along x and y, as a share of the image's side, uniform
    zoom: float = 0.1  # factor of both sides within 1 - zoom and 1 + zoom, uniform, about the middle
    tries: int = 20  # draws of each box
    threshold: float = -0.85  # brighter pixels (in [-1, 1], median over channels) are the head's, see `find_head`

    def __post_init__(self) -> None:
        for name in ("shift", "zoom"):
            if not 0 <= getattr(self, name) < 1:
                raise DatasetError(f"{name} is {getattr(self, name)}, expected a share from 0 to below 1, such as 0.1.")
        if not set(self.flip_axes) <= {0, 1} or self.tries < 1:
            raise DatasetError(
                f"flip_axes is {list(self.flip_axes)} and tries {self.tries}, expected axes among 0 (x) and 1 (y), and "
                "1 try or more."
            )

    def __call__(
        self,
        boxes: np.ndarray,
        image: np.ndarray,
        generator: np.random.Generator,
        anatomy: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Changed boxes in whole pixels, (n, 4) int64, and which of them were moved or zoomed, (n,) bool.

        Args:
            boxes: (n, 4) in pixels of the image.
            image: (C, S, S) in [-1, 1].
            generator: of the draws.
            anatomy: another slice's image, into whose head the boxes go, at first to the same place relative to the
                head's bounding box; half of a box or more is then inside, unless it is not moved.
        """
        head = self._find_head(image)  # (S, S)
        size = len(head)
        start = np.concatenate([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])], axis=1).astype(np.int64)
        inside = [_share_inside(box, head) for box in start]
        overlap = compute_iou(start, start)[~np.eye(len(start), dtype=bool)].max(initial=0)
        if anatomy is not None:
            inside = [max(share, SMALLEST_REST) for share in inside]
            (home, home_sides), head = bounds(head), self._find_head(anatomy)
            low, sides = bounds(head)
            middle = (start[:, :2] + start[:, 2:]) / 2
            start += np.tile(np.round(low + sides * (middle - home) / home_sides - middle).astype(np.int64), 2)
        for axis in self.flip_axes:
            if generator.random() < 0.5:
                start[:, [axis, axis + 2]] = size - start[:, [axis + 2, axis]]
                head = np.flip(head, axis)
        moved = np.zeros(len(start), dtype=bool)
        for n, box in enumerate(start):
            others = np.delete(start, n, axis=0) if anatomy is None else start[:n]
            for changed in self._draw(box, head, generator):
                if _share_inside(changed, head) >= inside[n] and compute_iou(changed, others).max(initial=0) <= overlap:
                    start[n], moved[n] = changed, True
                    break
        return start, moved

    def _find_head(self, image: np.ndarray) -> np.ndarray:
        head = find_head(np.median(image, axis=0) > self.threshold)
        return head if head.any() else np.ones_like(head)

    def _draw(self, box: np.ndarray, head: np.ndarray, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Draws of a box, clipped to the head's bounding region, of which half is left or more."""
        low, sides = bounds(head)
        high = low + sides
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
        for _ in range(self.tries):
            centre = middle + generator.uniform(-self.shift, self.shift, 2) * len(head)
            sides = half * generator.uniform(1 - self.zoom, 1 + self.zoom)
            first = np.round(centre - sides)
            last = np.maximum(np.round(centre + sides), first + 1)
            clipped = np.concatenate([np.maximum(first, low), np.minimum(last, high)]).astype(np.int64)
            rest = np.prod(np.maximum(clipped[2:] - clipped[:2], 0)) / np.prod(last - first)
            if rest >= SMALLEST_REST:
                yield clipped


class PlannedBoxes(Dataset):
    """One element per planned image that is not on the disk yet: what it is asked for, and its noise.

    Image n takes all boxes of one training slice, changed; every slice comes once before any comes again. A share of
    the images, evenly spread, has new boxes: those of one patient's slice in the head of another's, with box or
    without, each zoomed by up to 0.4. Where no head of `TRIES` takes them all, they are changed as the others are.
    What image n is asked for depends on the slices, the changes, the share, the seed and n alone. An element has
    `boxes` (M, 4) float32 and `box_classes` (M,) int64, padded as in `BoxedSlices` (`draw_boxes` makes the condition
    image of them), `noise_seed`, `name`, `source` and `source_patient`.

    Args:
        slices: training slices; those without boxes are not used, and one with boxes is needed.
        image_count: images of the whole set, 1 or more.
        output_dir: folder of the synthetic set.
        changes: of the boxes; None for the defaults of `BoxChanges`.
        new_masks: share of the images with new boxes, in [0, 1].
        seed: of the choice, the changes and the noise.
    """

    def __init__(
        self,
        slices: BoxedSlices,
        image_count: int,
        output_dir: str | Path,
        *,
        changes: BoxChanges | None = None,
        new_masks: float = 0.0,
        seed: int = 0,
    ) -> None:
        if image_count < 1:
            raise DatasetError(f"image_count is {image_count}, expected 1 or more, such as the paper's 4000.")
        sources = np.array([n for n in range(len(slices)) if len(slices.boxes_of(n)[0])])
        if not len(sources):
            raise DatasetError("No training slice has a box to ask for. Add boxes or label maps to the training items.")
        self.most_boxes = slices.most_boxes
        self.image_size = slices.image_of(0).shape[-1]  # S, in whose pixels boxes are asked for
        names = {slices.data[slices.index[n][0]].get("class") for n in sources}
        self.class_name = names.pop() if len(names) == 1 else None  # as a generator of one class has it
        self.changes, self.seed = changes or BoxChanges(), seed
        self.patients = np.array([slices.summary(n)["patient"] for n in range(len(slices))])
        chosen = set(spread_evenly(image_count, new_masks))
        order = np.concatenate(
            [np.random.default_rng([seed, r]).permutation(sources) for r in range(-(-image_count // len(sources)))]
        )
        progress = tqdm(range(image_count), desc="Drawing boxes", unit="image", delay=2, mininterval=2)
        self.images = [self._plan(slices, int(order[n]), n, new=n in chosen) for n in progress]
        images_dir = Path(output_dir)
        self.missing = [image for image in self.images if not synthetic_files(images_dir, image["name"])[0].exists()]

    def _plan(self, slices: BoxedSlices, position: int, n: int, *, new: bool) -> dict[str, Any]:
        draws, noise = np.random.SeedSequence([self.seed, n]).spawn(2)
        generator, boxes, classes = np.random.default_rng(draws), *slices.boxes_of(position)
        found = self._transplant(slices, position, generator) if new else None
        asked, moved, anatomy = found or (*self.changes(boxes, slices.image_of(position), generator), {})
        summary = slices.summary(position)
        return {
            "class": self.class_name,
            "name": f"{n:06d}_{self.class_name or 'image'}",
            "boxes": asked.tolist(),
            "box_classes": classes.tolist(),
            "unmoved_boxes": int((~moved).sum()),
            "source": summary["source"],
            "source_patient": summary["patient"],
            **anatomy,
            "noise_seed": int(noise.generate_state(1)[0]),
        }

    def _transplant(
        self, slices: BoxedSlices, position: int, generator: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, dict[str, str]] | None:
        """The boxes of a slice in the head of another patient's, None where they fit into none."""
        changes, (given, _) = replace(self.changes, zoom=MOST_ZOOMED), slices.boxes_of(position)
        others = np.flatnonzero(self.patients != self.patients[position])
        for anatomy in generator.permutation(others)[:TRIES].tolist():
            boxes, moved = changes(given, slices.image_of(position), generator, slices.image_of(anatomy))
            if moved.all():
                summary = slices.summary(anatomy)
                return boxes, moved, {"anatomy": summary["source"], "anatomy_patient": summary["patient"]}
        return None

    def provenance(self, image: Mapping[str, Any]) -> dict[str, Any]:
        """What `synthetic` says of one of `images`, beside the generator."""
        keys = ("source", "source_patient", "unmoved_boxes", "noise_seed", "anatomy", "anatomy_patient")
        known = {key: image[key] for key in keys if key in image}
        return {"asked_class": image["class"], "source_split": "training", **known}

    def __len__(self) -> int:
        return len(self.missing)

    def __getitem__(self, n: int) -> dict[str, Any]:
        image = self.missing[n]
        boxes, classes = pad_boxes(torch.tensor(image["boxes"]), torch.tensor(image["box_classes"]), self.most_boxes)
        named = {key: image[key] for key in ("noise_seed", "name", "source", "source_patient")}
        return {"boxes": boxes, "box_classes": classes, **named}


def _share_inside(box: np.ndarray, head: np.ndarray) -> float:
    """Share of a box's pixels that are the head's."""
    return float(head[box[0] : box[2], box[1] : box[3]].mean())
