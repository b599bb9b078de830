"""Reading DICOM: images of one series put in order by their positions; what positions cannot order is refused."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils import optional_import

from scripts.data.contract import DatasetError

itk, HAS_ITK = optional_import("itk")

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
SEGMENTATION = "1.2.840.10008.5.1.4.1.1.66.4"
RESCALE_TAGS = {"0028|1053": "RescaleSlope (0028,1053)", "0028|1052": "RescaleIntercept (0028,1052)"}
# What images at one position may differ in.
DISTINCTIONS = {
    "0018|0081": "echo time",
    "0020|0100": "temporal position",
    "0018|1060": "trigger time",
    "0018|9087": "b-value",
    "0020|0012": "acquisition",
    "0008|0032": "acquisition time",
    "0008|0008": "image type",
}
SAME_POSITION = 1e-3  # mm
UNEVEN = 0.1  # of the usual distance between neighbours
CONVERT = "or convert the series to NIfTI"


@dataclass(frozen=True)
class Frame:
    """An image of a series: where it comes from, and its place in the patient, in mm and LPS axes, if it says any."""

    file: str
    number: int  # in its file, from 0
    position: np.ndarray | None  # (3,) of the first pixel's centre
    directions: np.ndarray | None  # (2, 3): along a row, along a column
    spacing: np.ndarray  # (2,): between rows, between columns

    def same_grid(self, other: Frame) -> bool:
        """Whether both have their pixels as far apart and in the same directions."""
        if self.directions is None or other.directions is None:
            return self.directions is other.directions
        return np.allclose(self.directions, other.directions, atol=1e-3) and np.allclose(self.spacing, other.spacing)


def is_dicom(path: str) -> bool:
    """Whether a path stands for DICOM: a folder, or a file of that format whatever it is called."""
    if Path(path).is_dir() or path.lower().endswith(".dcm"):
        return True
    with open(path, "rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def read_dicom(path: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Reads a file, or the one series of a folder.

    Returns:
        float32 (1, X, Y, Z), X along the rows, Z by position along the normal, values after rescale slope and intercept
        (CT: Hounsfield units), brighter where higher; the affine (4, 4) to RAS in mm, which has the shear of a tilted
        gantry, or None where the image has no position.

    Raises:
        DatasetError: no DICOM file, several series or directions, images without position or several at one, uneven
            distances, colour, a segmentation object, or a CT file without the rescale tags. The message names the file.
    """
    files = _find_files(path)
    headers = [_read_header(file) for file in files]
    _check_one_series(path, headers)
    for file, header in zip(files, headers, strict=True):
        _check_kind(file, header)
    frames = _list_frames(files, headers)
    order = _order(path, frames, headers)
    # ITK turns the pixels of MONOCHROME1, so that higher is brighter.
    images = {file: itk.array_from_image(itk.imread(file, itk.F, imageio=itk.GDCMImageIO.New())) for file in files}
    slices = {file: pixels.reshape(-1, *pixels.shape[-2:]) for file, pixels in images.items()}  # (N, Y, X) each
    volume = np.stack([slices[frames[n].file][frames[n].number].T for n in order], axis=-1)  # (X, Y, Z)
    return volume[None], _find_affine([frames[n] for n in order], headers[0])


def _find_files(path: str) -> list[str]:
    if not os.path.isdir(path):
        return [path]
    reader = itk.GDCMImageIO.New()
    names = sorted(e.name for e in os.scandir(path) if e.is_file() and e.name[0] != "." and e.name != "DICOMDIR")
    files = [file for file in (os.path.join(path, name) for name in names) if reader.CanReadFile(file)]
    if not files:
        raise DatasetError(f"{path} is a folder without DICOM files. Name a file, or the folder of one DICOM series.")
    return files


def _read_header(file: str) -> dict[str, str]:
    reader = itk.GDCMImageIO.New()
    reader.SetFileName(file)
    reader.ReadImageInformation()
    tags = reader.GetMetaDataDictionary()
    return {key: str(tags[key]).strip().strip("\0") for key in tags.GetKeys() if isinstance(tags[key], str)}


def _check_one_series(path: str, headers: list[dict[str, str]]) -> None:
    series = [header.get("0020|000e", "") for header in headers]
    if len(set(series)) > 1:
        counts = ", ".join(f"{uid} ({series.count(uid)} images)" for uid in sorted(set(series)))
        raise DatasetError(
            f"{path} holds {len(set(series))} DICOM series: {counts}. Give each a folder of its own, remove localisers."
        )


def _check_kind(file: str, header: dict[str, str]) -> None:
    """Raises DatasetError for what is no grey image, and for CT that does not say its Hounsfield units."""
    if header.get("0008|0016") == SEGMENTATION:
        raise DatasetError(f"{file} is a DICOM segmentation object, expected an image. Convert it to NIfTI.")
    if header.get("0028|0002", "1") != "1":
        raise DatasetError(f"{file} has {header['0028|0002']} colours, expected grey. Convert it to PNG.")
    enhanced = int(header.get("0028|0008") or 1) > 1  # has these numbers in sequences
    missing = [name for tag, name in RESCALE_TAGS.items() if tag not in header]
    if header.get("0008|0060") == "CT" and missing and not enhanced:
        raise DatasetError(
            f"{file}: modality CT, but no {' and no '.join(missing)}, so its numbers cannot become Hounsfield units. "
            "Export the series again with these tags, or convert it to NIfTI in Hounsfield units."
        )


