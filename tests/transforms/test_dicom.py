"""Series are put in order by positions, and what these cannot order is refused by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from scripts.data.contract import DatasetError
from scripts.transforms.dicom import read_dicom

STORED = np.arange(24, dtype=np.int16).reshape(4, 2, 3)  # (Z, Y, X); rescaled by 2 and -1024


@pytest.mark.parametrize(
    ("tag", "distinction"),
    [
        ({"00180081": ("DS", "80")}, r"and differ in echo time \(none, 80\)"),
        ({"00200100": ("IS", "2")}, r"and differ in temporal position \(none, 2\)"),
        ({}, "and are copies"),
    ],
)
def test_two_images_at_one_position_are_refused(tmp_path: Path, write_series: Any, tag: Any, distinction: str) -> None:
    write_series(tmp_path, STORED)
    write_series(tmp_path, STORED, tags=tag, order=[4, 5, 6, 7])
    with pytest.raises(DatasetError, match=rf"000\.dcm and 004\.dcm lie at one position {distinction}\. Give each"):
        read_dicom(str(tmp_path))


def test_a_gap_is_refused(tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path, STORED)[1].unlink()
    write_series(tmp_path, STORED[:1], tags={"00200032": ("DS", "0\\0\\20")}, order=[9])
    with pytest.raises(DatasetError, match=r"000\.dcm and 002\.dcm are 10 mm apart, other neighbours 5 mm"):
        read_dicom(str(tmp_path))


def test_images_without_position_are_refused_together_and_read_alone(tmp_path: Path, write_series: Any) -> None:
    files = write_series(tmp_path, STORED, tags={"00200032": None})
    with pytest.raises(DatasetError, match=r"000\.dcm has no ImagePositionPatient .* cannot be ordered"):
        read_dicom(str(tmp_path))
    array, affine = read_dicom(str(files[2]))
    np.testing.assert_array_equal(array[0, ..., 0], STORED[2].T * 2 - 1024)
    assert affine is None


def test_a_localiser_of_the_same_series_is_refused(tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path, STORED)
    write_series(tmp_path, STORED[:1], tags={"00200037": ("DS", "0\\1\\0\\0\\0\\-1")}, order=[8])
    with pytest.raises(DatasetError, match=r"008\.dcm differs in direction or pixel spacing from .*000\.dcm"):
        read_dicom(str(tmp_path))


def test_a_tilted_gantry_is_a_shear(tmp_path: Path, write_series: Any) -> None:
    for z in range(3):
        write_series(tmp_path, STORED[z : z + 1], tags={"00200032": ("DS", f"0\\{2 * z}\\{5 * z}")}, order=[z])
    _, affine = read_dicom(str(tmp_path))
    expected = [[-0.5, 0, 0, 0], [0, -0.5, -2, 0], [0, 0, 5, 0], [0, 0, 0, 1]]
    np.testing.assert_allclose(affine, expected, atol=1e-9)  # type: ignore[arg-type]


def test_rows_and_columns_have_their_own_spacing(tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path, STORED, tags={"00280030": ("DS", "2\\0.5")})  # between rows, between columns
    _, affine = read_dicom(str(tmp_path))
    np.testing.assert_allclose(np.diag(affine), [-0.5, -2, 5, 1])  # type: ignore[arg-type]


def test_hidden_and_foreign_files_are_passed_over(tmp_path: Path, write_series: Any) -> None:
    file = write_series(tmp_path, STORED)[0]
    (tmp_path / "._000.dcm").write_bytes(file.read_bytes())
    (tmp_path / "notes.txt").write_text("no image")
    assert read_dicom(str(tmp_path))[0].shape == (1, 3, 2, 4)


def test_monochrome1_becomes_brighter_where_higher(tmp_path: Path, write_series: Any) -> None:
    write_series(tmp_path, STORED, tags={"00280004": ("CS", "MONOCHROME1")})
    values = read_dicom(str(tmp_path))[0][0].transpose(2, 1, 0)
    np.testing.assert_array_equal(values[0, 0, 0] - values, (STORED - STORED[0, 0, 0]) * 2.0)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({"00080016": ("UI", "1.2.840.10008.5.1.4.1.1.66.4")}, "is a DICOM segmentation object"),
        ({"00200032": ("DS", "0\\0\\0"), "00281053": None}, "no RescaleSlope"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, write_series: Any, tags: Any, expected: str) -> None:
    files = write_series(tmp_path, STORED[:1], tags=tags)
    with pytest.raises(DatasetError, match=rf"000\.dcm.*{expected}"):
        read_dicom(str(files[0]))


def write_enhanced(file: Path, frames: np.ndarray, depths: list[float] | None, slopes: list[float]) -> str:
    """An enhanced MR image of frames (N, Y, X) at these heights, 0.5 mm between columns and 2 mm between rows."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    data.SeriesInstanceUID, data.Modality, data.NumberOfFrames = "1.2.4", "MR", len(frames)
    data.Rows, data.Columns = frames.shape[1:]
    data.BitsAllocated = data.BitsStored = 16
    data.HighBit, data.PixelRepresentation, data.SamplesPerPixel = 15, 0, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    shared = Dataset()
    orientation, measures = Dataset(), Dataset()
    orientation.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing = [2, 0.5]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    data.SharedFunctionalGroupsSequence, groups = [shared], []
    for depth, slope in zip(depths or [], slopes, strict=False):
        own, position, values = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, depth]
        values.RescaleSlope, values.RescaleIntercept = slope, 0
        own.PlanePositionSequence, own.PixelValueTransformationSequence = [position], [values]
        groups.append(own)
    if groups:
        data.PerFrameFunctionalGroupsSequence = groups
    data.PixelData = frames.astype("<u2").tobytes()
    data.save_as(file, enforce_file_format=True)
    return str(file)


def test_frames_of_one_file_are_ordered_by_position(tmp_path: Path) -> None:
    frames = np.arange(18).reshape(3, 2, 3)
    array, affine = read_dicom(write_enhanced(tmp_path / "e.dcm", frames, [8, 0, 4], [2, 2, 2]))
    np.testing.assert_array_equal(array[0], frames[[1, 2, 0]].transpose(2, 1, 0) * 2)
    np.testing.assert_allclose(affine, np.diag([-0.5, -2, 4, 1]))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("depths", "slopes", "expected"),
    [
        ([0, 0, 4], [1, 1, 1], r"frame 2, lie at one position"),
        ([0, 4, 8], [1, 1, 2], r"rescale slope or intercept differ between frames"),
        (None, [], r"has no ImagePositionPatient .* cannot be ordered"),
    ],
)
def test_frames_that_cannot_be_ordered_are_refused(tmp_path: Path, depths: Any, slopes: Any, expected: str) -> None:
    file = write_enhanced(tmp_path / "e.dcm", np.zeros((3, 2, 3)), depths, slopes)
    with pytest.raises(DatasetError, match=expected):
        read_dicom(file)


def test_without_pydicom_frames_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write_enhanced(tmp_path / "e.dcm", np.zeros((3, 2, 3)), [0, 1, 2], [1, 1, 1])
    monkeypatch.setitem(__import__("sys").modules, pydicom.__name__, None)
    with pytest.raises(DatasetError, match=r"e\.dcm has 3 frames, whose order only the package pydicom can tell"):
        read_dicom(file)
