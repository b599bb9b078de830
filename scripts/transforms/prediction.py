"""From the segmenter's logits to a label map."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from monai.config import KeysCollection
from monai.transforms import MapTransform, SaveImaged

from scripts.data.atomic import replacing
from scripts.data.contract import stem


class ToLabelMapd(MapTransform):
    """Logits (K, X, Y[, Z]), one channel per foreground label, to a label map (1, X, Y[, Z]).

    A pixel takes the label with the highest logit where that exceeds 0 (probability .5), else 0, the background.
    """

    def __init__(self, keys: KeysCollection = "pred") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        return {**data, **{key: to_label_map(data[key]) for key in self.key_iterator(data)}}


class NameOutputd(MapTransform):
    """Tells `SaveImaged` to call the file after the item's `name`, else after its image.

    A name may have folders, `a/img/0`: `SaveImaged(data_root_dir=".")` makes them in its output folder.
    """

    def __init__(self, keys: KeysCollection = "pred") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        named = dict(data)
        for key in self.key_iterator(named):
            meta = named[key].meta
            name = named["name"] if "name" in named else stem(str(meta.get("filename_or_obj", "image")))
            meta["filename_or_obj"] = f"{name}.nii.gz"
        return named


class SaveWholed(SaveImaged):
    """`SaveImaged` whose files are whole or absent; a WriteError where one cannot be written."""

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        for key in self.key_iterator(dict(data)):
            named = self.saver.fname_formatter(data[key].meta, self.saver)
            with replacing(Path(self.saver.folder_layout.filename(**named))) as temporary:
                self.saver(data[key], filename=str(temporary).removesuffix(self.saver.output_ext))
        return dict(data)


class ShapeForLabelServerd(MapTransform):
    """Gives label maps of plane images, (1, X, Y), the shape in which MONAI Label writes them on their image's grid.

    It would take (1, X, Y) for a volume of one column. Pictures get (X, Y). NIfTI files get one slice, (1, X, Y, 1),
    since Label writes no affine of fewer dimensions. Volumes (1, X, Y, Z) stay as they are. Put it after `SaveImaged`.

    Args:
        keys: label maps; `image` is theirs, whose `spatial_shape` Label compares with.
    """

    def __init__(self, keys: KeysCollection = "pred") -> None:
        super().__init__(keys)

    def __call__(self, data: Mapping[Any, Any]) -> dict[Any, Any]:
        shaped = dict(data)
        for key in self.key_iterator(shaped):
            label, meta = shaped[key], shaped["image"].meta
            if label.ndim == 3 and str(meta.get("filename_or_obj", "")).endswith((".nii", ".nii.gz")):
                shaped[key] = label[..., None]  # (1, X, Y, 1)
                meta["spatial_shape"] = [*label.shape[1:], 1]
            elif label.ndim == 3:
                shaped[key] = label[0]  # (X, Y)
        return shaped


def to_label_map(logits: torch.Tensor) -> torch.Tensor:
    """Logits (K, ...) to labels (1, ...) of 0..K, uint8."""
    highest, channel = logits.max(dim=0, keepdim=True)
    return torch.where(highest > 0, channel + 1, torch.zeros_like(channel)).to(torch.uint8)
