"""Reading the contract's files: images and label maps, and whether they say where in the patient they lie."""

from __future__ import annotations

import itertools
import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import ITKReader, MetaTensor
from monai.transforms import LoadImage, Orientation
from monai.utils import MetaKeys, SpaceKeys

from scripts.data.contract import DatasetError
from scripts.transforms.dicom import HAS_ITK, is_dicom, read_dicom
from scripts.transforms.label_values import (
    NEARLY_WHOLE,
    check_colours,
    check_layers,
    clean_colours,
    clean_values,
    find_values,
    has_colours,
    map_values,
    round_values,
)
from scripts.transforms.pictures import is_lossy, is_picture, read_picture
from scripts.untrusted import find_irregular

# Where pydicom is installed, MONAI says twice at every `LoadImage` that NVIDIA's decoder is not; nothing here needs it.
logging.getLogger("monai.data.nvimgcodec_pydicom_plugin").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", message="NvImgCodecPydicomReader: nvImageCodec")

NIFTI = (".nii", ".nii.gz", ".hdr", ".img", ".img.gz", ".hdr.gz")
ITK = (".nrrd", ".nhdr", ".mha", ".mhd")
LPS_IDENTITY = np.diag([-1.0, -1.0, 1.0, 1.0])  # NIfTI is RAS: this affine says that x goes left and y to the back
AXIS_LABELS = (("L", "R"), ("P", "A"), ("I", "S"))  # given in full: MONAI's default differs between versions
PLACED = "placed"  # in the meta data: whether the file says where in the patient it lies
CHANGED = "changed_pixels"  # in the meta data of a label map: how many were taken to the nearest label
SLACK = 0.1  # voxels that headers may differ by: rounding of spacings and directions in files
FLATTEST = 1e-3  # volume of a voxel over that of a brick with its edges


def read_image(paths: str | Sequence[str], kind: str = "image", *, ignore_geometry: bool = False) -> MetaTensor:
    """Reads one file, or one file per channel: float32 (C, X, Y[, Z]), values as stored or as headers rescale them.

    A folder is read as the DICOM series in it, see `read_dicom`. Pictures stand upright and have one channel or red,
    green and blue, see `read_picture`; other formats have the channels of the file. Channels in files of their own are
    brought to the axes of the first.

    Args:
        paths: files or folders.
        kind: what an error calls a missing file.
        ignore_geometry: of channels in files of their own: takes their arrays as they are, whatever headers say.

    Raises:
        DatasetError: a file is missing or unreadable, or channels differ in size or place. The message names the file.
    """
    if isinstance(paths, str):
        return _read(paths, kind)
    channels = [_read(path, kind) for path in paths]
    check_affine(channels[0], paths[0])
    for n, path in enumerate(paths[1:], start=1):
        channels[n] = lay_on(channels[0], channels[n], path, paths[0], ignore_geometry=ignore_geometry)
    stacked = np.concatenate([np.asarray(channel) for channel in channels])
    return MetaTensor(stacked, meta=channels[0].meta)


def read_label(
    path: str,
    label_values: Mapping[int, int] | None = None,
    *,
    foreground_count: int | None = None,
    threshold_masks: bool = False,
) -> MetaTensor:
    """Reads a label map, (1, X, Y[, Z]) float32 with whole numbers; `label_values` maps values in the file to labels.

    Args:
        path: of the file or folder.
        label_values: value in the file -> label; others stand for themselves. For colours see `find_values`.
        foreground_count: labels besides the background, for `threshold_masks`.
        threshold_masks: takes values that stand for no label to the nearest that does, and counts them in the meta data
            (`CHANGED`). In a lossy file those listed, or else 0..foreground_count, stand for labels, and without either
            0 and 255.

    Raises:
        DatasetError: unreadable, lossy (JPEG) unless `threshold_masks`, several channels but no picture, NaN, a value
            that is no whole number, or a colour that is not listed.
    """
    label_values = label_values or {}
    check_layers(path)
    label = _read(path, "label", is_label=True)
    lossy = is_picture(path) and is_lossy(path)
    if lossy and not threshold_masks:
        raise DatasetError(
            f"{path} is a label map stored with loss (JPEG), which changes its numbers. Store it as PNG, or prepare "
            "with --threshold_masks, which takes each pixel to the nearest label."
        )
    colours = is_picture(path) and has_colours(label_values)
    values = find_values(np.asarray(label), path, colours=colours, lossy=lossy)
    listed = sorted({0, *label_values})
    own = [] if foreground_count is None else list(range(foreground_count + 1))
    if colours:
        cleaned = clean_colours(values, listed) if threshold_masks else check_colours(values, listed, path)
    elif threshold_masks:
        known = (listed if label_values else own or [0, 255]) if lossy else listed + own
        cleaned = clean_values(values, known, path)
    else:
        cleaned = round_values(values, path)
    changed = int((np.abs(values - cleaned) > NEARLY_WHOLE).sum())
    mapped = map_values(cleaned, label_values).astype(np.float32)
    return MetaTensor(mapped, meta=label.meta | {CHANGED: changed})


