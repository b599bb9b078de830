"""The images of a visual Turing test: as many real as synthetic ones per class, all drawn the same way."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from scipy import ndimage

from scripts.data.contract import Dataset, DatasetError, Item, source_patient
from scripts.pictures.grids import LABEL_COLOURS, image_pictures
from scripts.pictures.single_slices import Slice, load_slice
from scripts.report.turing_scores import REAL, SYNTHETIC

BOX_COLOUR = (255, 214, 10)


@dataclass(frozen=True)
class Candidate:
    """An image of the test: what it is (`truth`), its class, and where it comes from."""

    truth: str
    class_name: str
    item: Item
    view: Slice


def check_channel(dataset: Dataset, channel: int | None) -> int | None:
    """The channel that is shown, None for colour images, which are shown whole."""
    in_colour = len(image_pictures(np.zeros((dataset.channel_count, 1, 1)), dataset.modality)) < dataset.channel_count
    if in_colour and channel is None:
        return None
    chosen = 0 if channel is None else channel
    if in_colour or isinstance(chosen, bool) or chosen not in range(dataset.channel_count):
        known = ", ".join(f"{n} {name}" for n, name in enumerate(dataset.modality))
        expected = "no --channel, since the images are in colour" if in_colour else f"one of {known}"
        raise DatasetError(f"channel is {channel!r}, expected {expected}.")
    return chosen


def choose_candidates(
    real: Dataset, synthetic: Dataset, items: tuple[Sequence[Item], Sequence[Item]], *, per_class: int, seed: int
) -> tuple[list[Candidate], list[str]]:
    """As many real as synthetic slices with lesion per class, and a sentence on each class with fewer than asked for.

    Where no synthetic image has a class, those of an unconditional generator, all are shown together.

    Raises:
        DatasetError: no class has both.
    """
    chosen: list[Candidate] = []
    notes = []
    classes: list[str] = real.classes if any(item["class"] for item in items[1]) else []
    for place, name in enumerate(classes or [None]):
        pair = []
        for side, (dataset, listed) in enumerate(zip((real, synthetic), items, strict=True)):
            own = [item for item in listed if item["class"] == name or name is None]
            views = _find_lesions(dataset, own, np.random.default_rng([seed, place, side]))
            truth = (REAL, SYNTHETIC)[side]
            pair.append([Candidate(truth, name or "", item, view) for item, view in islice(views, per_class)])
        count = min(map(len, pair))
        chosen += [candidate for found in pair for candidate in found[:count]]
        if count < per_class:
            fewer = " and ".join(
                f"{'no' if not found else len(found)} {truth}"
                for truth, found in zip((REAL, SYNTHETIC), pair, strict=True)
                if len(found) < per_class
            )
            result = f"it shows {count} of each" if count else "it is left out"
            notes.append(f"{f'Class {name}' if name else 'The data'}: slices with lesion: {fewer}; {result}.")
    if not chosen:
        raise DatasetError(f"No real and synthetic slices to compare. {' '.join(notes)}")
    return chosen, notes


def _find_lesions(
    dataset: Dataset, items: Sequence[Item], generator: np.random.Generator
) -> Iterator[tuple[Item, Slice]]:
    """Slices with lesion at random, one of each patient before a second of any: neighbouring slices look alike."""
    waiting: dict[str, list[Item]] = defaultdict(list)
    for n in generator.permutation(len(items)):
        if items[n]["label"] or items[n].get("boxes"):
            waiting[source_patient(items[n])].append(items[n])
    while waiting:
        for patient in list(waiting):
            found = None
            while waiting[patient] and found is None:
                item = waiting[patient].pop()
                view = load_slice(dataset, item)
                found = (item, view) if view.has_lesion else None
            if found is None:
                del waiting[patient]
            else:
                yield found


def draw_candidates(
    candidates: Sequence[Candidate],
    modality: Sequence[str],
    size: int,
    *,
    channel: int | None,
    boxes: bool = False,
    masks: bool = False,
) -> list[np.ndarray]:
    """Pictures uint8 (S, S) or (S, S, 3), rows = y, all made alike.

    First all slices take the synthetic ones' size, as the generator saw the real ones; then `size`.
    """
    made = min(c.view.side for c in candidates if c.truth == SYNTHETIC)
    pictures = []
    for candidate in candidates:
        view = candidate.view.fit(made)
        view = view.fit(size) if size < made else view
        picture = image_pictures(np.asarray(view.image), modality)[channel or 0]
        if boxes or masks:
            picture = picture.copy() if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        if masks:
            _outline(picture, np.asarray(view.label)[0].T)
        if boxes:
            _frame(picture, view.find_boxes())
        pictures.append(picture)
    return pictures


def _outline(picture: np.ndarray, label: np.ndarray) -> None:
    for value in np.unique(label[label > 0]).astype(int):
        inside = label == value
        picture[inside & ~ndimage.binary_erosion(inside)] = LABEL_COLOURS[(value - 1) % len(LABEL_COLOURS)]


def _frame(picture: np.ndarray, boxes: np.ndarray) -> None:
    """Draws the pixels just outside each box, as far as they lie in the picture."""
    last = len(picture) - 1
    for x0, y0, x1, y1 in boxes:
        left, top = (int(np.clip(np.floor(v) - 1, 0, last)) for v in (x0, y0))
        right, bottom = (int(np.clip(np.ceil(v), 0, last)) for v in (x1, y1))
        picture[[top, bottom], left : right + 1] = BOX_COLOUR
        picture[top : bottom + 1, [left, right]] = BOX_COLOUR
