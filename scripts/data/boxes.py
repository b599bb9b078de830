"""Lesion boxes: found in label maps, brought to a slice's grid, given out with the slices, drawn as condition images.

A box (x0, y0, x1, y1) is half-open in pixels: it holds `array[:, x0:x1, y0:y1]`. Box class k is label k + 1.
"""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from monai.utils import TraceKeys
from scipy import ndimage

from scripts.data.contract import Dataset, DatasetError, Item, find_box_faults, image_files
from scripts.data.planes import shared_plane
from scripts.data.slices import SliceDataset, SliceRule
from scripts.transforms.carving import crop_covered, draw_rectangles, paste
from scripts.transforms.geometry import CanonicalOrientationd, fit_plane
from scripts.transforms.loading import LoadItemd
from scripts.transforms.reading import read_image

PADDING_CLASS = -1  # class of the boxes that fill up an element


class BoxedSlices(SliceDataset):
    """A `SliceDataset` whose elements gain `boxes` float32 (M, 4) and `box_classes` int64 (M,), in the slice's pixels.

    Boxes are the item's own where it has `boxes` (2D images; none is a negative image), else those of the lesions in
    the label map. M is `most_boxes` for every element: boxes of zeros with class -1 fill it up. `transform` gets the
    element before that, with boxes (n, 4) and classes (n,), and may change them together with the image.

    Items' boxes go the way of `FitInPlaned`; no other step of the preprocessing may move pixels of plane images.

    Args:
        data, preprocessing, cache_dir, rule, transform, augmented_slices, seed: as for `SliceDataset`.
        copy_paste_probability: as for `SliceDataset`, for slices with boxes. Where both slices have their boxes from
            label maps, those of the new label map are found. Else all boxes of the other slice are pasted as
            rectangles, grown by a margin up to half their shorter side, which keeps CarveMix's largest region; boxes
            under them are dropped or cropped (`crop_covered`). A slice that would have more than `most_boxes` stays.
        class_count: box classes of the data set, its labels besides the background.
        most_boxes: M.
        merge_classes: makes every box class 0.
        minimum_pixels: of a lesion in a label map, in the slice's pixels; smaller ones get no box.
        minimum_boxes: leaves slices with fewer boxes out; 1 for a generator, 0 keeps negative images.
        only_box_class: leaves slices with a box of any class but this one out (one generator per class: it must not
            learn that the others' lesions lie outside boxes); the indices of classes stay. None keeps all.
        class_names: of the box classes 0..class_count-1, among which `only_box_class` is; labels also where classes
            are merged.

    Raises:
        DatasetError: before anything is prepared: a box without size or outside its image, a class out of range, boxes
            of a volume, an unknown `only_box_class`; then whatever `SliceDataset` refuses, a slice with more than
            `most_boxes`, or none left.
    """

    def __init__(
        self,
        data: Sequence[Item],
        preprocessing: Callable[[Item], Mapping[str, Any]],
        cache_dir: str | Path,
        *,
        class_count: int,
        most_boxes: int,
        merge_classes: bool = False,
        minimum_pixels: int = 1,
        minimum_boxes: int = 0,
        only_box_class: str | None = None,
        class_names: Sequence[str] = (),
        rule: SliceRule | None = None,
        transform: Callable[[dict[str, Any]], Any] | None = None,
        augmented_slices: str = "both",
        seed: int = 0,
        copy_paste_probability: float = 0.0,
    ) -> None:
        if class_count < 1 or most_boxes < 1:
            raise DatasetError(f"class_count is {class_count} and most_boxes {most_boxes}, expected 1 or more of each.")
        if only_box_class is not None and only_box_class not in class_names:
            raise DatasetError(
                f"only_box_class is {only_box_class!r}, expected one of {list(class_names)}, or None for all."
            )
        self.class_count = 1 if merge_classes else class_count
        self.most_boxes = most_boxes
        self.merge_classes = merge_classes
        self.minimum_pixels = minimum_pixels
        planes = [None if item.get("boxes") is None else _check_item(item, class_count) for item in data]
        super().__init__(
            data, preprocessing, cache_dir, rule=rule, transform=transform, augmented_slices=augmented_slices, seed=seed
        )
        self.options |= {"class_count": class_count, "most_boxes": most_boxes, "merge_classes": merge_classes}
        self.options |= {"minimum_pixels": minimum_pixels, "minimum_boxes": minimum_boxes}
        self.options |= {"only_box_class": only_box_class, "class_names": class_names}
        wanted = None if only_box_class is None else list(class_names).index(only_box_class)
        found, kept = [], []
        for position, (volume, _) in enumerate(self.index):
            boxes, classes = self._find(position, planes[volume])
            self._check_found(position, boxes, classes, class_count)
            found.append((boxes, np.zeros_like(classes) if merge_classes else classes))
            if len(boxes) >= minimum_boxes and (wanted is None or (classes == wanted).all()):
                kept.append(position)
        if not kept:
            of_class = "" if wanted is None else f", all of class {only_box_class!r}"
            raise DatasetError(
                f"None of the {len(found)} slices has {minimum_boxes} boxes or more{of_class}. Lower minimum_boxes or "
                f"minimum_pixels ({minimum_pixels}){of_class and ', choose another class'}, or add annotated images."
            )
        self.index = [self.index[position] for position in kept]
        self._boxes = [found[position] for position in kept]
        self.paste_lesions(copy_paste_probability)

    def boxes_of(self, position: int) -> tuple[np.ndarray, np.ndarray]:
        """A slice's boxes (n, 4) float32 and classes (n,) int64, without reading the slice."""
        return self._boxes[position]

    def image_of(self, position: int) -> np.ndarray:
        """A slice's image (C, S, S) as the cache has it, float16 in [-1, 1], before random transforms."""
        volume, z = self.index[position]
        return np.load(self.entries[volume] / "image.npy", mmap_mode="r")[z]

    @property
    def all_boxes(self) -> np.ndarray:
        """The boxes of all slices, (N, 4) float32."""
        return np.concatenate([boxes for boxes, _ in self._boxes])

    @property
    def has_lesion(self) -> np.ndarray:
        """Whether each slice has a box, (N,) bool."""
        return np.array([len(boxes) > 0 for boxes, _ in self._boxes])

    @property
    def labels_inside(self) -> list[np.ndarray]:
        """The labels of each slice's boxes, each once, rising: the box classes plus 1."""
        return [np.unique(classes) + 1 for _, classes in self._boxes]

    @property
    def fingerprint(self) -> str:
        """As for `SliceDataset`; changes with the boxes, too."""
        digest = hashlib.sha256(super().fingerprint.encode())
        for boxes, classes in self._boxes:
            digest.update(boxes.tobytes() + classes.tobytes())
        return digest.hexdigest()[:16]

    def summary(self, position: int) -> dict[str, Any]:
        """As for `SliceDataset`, with `boxes` (n, 4) and `box_classes` (n,)."""
        boxes, classes = self._boxes[position]
        return {**super().summary(position), "boxes": torch.tensor(boxes), "box_classes": torch.tensor(classes)}

    def _finish(self, element: dict[str, Any], position: int) -> dict[str, Any]:
        element = super()._finish(element, position)
        element.pop("boxes" + TraceKeys.KEY_SUFFIX, None)  # MONAI's record, which slices without transform lack
        boxes, classes = pad_boxes(element["boxes"], element["box_classes"], self.most_boxes)
        return {**element, "boxes": boxes, "box_classes": classes}

    def _paste(
        self, element: dict[str, Any], position: int, donor: int, generator: np.random.Generator
    ) -> dict[str, Any] | None:
        """As for `SliceDataset`, with the boxes of the new slice, at most `most_boxes`."""
        if all(self.data[self.index[n][0]].get("boxes") is None for n in (position, donor)):
            pasted = super()._paste(element, position, donor, generator)
            if pasted is None:
                return None
            boxes, classes = find_boxes(pasted["label"][0].numpy(), minimum_pixels=self.minimum_pixels)
            classes = np.zeros_like(classes) if self.merge_classes else classes
        else:
            (boxes, classes), (given, given_classes) = self._boxes[position], self._boxes[donor]
            size = element["image"].shape[-1]
            region = draw_rectangles(given, size, grown=generator.random())
            result = paste(element, self._read(donor), region, draw_rectangles(given, size))
            if result is None:
                return None
            pasted, region = result
            boxes, kept = crop_covered(boxes, region)
            boxes, classes = np.concatenate([boxes, given]), np.concatenate([classes[kept], given_classes])
        if len(boxes) > self.most_boxes:
            return None
        changed = {"boxes": torch.tensor(boxes.astype(np.float32)), "box_classes": torch.tensor(classes)}
        return {**pasted, **changed}

    def _find(self, position: int, plane: tuple[int, int] | None) -> tuple[np.ndarray, np.ndarray]:
        volume, z = self.index[position]
        label = np.load(self.entries[volume] / "label.npy", mmap_mode="r")[z]  # (S, S)
        if plane is None:
            boxes, classes = find_boxes(label, minimum_pixels=self.minimum_pixels)
        else:
            item = self.data[volume]
            boxes = fit_boxes(np.array(item["boxes"], dtype=float).reshape(-1, 4), plane, max(label.shape))
            classes = np.array(item.get("box_classes") or [], dtype=np.int64)
        return boxes.astype(np.float32), classes

    def _check_found(self, position: int, boxes: np.ndarray, classes: np.ndarray, class_count: int) -> None:
        if len(boxes) > self.most_boxes:
            raise DatasetError(
                f"{super().summary(position)['source']} has {len(boxes)} boxes, more than most_boxes "
                f"({self.most_boxes}). Pass --most_boxes {len(boxes)}, or leave small lesions out with minimum_pixels."
            )
        if len(classes) and classes.max() >= class_count:
            raise DatasetError(
                f"{super().summary(position)['source']} has a lesion of label {classes.max() + 1}, expected "
                f"1..{class_count}. Pass --label_count {classes.max() + 1}."
            )