def lay_on(image: MetaTensor, other: MetaTensor, path: str, image_path: str, *, ignore_geometry: bool) -> MetaTensor:
    """A label map, or another channel, on the grid of the image: same axes, same order, the same affine.

    Where both files say where they lie, the axes are turned and the places compared. Where one does not (pictures,
    NIfTI without a coordinate system), or with `ignore_geometry`, arrays are taken as they are. A single slice may have
    a third axis or not.

    Args:
        image: (C, X, Y[, Z]).
        other: (K, X, Y[, Z]).
        path, image_path: of their files, for errors.
        ignore_geometry: trusts the arrays where headers disagree.

    Raises:
        DatasetError: another size, or another place by more than a tenth of a voxel.
    """
    check_affine(other, path)
    placed = image.meta[PLACED] and other.meta[PLACED] and not ignore_geometry
    if placed and image.ndim == other.ndim == 4:
        other = turn(other, find_codes(image.affine))
    array = np.asarray(other)
    if array.ndim == 4 and image.ndim == 3 and array.shape[-1] == 1:
        array = array[..., 0]  # viewers store the label of a plane image as a volume
    elif array.ndim == 3 and image.ndim == 4 and image.shape[-1] == 1:
        array = array[..., None]  # a picture drawn on an image in DICOM form
    if array.shape[1:] != image.shape[1:]:
        raise DatasetError(
            f"{path} is {_size(array.shape[1:])} but its image {image_path} is {_size(image.shape[1:])}. "
            "Resample one onto the other."
        )
    distance = _find_distance(image, other) if placed and array.ndim == 4 else 0.0
    if distance > SLACK:
        raise DatasetError(
            f"{path} lies {distance:.3g} voxels away from its image {image_path}, as their headers say. Resample one "
            "onto the other; if the arrays are known to match, prepare with --ignore_geometry."
        )
    grid = {MetaKeys.AFFINE: image.affine, MetaKeys.SPATIAL_SHAPE: np.array(image.shape[1:])}
    return MetaTensor(array, meta=other.meta | grid)


def turn(array: MetaTensor, codes: str) -> MetaTensor:
    """A volume (C, X, Y, Z) with its axes in the order and directions of the three letters; no trace is left."""
    if find_codes(array.affine) == codes:
        return array.clone()
    orientation = Orientation(axcodes=codes, labels=AXIS_LABELS)
    with orientation.trace_transform(False):
        return orientation(array)  # type: ignore[return-value]


def find_codes(affine: Any) -> str:
    """The letters of the patient's directions in which the axes of a volume run, such as "LPS"."""
    return _find_codes(np.asarray(affine, dtype=np.float64).tobytes())


@lru_cache(maxsize=1024)
def _find_codes(affine: bytes) -> str:
    """Of the 16 numbers of an affine; the images of a data set share few, and one takes half a millisecond."""
    return "".join(nib.orientations.aff2axcodes(np.frombuffer(affine).reshape(4, 4), labels=AXIS_LABELS))


def _find_distance(image: MetaTensor, other: MetaTensor) -> float:
    """How far the corners of a volume lie from those of another with as many voxels, in voxels of the first."""
    ends = [(0, max(1, side - 1)) for side in image.shape[1:]]
    corners = np.array([(*corner, 1.0) for corner in itertools.product(*ends)]).T  # (4, 8)
    between = np.linalg.inv(image.affine.numpy()) @ other.affine.numpy()
    return float(np.abs(between @ corners - corners).max())


