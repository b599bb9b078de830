"""What a detector finds, in each image's own pixels: as JSON, and drawn into pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from monai.data import decollate_batch

from scripts.data.atomic import write_whole
from scripts.data.boxes import find_boxes, restore_boxes
from scripts.data.contract import Dataset, DatasetError, Item, image_files
from scripts.handlers.collector import Collector
from scripts.inferers.detection import Detections, clip_boxes
from scripts.pictures.box_overlays import write_overlay
from scripts.pictures.grids import channel_picture, check_shown_channel
from scripts.pictures.single_slices import load_slice

COORDINATES = (
    "x0, y0, x1, y1 in the image's own pixels, half-open: columns x0 to x1 and rows y0 to y1 of a picture; x along the "
    "first axis and y along the second of slice z of a volume turned to LPS axes (x to the left, y to the back, z up)."
)
DECIMALS = 3  # of a box, in pixels


class BoxWriter(Collector):
    """Attached to an evaluator: writes `boxes.json` and `pictures/<name>.png` of images with their boxes.

    `engine.state.batch` holds `image`, (B, C, S, S[, Z]) as `FitInPlaned` made it, with its trace, and
    `engine.state.output` `pred`, the detections of each image or slice in turn, see `SliceDetectionInferer`. They come
    in the order of `data`. The JSON is written at the end.

    `boxes.json`: `coordinates` (what a box means), `score_threshold`, `classes` (names), `images`. An entry of
    `images` is a plane image or one slice of a volume, also where nothing was found: `name`, `file` (a path, or one
    per channel), `z` (from 0; null for plane images), `size` [X, Y] in pixels, and `boxes` (n of [x0, y0, x1, y1] to
    .001 pixel, inside the image), `scores` (n) and `box_classes` (n names), the highest score first.

    Pictures are of images spread evenly over `data`, of a volume the slice with the highest score (the middle one where
    nothing was found). They show what scored `shown_threshold` or more, and the true boxes where the data set has any.

    Args:
        data: `image` and `name` of each image, see `images_to_label`.
        description: the data set that they are from.
        folder: for what is written.
        classes: names of the box classes 0..K-1.
        score_threshold: of the inferer, in [0, 1], written down.
        shown_threshold: least score of a box in a picture, in [0, 1].
        shown_channel: of the image in a picture, from 0; RGB images are shown in colour.
        most_pictures: 0 for none.
        minimum_pixels: of a lesion in a label map, in the image's own pixels; smaller ones have no true box.

    Raises:
        DatasetError: a channel that the images have not, or a threshold out of range.
    """

    def __init__(
        self,
        data: Sequence[Item],
        description: Dataset,
        folder: str | Path,
        *,
        classes: Sequence[str],
        score_threshold: float,
        shown_threshold: float = 0.3,
        shown_channel: int = 0,
        most_pictures: int = 16,
        minimum_pixels: int = 1,
    ) -> None:
        check_shown_channel(shown_channel, description)
        if not 0 <= shown_threshold <= 1:
            raise DatasetError(f"shown_threshold is {shown_threshold}, expected a score in [0, 1].")
        self.data = data
        self.description = description
        self.file = Path(folder) / "boxes.json"
        self.classes = list(classes)
        self.score_threshold = score_threshold
        self.shown_threshold = shown_threshold
        self.shown_channel = shown_channel
        self.minimum_pixels = minimum_pixels
        self.items = {tuple(image_files(item)): item for item in description.items}
        self.drawn = set(np.linspace(0, len(data) - 1, min(most_pictures, len(data))).round().astype(int).tolist())
        self.done = 0
        self.lines: list[str] = []  # of the JSON, one for each entry

    def start(self, engine: Engine) -> None:
        self.done, self.lines = 0, []

    def add(self, engine: Any) -> None:
        images = [element["image"] for element in decollate_batch(engine.state.batch)]
        found = engine.state.output["pred"]
        slices = len(found) // len(images)
        for n, image in enumerate(images):
            self._write(image, found[n * slices : (n + 1) * slices])

    def _write(self, image: Any, found: Sequence[Detections]) -> None:
        """Entries, and perhaps a picture, of a fitted image (C, S, S[, Z]) from what was found in each slice."""
        item = self.data[self.done]
        plane = find_plane(image)
        own = [_restore(each, plane, image.shape[1]) for each in found]
        entries = [
            {
                "name": item["name"],
                "file": item["image"],
                "z": z if image.ndim == 4 else None,
                "size": plane,
                "boxes": boxes.tolist(),
                "scores": scores.tolist(),
                "box_classes": [self.classes[number] for number in numbers],
            }
            for z, (boxes, scores, numbers) in enumerate(own)
        ]
        self.lines += map(json.dumps, entries)
        if self.done in self.drawn:
            self._draw(item, own, is_volume=image.ndim == 4)
        self.done += 1

    def finish(self, engine: Engine) -> None:
        head = {"coordinates": COORDINATES, "score_threshold": self.score_threshold, "classes": self.classes}
        write_whole(self.file, json.dumps(head)[:-1] + ', "images": [\n' + ",\n".join(self.lines) + "\n]}\n")

    def _draw(self, item: Item, own: Sequence[tuple[np.ndarray, ...]], *, is_volume: bool) -> None:
        highest = [scores.max(initial=-1.0) for _, scores, _ in own]
        z = int(np.argmax(highest)) if max(highest) >= 0 else len(own) // 2
        boxes, scores, numbers = own[z]
        shown = scores >= self.shown_threshold
        image, true = read_truth(
            self.items[tuple(image_files(item))], self.description, z=z, minimum_pixels=self.minimum_pixels
        )
        write_overlay(
            channel_picture(image, self.description.modality, self.shown_channel),
            self.file.parent / "pictures" / f"{item['name']}.png",
            found=(boxes[shown], scores[shown], numbers[shown]),
            true=true if true is None or len(self.classes) > 1 else (true[0], np.zeros_like(true[1])),
            class_names=self.classes,
            least_score=self.shown_threshold,
            title=f"{item['name']}, slice {z}" if is_volume else item["name"],
        )


def find_plane(image: Any) -> list[int]:
    """Pixels (X, Y) of an image in canonical axes before `FitInPlaned`, from the trace that it left."""
    fits = [operation for operation in image.applied_operations if operation["class"] == "FitInPlaned"]
    return [int(side) for side in fits[-1]["extra_info"]["plane"]]


def read_truth(
    item: Item, description: Dataset, *, z: int, minimum_pixels: int = 1
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
    """A slice of an item in its own pixels and canonical axes, and where its lesions are.

    Args:
        item: of the data set, labelled or not.
        description: the data set.
        z: slice of a volume, from 0; ignored for plane images.
        minimum_pixels: of a lesion in a label map.

    Returns:
        image (C, X, Y) in [-1, 1], and boxes (m, 4) with classes (m,), or None for an item without label and boxes.

    Raises:
        DatasetError: an unreadable or wrong file.
    """
    view = load_slice(description, item, z)
    image = np.asarray(view.image)
    if view.boxes is not None:
        return image, (view.boxes, np.array(item.get("box_classes") or [], dtype=np.int64))
    if not item["label"]:
        return image, None
    return image, find_boxes(np.asarray(view.label)[0].astype(np.int64), minimum_pixels=minimum_pixels)


def _restore(found: Detections, plane: Sequence[int], image_size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Detections in the fitted square as boxes (n, 4) inside the image, scores (n,) and classes (n,), rounded."""
    boxes = restore_boxes(found["pred_boxes"].cpu().double().numpy(), plane, image_size).round(DECIMALS)
    inside, kept = clip_boxes(torch.from_numpy(boxes), (plane[0], plane[1]))
    scores = found["pred_scores"].cpu().double()[kept].numpy().round(6)
    return inside.numpy(), scores, found["pred_classes"].cpu()[kept].numpy()
