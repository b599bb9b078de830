"""Loading the items of a data set, and the checks that every item must pass before a network sees it."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform

from scripts.data.contract import Dataset, DatasetError, image_files
from scripts.transforms.reading import check_affine, lay_on, read_image, read_label

MOST_SYNTHETIC = 1.01  # of an image in [-1, 1], whose format rounds


@dataclass
class LoadedItem:
    """What reading an item gave: image (C, X, Y[, Z]), label (1, X, Y[, Z]), and all that is wrong with them.

    A fault is the short name of a check and a message that names the file. Image or label are None where they could not
    be read or are not asked for; without faults they are on one grid.
    """

    image: MetaTensor | None = None
    label: MetaTensor | None = None
    faults: list[tuple[str, str]] = field(default_factory=list)


class LoadItemd(MapTransform):
    """Loads an item's `image` and `label` by the contract and checks them, so that training starts on sound data.

    An item that has `boxes` and None for a label map gets one without any lesion, for its boxes say where they are. A
    label map comes on the grid of its image, see `lay_on`. `doctor` lists what `read` finds; a call refuses the item.

    Args:
        keys: "image", "label" or both.
        channel_count: channels every image must have.
        foreground_count: labels besides the background; label maps hold 0..foreground_count.
        label_values: value in the label file -> label, for values that differ. Synthetic items hold labels already.
        ignore_geometry: trusts the arrays where the headers of image and label disagree.
        threshold_masks: takes values of a mask that stand for no label to the nearest that does, see `read_label`.

    Returns of a call: `image` float32 (C, X, Y[, Z]) and `label` float32 (1, X, Y[, Z]), both MetaTensor.

    Raises:
        DatasetError: unreadable file, wrong number of channels, NaN or infinity, a label value outside the labels,
            neither label nor boxes, or image and label of different shape or place. The message names the file.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        channel_count: int,
        foreground_count: int,
        label_values: Mapping[int, int] | None = None,
        ignore_geometry: bool = False,
        threshold_masks: bool = False,
    ) -> None:
        super().__init__(keys)
        self.channel_count = channel_count
        self.foreground_count = foreground_count
        self.label_values = dict(label_values or {})
        self.ignore_geometry = ignore_geometry
        self.threshold_masks = threshold_masks

    @classmethod
    def of(cls, description: Dataset, keys: KeysCollection) -> LoadItemd:
        """The loader of a data set's items."""
        return cls(
            keys,
            channel_count=description.channel_count,
            foreground_count=description.foreground_count,
            label_values=description.label_values,
            ignore_geometry=description.ignore_geometry,
            threshold_masks=description.threshold_masks,
        )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        loaded: dict[Hashable, Any] = dict(data)
        keys = list(self.key_iterator(loaded))
        read = self.read(data, keys)
        for _, message in read.faults:
            raise DatasetError(message)
        return loaded | {key: getattr(read, str(key)) for key in keys}

    def read(self, data: Mapping[Any, Any], keys: Iterable[Hashable] = ("image", "label")) -> LoadedItem:
        """Reads an item and finds all that is wrong with its files; raises nothing for it."""
        item = LoadedItem()
        if "image" in keys:
            try:
                image = read_image(data["image"], ignore_geometry=self.ignore_geometry)
                check_affine(image, image_files(dict(data))[0])
            except DatasetError as error:
                item.faults.append(("image cannot be read", str(error)))
            else:
                item.image = image
                item.faults += self._find_image_faults(image, data["image"])
                if data.get("synthetic") and (most := float(image.abs().max())) > MOST_SYNTHETIC:
                    message = f"{data['image']} is synthetic and has {most:g}, expected [-1, 1]. Synthesise it again."
                    item.faults.append(("synthetic image beyond [-1, 1]", message))
        if "label" in keys:
            self._add_label(item, data)
        return item

    def _add_label(self, item: LoadedItem, data: Mapping[Any, Any]) -> None:
        file = data["label"]
        if file is None and data.get("boxes") is None:
            message = f"{data['image']} has neither a label map nor boxes. Give one of them in dataset.json."
            item.faults.append(("neither label map nor boxes", message))
        elif file is None:
            item.label = None if item.image is None else torch.zeros_like(item.image[:1])  # type: ignore[assignment]
        else:
            try:
                label = read_label(
                    file,
                    {} if data.get("synthetic") else self.label_values,
                    foreground_count=self.foreground_count,
                    threshold_masks=self.threshold_masks and not data.get("synthetic"),
                )
                check_affine(label, file)
            except DatasetError as error:
                item.faults.append(("label cannot be read", str(error)))
                return
            item.label = label
            item.faults += self._find_label_faults(label, file)
            if item.image is not None:
                self._place(item, file, data["image"])

    def _place(self, item: LoadedItem, file: str, image: str | Sequence[str]) -> None:
        """Brings the label map to the grid of the image."""
        assert item.image is not None
        assert item.label is not None
        first = image if isinstance(image, str) else image[0]
        try:
            item.label = lay_on(item.image, item.label, file, first, ignore_geometry=self.ignore_geometry)
        except DatasetError as error:
            item.faults.append(("label does not lie on its image", str(error)))

    def _find_image_faults(self, image: MetaTensor, paths: str | Sequence[str]) -> list[tuple[str, str]]:
        faults = []
        if image.shape[0] != self.channel_count:
            message = (
                f"{paths} has {image.shape[0]} channels, expected {self.channel_count}, as many as 'modality' in "
                "dataset.json names. Correct it there if all images are so, else mend this one."
            )
            faults.append(("wrong number of channels", message))
        finite = torch.isfinite(image)
        if not finite.all():
            bad = (~finite).flatten(1).sum(1)  # (C,)
            files = [paths] if isinstance(paths, str) else paths
            if len(files) == len(bad):
                files = [file for file, count in zip(files, bad, strict=True) if count]
            shown = ", ".join(files)
            message = f"{shown} holds NaN or infinity in {int(bad.sum())} pixels. Replace them, or remove the item."
            faults.append(("NaN or infinity", message))
        return faults

    def _find_label_faults(self, label: MetaTensor, path: str) -> list[tuple[str, str]]:
        values = [int(value) for value in label.unique()]
        unknown = [value for value in values if not 0 <= value <= self.foreground_count]
        if not unknown:
            return []
        shown = ", ".join(map(str, unknown[:5])) + (" ..." if len(unknown) > 5 else "")
        message = (
            f"{path} holds the label {shown}, expected 0..{self.foreground_count}. Declare it in 'labels' of "
            "dataset.json, or map it with 'label_values'."
        )
        return [("unknown label value", message)]