def _list_frames(files: list[str], headers: list[dict[str, str]]) -> list[Frame]:
    frames = []
    for file, header in zip(files, headers, strict=True):
        count = int(header.get("0028|0008") or 1)
        if count > 1:
            frames += _list_enhanced(file, count)
        else:
            spacing = header.get("0028|0030") or header.get("0018|1164")
            position, directions = header.get("0020|0032"), header.get("0020|0037")
            frames.append(_make_frame(file, 0, _numbers(position), _numbers(directions), _numbers(spacing)))
    return frames


def _list_enhanced(file: str, count: int) -> list[Frame]:
    """The frames of a multi-frame file, whose places are in sequences that ITK does not give."""
    try:
        import pydicom
    except ModuleNotFoundError:
        raise DatasetError(
            f"{file} has {count} frames, whose order only the package pydicom can tell. Install pydicom, {CONVERT}."
        ) from None
    data: Any = pydicom.dcmread(file, stop_before_pixels=True)
    shared = (data.get("SharedFunctionalGroupsSequence") or [{}])[0]
    frames, scales = [], set()
    for number, own in enumerate(data.get("PerFrameFunctionalGroupsSequence") or [{}] * count):
        places = (own, shared)
        position = _find(places, "PlanePositionSequence", "ImagePositionPatient")
        directions = _find(places, "PlaneOrientationSequence", "ImageOrientationPatient")
        spacing = _find(places, "PixelMeasuresSequence", "PixelSpacing")
        frames.append(_make_frame(file, number, position, directions, spacing))
        names = ("RescaleSlope", "RescaleIntercept")
        scales.add(tuple(_find(places, "PixelValueTransformationSequence", name) for name in names))
    if len(scales) > 1:
        raise DatasetError(f"{file}: rescale slope or intercept differ between frames. Convert the series to NIfTI.")
    if data.get("Modality") == "CT" and None in scales.pop():
        raise DatasetError(
            f"{file}: modality CT, but no rescale slope and intercept. Export the series again with them."
        )
    return frames


def _find(places: tuple[Any, ...], sequence: str, name: str) -> Any:
    """The value of a tag in the first of the functional groups that has the sequence."""
    for place in places:
        for entry in place.get(sequence) or []:
            return entry.get(name)
    return None


def _make_frame(file: str, number: int, position: Any, directions: Any, spacing: Any) -> Frame:
    placed = position is not None and directions is not None
    return Frame(
        file,
        number,
        np.array(position, dtype=float) if placed else None,
        np.array(directions, dtype=float).reshape(2, 3) if placed else None,
        np.ones(2) if spacing is None else np.array(spacing, dtype=float),
    )


def _numbers(text: str | None) -> list[float] | None:
    return [float(number) for number in text.split("\\")] if text else None


def _order(path: str, frames: list[Frame], headers: list[dict[str, str]]) -> list[int]:
    """The order of the frames by their positions along the normal of their plane."""
    if len(frames) == 1:
        return [0]
    for frame in frames:
        if frame.position is None:
            raise DatasetError(
                f"{frame.file}{_shown(frame)} has no ImagePositionPatient (0020,0032), so the {len(frames)} images of "
                f"{path} cannot be ordered. Give each an item of its own, {CONVERT}."
            )
        if not frame.same_grid(frames[0]):
            raise DatasetError(
                f"{frame.file}{_shown(frame)} differs in direction or pixel spacing from {frames[0].file}. Give images "
                f"of one direction a folder of their own, and remove localisers, {CONVERT}."
            )
    assert frames[0].directions is not None
    normal = np.cross(*frames[0].directions)
    depths = np.array([frame.position @ normal for frame in frames])
    order = np.argsort(depths, kind="stable").tolist()
    steps = np.diff(depths[order])
    usual = float(np.median(steps))
    for n, step in enumerate(steps):
        below, above = (frames[order[k]] for k in (n, n + 1))
        shown = f"{below.file}{_shown(below)} and {Path(above.file).name}{_shown(above)}"
        if step < SAME_POSITION:
            raise DatasetError(
                f"{shown} lie at one position{_find_distinction(order[n], order[n + 1], headers)}. Give each phase or "
                f"echo a folder of its own, remove copies, {CONVERT}."
            )
        if abs(step - usual) > UNEVEN * usual:
            raise DatasetError(
                f"{shown} are {step:.4g} mm apart, other neighbours {usual:.4g} mm. Restore the missing images, remove "
                f"those that do not belong to the series, {CONVERT}."
            )
    return order


def _shown(frame: Frame) -> str:
    return f", frame {frame.number + 1}," if frame.number else ""


def _find_distinction(first: int, second: int, headers: list[dict[str, str]]) -> str:
    """In what two images of one position differ, as far as the headers of files tell."""
    if max(first, second) >= len(headers):
        return ""
    one, other = headers[first], headers[second]
    for tag, name in DISTINCTIONS.items():
        if one.get(tag) != other.get(tag):
            return f" and differ in {name} ({one.get(tag, 'none')}, {other.get(tag, 'none')})"
    return " and are copies" if one.get("0008|0018") == other.get("0008|0018") else ""


def _find_affine(frames: list[Frame], header: dict[str, str]) -> np.ndarray | None:
    """From indices to RAS in mm, of frames in order."""
    first, last = frames[0], frames[-1]
    if first.position is None or first.directions is None or last.position is None:
        return None
    affine = np.eye(4)
    affine[:3, 0] = first.directions[0] * first.spacing[1]
    affine[:3, 1] = first.directions[1] * first.spacing[0]
    if len(frames) > 1:
        affine[:3, 2] = (last.position - first.position) / (len(frames) - 1)
    else:
        thickness = float(header.get("0018|0088") or header.get("0018|0050") or 1)
        affine[:3, 2] = np.cross(*first.directions) * (abs(thickness) or 1)
    affine[:3, 3] = first.position
    return LPS_TO_RAS @ affine