def find_boxes(label: np.ndarray, *, minimum_pixels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The box of each lesion in a label map (X, Y), in the order of x0: boxes (n, 4) int64 and classes (n,) int64.

    A lesion is a component of labels above 0 whose pixels touch at an edge or a corner, whatever their labels are, so
    that a core and its rim are one; its class is the most frequent label (the lowest of equals) minus 1. Components
    under `minimum_pixels` are left out.
    """
    components, _ = ndimage.label(label > 0, structure=np.ones((3, 3)))
    boxes, classes = [], []
    for number, (x, y) in enumerate(ndimage.find_objects(components), start=1):
        labels = label[x, y][components[x, y] == number]
        if len(labels) >= minimum_pixels:
            boxes.append((x.start, y.start, x.stop, y.stop))
            classes.append(int(np.bincount(labels).argmax()) - 1)
    return np.array(boxes, dtype=np.int64).reshape(-1, 4), np.array(classes, dtype=np.int64)


def add_boxes(items: Sequence[Item], description: Dataset, *, minimum_pixels: int = 1) -> list[Item]:
    """Copies of the items; those with a label map and no `boxes` gain the boxes of its lesions, in the slice's pixels.

    Raises:
        DatasetError: an item that training would refuse, or a label map of a volume.
    """
    load, boxed = LoadItemd.of(description, ["image", "label"]), []
    for item in items:
        if item.get("label") and item.get("boxes") is None:
            label = _in_slice_axes(load(item)["label"])  # type: ignore[arg-type]  # (1, X, Y[, Z])
            if label.ndim == 4 and label.shape[3] > 1:
                raise DatasetError(
                    f"{item['label']} is a volume of {label.shape[3]} slices; boxes are of 2D images. Leave "
                    "--boxes_from_labels out: training finds the boxes of a volume's slices in its label map."
                )
            plane = label.reshape(label.shape[1:3]).astype(np.int64)
            boxes, classes = find_boxes(plane, minimum_pixels=minimum_pixels)
            item = {**item, "boxes": boxes.tolist(), "box_classes": classes.tolist()}
        boxed.append(item)
    return boxed


def fit_boxes(boxes: np.ndarray, plane: Sequence[int], image_size: int) -> np.ndarray:
    """Boxes (n, 4) of an image of `plane` (X, Y) pixels as they lie in the square that `FitInPlaned` makes of it."""
    resized, before = fit_plane(plane, image_size)
    return boxes * np.tile(np.divide(resized, plane), 2) + np.tile(before, 2)


def restore_boxes(boxes: np.ndarray, plane: Sequence[int], image_size: int) -> np.ndarray:
    """The exact inverse of `fit_boxes`, (n, 4) -> (n, 4); parts in the padding come out outside the image."""
    resized, before = fit_plane(plane, image_size)
    return (boxes - np.tile(before, 2)) / np.tile(np.divide(resized, plane), 2)


def pad_boxes(boxes: torch.Tensor, box_classes: torch.Tensor, most_boxes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes (n, 4) and classes (n,) filled up to (most_boxes, 4) with zeros and (most_boxes,) with -1."""
    padded = torch.zeros(most_boxes, 4)
    classes = torch.full((most_boxes,), PADDING_CLASS, dtype=torch.int64)
    padded[: len(boxes)] = torch.as_tensor(boxes)
    classes[: len(boxes)] = torch.as_tensor(box_classes)
    return padded, classes


def draw_boxes(boxes: torch.Tensor, box_classes: torch.Tensor, size: int, class_count: int = 1) -> torch.Tensor:
    """The condition image of CPGGAN: 1 on each pixel that a box touches, 0 elsewhere, a channel for each box class.

    The paper (section 3, 2) says only that both networks are conditioned on boxes, not how they are drawn. Boxes of a
    class that overlap become one area. On a GPU nothing waits for it.

    Args:
        boxes: (..., M, 4) in pixels of the image; any leading axes, such as a batch.
        box_classes: (..., M) integers; boxes of class -1 are padding.
        size: S, the side of the square image in pixels.
        class_count: K.

    Returns:
        (..., K, S, S) float32, on the device of the boxes.

    Raises:
        ValueError: on the CPU, a box without size or a class out of range (on a GPU the check would wait for it).
    """
    if boxes.device.type == "cpu":
        _check_drawn(boxes, box_classes, class_count)
    start = torch.arange(size, device=boxes.device)  # pixel i covers [i, i + 1)
    inside = [
        ((start < boxes[..., axis + 2, None]) & (start + 1 > boxes[..., axis, None])).float() for axis in (0, 1)
    ]  # (..., M, S) each
    is_class = (box_classes[..., None, :] == torch.arange(class_count, device=boxes.device)[:, None]).float()
    columns = is_class[..., None] * inside[0][..., None, :, :]  # (..., K, M, S)
    counts = columns.transpose(-1, -2) @ inside[1][..., None, :, :]  # (..., K, S, S): boxes on each pixel
    return counts.float().clamp(max=1)


def read_plane(item: Item) -> tuple[int, int]:
    """Pixels (X, Y) of a 2D image in the axes of its slice; of pictures and NIfTI only the header is read.

    Raises:
        DatasetError: unreadable, or a volume of several slices.
    """
    file = image_files(item)[0]
    try:
        plane = shared_plane([item], sys.maxsize)
        voxels = math.prod(nib.load(file).shape[:3]) if file.endswith((".nii", ".nii.gz")) else 0  # type: ignore[attr-defined]
    except (OSError, nib.filebasedimages.ImageFileError):  # reading says what is wrong
        plane, voxels = None, 0
    if plane is None:
        shape = _in_slice_axes(read_image(item["image"])).shape
        plane, voxels = (shape[1], shape[2]), math.prod(shape[1:])
    slices = max(1, voxels // math.prod(plane))
    if slices > 1:
        raise DatasetError(f"{file} has boxes but is a volume of {slices} slices. Give it a label map instead.")
    return plane


def _check_item(item: Item, class_count: int) -> tuple[int, int]:
    """The plane of an item with boxes, once these are known to be sound."""
    plane = read_plane(item)
    for check, details in find_box_faults(item, plane, class_count):
        raise DatasetError(f"{image_files(item)[0]}: {check}: {details}. Correct the item in dataset.json.")
    return plane


def _check_drawn(boxes: torch.Tensor, box_classes: torch.Tensor, class_count: int) -> None:
    real = box_classes != PADDING_CLASS
    for box, number in zip(boxes[real].tolist(), box_classes[real].tolist(), strict=True):
        if not (box[0] < box[2] and box[1] < box[3]):
            raise ValueError(f"The box {box} has no size: expected x0 < x1 and y0 < y1. Correct it or leave it out.")
        if not 0 <= number < class_count:
            raise ValueError(f"A box has class {number}: expected 0..{class_count - 1}. Raise class_count.")


def _in_slice_axes(image: Any) -> np.ndarray:
    return np.asarray(CanonicalOrientationd("image")({"image": image})["image"])