def _read(path: str, kind: str, *, is_label: bool = False) -> MetaTensor:
    """One file: float32 (C, X, Y[, Z]), with its affine and whether it is placed by it."""
    if not Path(path).exists():
        raise DatasetError(f"No {kind} file {path}. Correct its path in dataset.json or restore the file.")
    if not os.path.isdir(path) and (found := find_irregular(path)):  # a folder holds a DICOM series
        raise DatasetError(f"{path} is {found}, expected a file. Correct its path in dataset.json.")
    try:
        array, affine, placed = _read_array(path, is_label=is_label)
    except DatasetError:
        raise
    except Exception as error:  # readers raise many types; the file's name is what the user needs
        reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
        raise DatasetError(f"Cannot read {path}: {reason} Replace the file or remove its item.") from error
    if array.dtype.kind not in "biuf":
        raise DatasetError(f"{path} holds {array.dtype}, expected one real number per pixel. Convert it.")
    if array.ndim not in (3, 4) or 0 in array.shape:
        raise DatasetError(f"{path} has the shape {_size(array.shape)}, expected channels of 2D or 3D pixels.")
    meta = {
        MetaKeys.AFFINE: affine,
        MetaKeys.ORIGINAL_AFFINE: affine,
        MetaKeys.SPACE: SpaceKeys.RAS,
        MetaKeys.SPATIAL_SHAPE: np.array(array.shape[1:]),
        MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),
        "filename_or_obj": path,
        PLACED: placed,
    }
    return MetaTensor(np.ascontiguousarray(array, dtype=np.float32), meta=meta)


def _read_array(path: str, *, is_label: bool) -> tuple[np.ndarray, np.ndarray, bool]:
    """Array (C, X, Y[, Z]) and affine (4, 4) of a file, and whether that is the file's own."""
    dicom, others = is_dicom(path), path.lower().endswith(ITK)
    if (dicom or others) and not HAS_ITK:
        raise DatasetError(f"{path} is read by ITK, which is not installed. Run `pip install itk-core itk-io`.")
    if dicom:
        array, place = read_dicom(path)
        return array, LPS_IDENTITY if place is None else place, place is not None
    if is_picture(path):
        array = read_picture(path, is_label=is_label)
        return array, LPS_IDENTITY if array.ndim == 4 else np.eye(4), False
    if path.lower().endswith(NIFTI):
        return _read_nifti(path)
    if path.lower().endswith(".npy"):
        return np.load(path)[None], np.eye(4), False
    reader = ITKReader() if others else None
    loaded: Any = LoadImage(image_only=True, ensure_channel_first=True)(path, reader=reader)
    return np.asarray(loaded), loaded.affine.numpy(), not path.endswith((".npy", ".npz"))


def _read_nifti(path: str) -> tuple[np.ndarray, np.ndarray, bool]:
    """NIfTI and Analyze; the affine is the sform, else the qform. (MONAI exchanges them where spacings differ.)"""
    volume: Any = nib.load(path)
    array = np.asanyarray(volume.dataobj)
    if array.dtype.fields or np.iscomplexobj(array):
        raise DatasetError(f"{path} holds colours or complex numbers, expected one number per voxel. Convert it.")
    if array.ndim == 5 and array.shape[3] == 1:
        array = array[..., 0, :]  # vectors: the fourth axis is time
    placed = isinstance(volume, nib.Nifti1Pair) and bool(volume.header["sform_code"] or volume.header["qform_code"])
    return np.moveaxis(array, 3, 0) if array.ndim == 4 else array[None], volume.affine, placed


def check_affine(array: MetaTensor, path: str) -> None:
    """Raises DatasetError for a file whose affine takes different voxels to one place."""
    affine = np.asarray(array.affine)
    edges = affine[: len(affine) - 1, : len(affine) - 1]
    brick = np.prod(np.linalg.norm(edges, axis=0)) if np.isfinite(affine).all() else 0.0
    if not brick or abs(np.linalg.det(edges)) < FLATTEST * brick:
        raise DatasetError(
            f"{path}: the affine in its header gives voxels no size or place. Write the header again, or convert the "
            "image once more from its source."
        )


def _size(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
