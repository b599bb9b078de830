"""Reading the contract's files, and the checks that every item must pass before a network sees it."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import itk
import torch
from monai.config import KeysCollection
from monai.data import ITKReader, MetaTensor
from monai.transforms import LoadImage, MapTransform

from scripts.data.contract import DatasetError, show_colour
from scripts.transforms.layers import check_layers

# Where pydicom is installed, MONAI says twice at every `LoadImage` that NVIDIA's decoder is not; nothing here needs it.
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader: nvImageCodec")

RESCALE_TAGS = {"0028|1053": "RescaleSlope", "0028|1052": "RescaleIntercept"}


def read_image(paths: str | Sequence[str], kind: str = "image") -> MetaTensor:
    """Reads one file, or one file per channel, as MONAI's `LoadImage` does: float32 (C, X, Y[, Z]).

    A folder is read as the DICOM series in it by ITK: slices in the order of their positions, values after rescale
    slope and intercept (CT: Hounsfield units).

    Args:
        paths: files or folders.
        kind: what an error calls a missing file.

    Raises:
        DatasetError: a file is missing or unreadable; a folder does not hold one DICOM series; a CT file in DICOM
            form lacks the rescale tags. The message names the file.
    """
    files = [paths] if isinstance(paths, str) else list(paths)
    for file in files:
        if not Path(file).exists():
            raise DatasetError(f"No {kind} file {file}. Correct its path in dataset.json or restore the file.")
    series = [_find_dicom_files(file) for file in files]
    try:
        for file in (file for listed in series for file in listed):
            _check_rescale(file)
        load = LoadImage(image_only=True, ensure_channel_first=True)
        dicom = ITKReader(pixel_type=itk.F) if any(series) else None  # slopes may differ by slice: no integers
        return load(files[0] if len(files) == 1 else files, reader=dicom)
    except DatasetError:
        raise
    except Exception as error:  # readers raise many types; the file's name is what the user needs
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise DatasetError(f"Cannot read {', '.join(files)}: {reason} Replace the file or remove its item.") from error


def _find_dicom_files(path: str) -> list[str]:
    """The DICOM files that an image's path stands for: those of a folder's one series, or itself; else none."""
    if not Path(path).is_dir():
        with open(path, "rb") as stream:
            return [path] if stream.read(132)[128:] == b"DICM" or path.lower().endswith(".dcm") else []
    names = itk.GDCMSeriesFileNames.New()  # set up as MONAI's ITKReader does
    names.SetUseSeriesDetails(True)
    names.AddSeriesRestriction("0008|0021")
    names.SetDirectory(path)
    found = list(names.GetSeriesUIDs())
    if not found:
        raise DatasetError(f"{path} is a folder without DICOM files. Name a file, or the folder of one DICOM series.")
    if len(found) > 1:
        raise DatasetError(
            f"{path} holds {len(found)} DICOM series, or one whose slices differ in size, thickness or direction. "
            "Give each series a folder of its own, and remove localisers."
        )
    return list(names.GetFileNames(found[0]))


def _check_rescale(file: str) -> None:
    """Raises DatasetError where a CT file does not say how its numbers become Hounsfield units."""
    header = itk.GDCMImageIO.New()
    header.SetFileName(file)
    header.ReadImageInformation()
    tags = header.GetMetaDataDictionary()
    if not tags.HasKey("0008|0060") or tags["0008|0060"].strip() != "CT":
        return
    missing = [f"{name} ({tag.replace('|', ',')})" for tag, name in RESCALE_TAGS.items() if not tags.HasKey(tag)]
    if missing:
        raise DatasetError(
            f"{file}: modality CT, but no {' and no '.join(missing)}, so its numbers cannot become Hounsfield units. "
            "Export the series again with these tags, or convert it to NIfTI in Hounsfield units."
        )


def read_label(path: str, label_values: Mapping[int, int] | None = None) -> MetaTensor:
    """Reads a label map, (1, X, Y[, Z]) float32 with whole numbers; `label_values` maps values in the file to labels.

    Values within 1e-3 of a whole number are rounded (some public label maps hold 0.99999997 for 1). In a picture of
    three or four channels (RGB, RGBA) a pixel's value is its colour code 0xRRGGBB; there black is background, and
    every other colour must be in `label_values`. Elsewhere unlisted values stand for themselves.

    Raises:
        DatasetError: unreadable, several channels but no picture, NaN, a value that is no whole number, or a colour
            that is not listed.
    """
    check_layers(path)
    label = read_image(path, "label")
    if label.ndim == 3 and label.shape[0] in (3, 4):
        label = _read_colours(label, path, label_values or {})
    if label.shape[0] != 1:
        raise DatasetError(f"{path}: a label map has one channel, this file has {label.shape[0]}. Store label numbers.")
    rounded = label.round()
    if not torch.isfinite(label).all() or float((label - rounded).abs().max()) > 1e-3:
        raise DatasetError(f"{path}: holds values that are no label numbers. Store whole numbers (0, 1, 2 ...).")
    mapped: MetaTensor = rounded.clone()  # type: ignore[assignment]
    for value, target in (label_values or {}).items():
        mapped[rounded == value] = target
    return mapped


def _read_colours(picture: MetaTensor, path: str, label_values: Mapping[int, int]) -> MetaTensor:
    """Colour codes (1, X, Y) of a picture (3 or 4, X, Y) of 8 bits; float32 holds all 24-bit codes exactly."""
    codes: MetaTensor = picture[:1] * 0x10000 + picture[1:2] * 0x100 + picture[2:3]  # type: ignore[assignment]
    unlisted = sorted({int(code) for code in codes.unique()} - {0, *label_values})
    if unlisted:
        others = f" and {len(unlisted) - 1} more that are not" if len(unlisted) > 1 else ", which is not"
        colour = show_colour(unlisted[0])
        raise DatasetError(
            f"{path} holds the colour {colour}{others} in the colour table. Add it there and prepare again, or to "
            f"'label_values' in dataset.json (\"{colour}\": label); masks must be stored without loss (PNG, not JPEG)."
        )
    return codes


class LoadItemd(MapTransform):
    """Loads an item's `image` and `label` by the contract and checks them, so that training starts on sound data.

    An item that has `boxes` and None for a label map gets one without any lesion, for its boxes say where they are.

    Args:
        keys: "image", "label" or both; a missing label key is skipped if allow_missing_keys is set.
        channel_count: channels every image must have.
        foreground_count: labels besides the background; label maps hold 0..foreground_count.
        label_values: value in the label file -> label, for values that differ. Synthetic items hold labels already.

    Returns of a call: `image` float32 (C, X, Y[, Z]) and `label` float32 (1, X, Y[, Z]), both MetaTensor.

    Raises:
        DatasetError: unreadable file, wrong number of channels, NaN or infinity, a label value outside the labels,
            neither label nor boxes, or image and label of different shape. The message names the file.
    """

    def __init__(
        self,
        keys: KeysCollection,
        *,
        channel_count: int,
        foreground_count: int,
        label_values: Mapping[int, int] | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.channel_count = channel_count
        self.foreground_count = foreground_count
        self.label_values = dict(label_values or {})

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        loaded: dict[Hashable, Any] = dict(data)
        for key in self.key_iterator(loaded):
            if key == "label" and data[key] is None:
                loaded[key] = _make_empty_label(data, loaded.get("image"))
            elif key == "label":
                loaded[key] = self._label(data[key], {} if data.get("synthetic") else self.label_values)
            else:
                loaded[key] = self._image(data[key])
        if "image" in self.keys and "label" in self.keys and "label" in loaded:
            if loaded["image"].ndim == 3 and loaded["label"].ndim == 4 and loaded["label"].shape[-1] == 1:
                loaded["label"] = loaded["label"][..., 0]  # viewers store the label of a plane image as a volume
            image, label = loaded["image"].shape[1:], loaded["label"].shape[1:]
            if image != label:
                raise DatasetError(
                    f"{data['label']} is {_size(label)} but its image {data['image']} is {_size(image)}. "
                    "Resample one onto the other."
                )
        return loaded

    def _image(self, paths: str | Sequence[str]) -> MetaTensor:
        image = read_image(paths)
        if image.shape[0] != self.channel_count:
            raise DatasetError(
                f"{paths} has {image.shape[0]} channels, expected {self.channel_count}. Pass --image_channels "
                f"{image.shape[0]} if all images are so (`python -m scripts doctor` lists them), or mend this one."
            )
        if not torch.isfinite(image).all():
            raise DatasetError(f"{paths} holds NaN or infinity. Replace those pixels, or remove the item.")
        return image

    def _label(self, path: str, label_values: Mapping[int, int]) -> MetaTensor:
        label = read_label(path, label_values)
        low, high = int(label.min()), int(label.max())
        if low < 0 or high > self.foreground_count:
            raise DatasetError(
                f"{path} holds the label {high if high > self.foreground_count else low}, expected "
                f"0..{self.foreground_count}. Declare it in dataset.json ('labels', or 'label_values' to map it) and "
                "pass the matching --label_count."
            )
        return label


def _make_empty_label(data: Mapping[Hashable, Any], image: Any) -> MetaTensor:
    if data.get("boxes") is None or not isinstance(image, MetaTensor):
        raise DatasetError(f"{data['image']} has neither a label map nor boxes. Give one of them in dataset.json.")
    return torch.zeros_like(image[:1])  # type: ignore[return-value]


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
