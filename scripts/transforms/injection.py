"""A synthetic set of this project inside the MONAI pipeline of somebody else's training."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.transforms import MapTransform, RandomizableTransform
from monai.utils import convert_to_dst_type

from scripts.data.contract import Dataset, DatasetError, Item, read_dataset
from scripts.data.memorised import is_memorised
from scripts.data.splits import check_synthetic_sources, check_trained_on
from scripts.transforms.loading import LoadItemd


class RandInjectSyntheticd(RandomizableTransform, MapTransform):
    """Replaces a real 2D image and its label map by a synthetic pair, with a probability; for training pipelines only.

    It stands after the transforms that load, orient and map label values, before scaling and augmentation. The pair
    takes the type and device of what it replaces, and keeps its own size; all other keys stay as they are. It is in
    LPS axes, as pictures show it: x to the patient's left, y to the back.

    Args:
        keys: of the image (C, X, Y), and of the label map (1, X, Y) where the pipeline has one.
        synthetic_dir: folder of the synthetic set; it is described on the disk, and images are read when drawn.
        prob: share of the items to replace, in [0, 1].
        intensity_range: what -1 and 1 of a synthetic image become, such as (0, 255) beside pictures of 8 bits; any
            range will do where each image is scaled by its own minimum and maximum, or standardised, afterwards.
        only_class: draws images of this class only.
        balance_classes: draws a class, then one of its images.
        class_key: key that takes the class: its name where the real item has text, else its place in `classes`.
        held_out: patients of validation and test. Images made from them, or by a generator that knows them, are
            refused, and so is a set that doesn't say.
        allow_memorised: this set's folder or its name, where it is to be used although it failed its audit.

    Raises:
        DatasetError: no such set, one without label maps, an unknown class, items without class where it counts, a
            held-out patient behind the set, or one that repeats training images; in a call, a real image that is no
            loaded 2D image of as many channels, or a synthetic file that can't be read.
        ValueError: more keys than two, a probability outside [0, 1], or text for `held_out`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        synthetic_dir: str | Path,
        prob: float = 0.1,
        *,
        intensity_range: tuple[float, float] = (-1.0, 1.0),
        only_class: str | None = None,
        balance_classes: bool = False,
        class_key: Hashable | None = None,
        held_out: Collection[str] = (),
        allow_memorised: Any = None,
    ) -> None:
        MapTransform.__init__(self, keys)
        RandomizableTransform.__init__(self, prob)
        if len(self.keys) > 2:
            raise ValueError(f"keys are {self.keys}, expected the image's, and the label map's if there is one.")
        synthetic = read_dataset(synthetic_dir)
        _check_held_out(synthetic, held_out)
        is_memorised(synthetic.root, synthetic.memorisation, allow_memorised)
        self.intensity_range = intensity_range
        self.class_key = class_key
        self.names = ("image", "label")[: len(self.keys)]
        self.load = LoadItemd(
            self.names, channel_count=synthetic.channel_count, foreground_count=synthetic.foreground_count
        )
        items = _select(
            synthetic, only_class, labelled="label" in self.names, classed=balance_classes or class_key is not None
        )
        groups = sorted({item["class_index"] for item in items}) if balance_classes else [None]
        self.groups = [[item for item in items if group in (None, item["class_index"])] for group in groups]
        self.drawn: Item = items[0]

    def randomize(self, data: Any = None) -> None:
        """Draws whether to replace, and by which item."""
        super().randomize(None)
        if self._do_transform:
            group = self.groups[self.R.randint(len(self.groups))]
            self.drawn = group[self.R.randint(len(group))]

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        for key, channel_count in zip(self.keys, (self.load.channel_count, 1), strict=False):
            _check_real(data[key], channel_count, key)
        injected = dict(data)
        self.randomize()
        if not self._do_transform:
            return injected
        loaded: dict[Hashable, Any] = self.load({name: self.drawn[name] for name in self.names})
        low, high = self.intensity_range
        loaded["image"] = (loaded["image"] + 1) * ((high - low) / 2) + low
        for key, name in zip(self.keys, self.names, strict=True):
            injected[key] = _give_form(loaded[name], data[key], str(self.drawn[name]))
        if self.class_key is not None:
            text = isinstance(data[self.class_key], str)
            injected[self.class_key] = self.drawn["class" if text else "class_index"]
        return injected


def _check_real(real: Any, channel_count: int, key: Hashable) -> None:
    """Raises DatasetError for what is no loaded 2D image (C, X, Y) of so many channels."""
    found = tuple(real.shape) if hasattr(real, "shape") else repr(real)
    if len(getattr(real, "shape", ())) != 3 or len(real) != channel_count:
        raise DatasetError(
            f"{key!r} is {found}, expected ({channel_count}, X, Y) like the synthetic one. Put RandInjectSyntheticd "
            "after LoadImaged and EnsureChannelFirstd and before labels become one-hot; cut volumes into slices first "
            "(RandSpatialCropd with roi_size (-1, -1, 1), then SqueezeDimd)."
        )


def _give_form(made: MetaTensor, real: Any, file: str) -> Any:
    """A synthetic image or label map (C, X, Y[, 1]) as (C, X, Y), of the type and device of a real one."""
    plane = made.as_tensor()
    given, *_ = convert_to_dst_type(plane.squeeze(3) if plane.ndim == 4 else plane, real)
    if isinstance(given, MetaTensor):
        given.meta["filename_or_obj"] = file
    return given


def _check_held_out(synthetic: Dataset, held_out: Collection[str]) -> None:
    """Raises DatasetError where the set or its generator knows one of these patients, ValueError for a single name."""
    if isinstance(held_out, str):
        raise ValueError(f"held_out is {held_out!r}, expected a collection of patients. Put the name into a list.")
    patients = [{"patient": str(patient)} for patient in held_out]
    known = Dataset(Path(), "held out", modality=[], labels=[], splits={"validation": patients})
    check_synthetic_sources(synthetic.items, known)
    if held_out:
        check_trained_on(synthetic.trained_on, synthetic.root, known)


def _select(synthetic: Dataset, only_class: str | None, *, labelled: bool, classed: bool) -> list[Item]:
    """The items to draw from.

    Raises:
        DatasetError: one lacks the label map or the class that is needed, or the class is unknown.
    """
    items = synthetic.items
    if labelled and any(item["label"] is None for item in items):
        raise DatasetError(
            f"{synthetic.root} has boxes in place of label maps. Name the image's key alone, or take a set with masks."
        )
    if classed and any(item["class"] is None for item in items):
        raise DatasetError(
            f"{synthetic.root} has images without a class. Leave balance_classes and class_key out, or synthesise with "
            "classes."
        )
    if only_class is not None:
        items = [item for item in items if item["class"] == only_class]
        if not items:
            raise DatasetError(
                f"{synthetic.root}: no image of the class {only_class!r}; its classes are {synthetic.classes}. "
                "Name one of them, or synthesise it."
            )
    return items
