"""What one item's files show: each defect once, and none in sound files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from scripts.data.contract import Dataset, Item
from scripts.data.inspection import Inspection, inspect_item, is_ct


def write_volume(file: Path, array: np.ndarray, affine: np.ndarray | None = None) -> str:
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), file)
    return str(file)


@pytest.fixture
def item(tmp_path: Path) -> Item:
    """A sound item: two channels of 32x32x5 noise, lesion of label 1 in slices 1 and 2."""
    noise = np.random.default_rng(0).normal(size=(2, 32, 32, 5)).astype(np.float32)
    label = np.zeros((32, 32, 5), np.uint8)
    label[3:6, 4:9, 1:3] = 1
    images = [write_volume(tmp_path / f"{n}.nii.gz", noise[n]) for n in range(2)]
    return {"image": images, "label": write_volume(tmp_path / "label.nii.gz", label), "patient": "p", "class": None}


def inspect(item: Item, folder: Path) -> Inspection:
    return inspect_item(item, Dataset(folder, "test", ["T1", "T2"], ["background", "one"]))


def checks(inspection: Inspection) -> list[tuple[str, str]]:
    return [(finding.severity, finding.check) for finding in inspection.findings]


def change(file: str, change: Any) -> None:
    volume = nib.load(file)
    nib.save(nib.Nifti1Image(change(np.asarray(volume.dataobj).copy()), volume.affine), file)


def poke(value: float) -> Any:
    def put(array: np.ndarray) -> np.ndarray:
        array[0, 0, 0] = value
        return array

    return put


def test_a_sound_item_has_no_findings(item: Item, tmp_path: Path) -> None:
    inspection = inspect(item, tmp_path)
    assert inspection.findings == []
    assert (inspection.shape, inspection.slices, inspection.lesion_slices) == ((2, 32, 32, 5), 5, 2)
    assert inspection.labels == {0, 1}


def test_slices_are_counted_along_the_patients_axis(item: Item, tmp_path: Path) -> None:
    sagittal = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # file axes: A, S, R
    for file in [*item["image"], item["label"]]:
        write_volume(Path(file), np.asarray(nib.load(file).dataobj), sagittal)
    inspection = inspect(item, tmp_path)
    assert inspection.shape == (2, 5, 32, 32)
    assert (inspection.slices, inspection.lesion_slices) == (32, 5)  # the lesion spans 5 along the file's second axis


def test_missing_and_broken_files_are_found_together(item: Item, tmp_path: Path) -> None:
    Path(item["image"][1]).unlink()
    Path(item["label"]).write_bytes(b"no image")
    found = inspect(item, tmp_path)
    assert checks(found) == [("error", "image cannot be read"), ("error", "label cannot be read")]
    assert "1.nii.gz" in found.findings[0].example
    assert found.slices == 0


def test_a_channel_too_few_is_found(item: Item, tmp_path: Path) -> None:
    item["image"] = item["image"][0]
    assert checks(inspect(item, tmp_path)) == [("error", "wrong number of channels")]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_pixel_that_is_no_number_is_found(item: Item, tmp_path: Path, value: float) -> None:
    change(item["image"][0], poke(value))
    found = inspect(item, tmp_path)
    assert checks(found) == [("error", "NaN or infinity")]
    assert "0.nii.gz holds NaN or infinity in 1 pixels." in found.findings[0].example


def test_a_label_that_is_no_label_is_found(item: Item, tmp_path: Path) -> None:
    change(item["label"], poke(7))
    found = inspect(item, tmp_path)
    assert checks(found) == [("error", "unknown label value")]
    assert "label.nii.gz holds the label 7, expected 0..1." in found.findings[0].example


def test_sizes_that_differ_are_found(item: Item, tmp_path: Path) -> None:
    change(item["label"], lambda label: label[:, :-1])
    found = inspect(item, tmp_path)
    assert checks(found) == [("error", "label does not lie on its image")]
    assert "label.nii.gz is 32 x 31 x 5 but its image" in found.findings[0].example


def test_a_label_elsewhere_in_space_is_found(item: Item, tmp_path: Path) -> None:
    shifted = np.eye(4)
    shifted[0, 3] = 2
    write_volume(Path(item["label"]), np.asarray(nib.load(item["label"]).dataobj), shifted)
    assert checks(inspect(item, tmp_path)) == [("error", "label does not lie on its image")]


def test_a_label_with_its_axes_the_other_way_round_lies_in_place(item: Item, tmp_path: Path) -> None:
    turned = np.diag([-1.0, 1, 1, 1])
    turned[0, 3] = 31  # as NIfTI made from DICOM often is: the same pixels from right to left
    write_volume(Path(item["label"]), np.asarray(nib.load(item["label"]).dataobj)[::-1], turned)
    assert inspect(item, tmp_path).findings == []


@pytest.mark.parametrize(
    ("low", "high", "window", "expected"),
    [
        (0, 2000, [0.0, 80.0], True),
        (-1000, 1000, [0.0, 80.0], False),  # Hounsfield units
        (0, 255, [0.0, 255.0], False),  # windowed to 8 bits
        (0, 2000, None, False),
    ],
)
def test_ct_that_was_not_rescaled_is_suspected(
    item: Item, tmp_path: Path, low: int, high: int, window: list[float] | None, expected: bool
) -> None:
    for file in item["image"]:
        change(file, lambda image: np.interp(image, (image.min(), image.max()), (low, high)))
    dataset = Dataset(tmp_path, "test", ["CT", "T2"], ["background", "one"], intensity_range=window)
    found = inspect_item(item, dataset)
    warning = ("warning", "no negative values: rescale probably not applied")
    assert (warning in checks(found)) == expected
    assert not expected or found.findings[0].example == "0.nii.gz: CT has values from 0 to 2000"


@pytest.mark.parametrize(
    ("low", "high", "title", "window", "check"),
    [
        (0, 1, "T1", [0.0, 255.0], "intensities far outside intensity_range"),  # shares of 1, not 8 bits
        (0, 4095, "T1", [0.0, 255.0], "intensities far outside intensity_range"),  # 12 bits
        (0, 255, "T1", [0.0, 160.0], None),  # the brightest pixels clip
        (-1000, 1000, "T1", [-100.0, 200.0], None),
        (-1000, 1000, "image", None, "looks like CT without intensity_range"),
        (-300, 300, "phase", None, None),
    ],
)
def test_values_must_suit_the_range(
    item: Item, tmp_path: Path, low: int, high: int, title: str, window: list[float] | None, check: str | None
) -> None:
    change(item["image"][0], lambda image: np.interp(image, (image.min(), image.max()), (low, high)))
    item["image"] = item["image"][0]
    found = inspect_item(item, Dataset(tmp_path, "test", [title], ["background", "one"], intensity_range=window))
    assert checks(found) == ([("warning", check)] if check else [])


@pytest.mark.parametrize(
    ("title", "expected"), [("CT", True), ("NCCT_head", True), ("cbct", True), ("T1ce", False), ("active", False)]
)
def test_channels_of_ct_are_known_by_their_name(title: str, expected: bool) -> None:
    assert is_ct(title) == expected


def test_constant_and_repeated_channels_are_found(item: Item, tmp_path: Path) -> None:
    change(item["image"][1], lambda image: np.zeros_like(image))
    assert checks(inspect(item, tmp_path)) == [("warning", "constant channel")]
    item["image"] = [item["image"][0]] * 2
    assert checks(inspect(item, tmp_path)) == [("warning", "repeated channel: T1 = T2")]


def test_an_empty_label_map_is_counted(item: Item, tmp_path: Path) -> None:
    change(item["label"], lambda label: label * 0)
    found = inspect(item, tmp_path)
    assert checks(found) == [("info", "empty label map")]
    assert found.lesion_slices == 0


def test_an_unlabelled_item_is_counted(item: Item, tmp_path: Path) -> None:
    item["label"] = None
    assert checks(inspect(item, tmp_path)) == [("info", "no label map, left out")]


@pytest.mark.parametrize(
    ("boxes", "classes", "check"),
    [
        ([[0, 0, 32, 24]], [0], None),
        ([[0, 0, 24, 32]], [0], "box not inside the image"),
        ([[-1, 0, 5, 9]], [0], "box not inside the image"),
        ([[5, 0, 5, 9]], [0], "box without size"),
        ([[5, 9, 7, 8]], [0], "box without size"),
        ([[0, 0, 5]], [0], "malformed box"),
        ("none", [0], "malformed box"),
        ([[0, 0, 5, 5]], [1], "unknown box class"),
        ([[0, 0, 5, 5]], [-1], "unknown box class"),
        ([[0, 0, 5, 5]], ["one"], "unknown box class"),
        ([[0, 0, 5, 5]], [0, 0], "boxes without class"),
        ([[0, 0, 5, 5]], None, "boxes without class"),
        ([], None, None),
    ],
)
def test_boxes_lie_inside_and_have_a_class(
    item: Item, tmp_path: Path, boxes: Any, classes: list[Any] | None, check: str | None
) -> None:
    for file in [*item["image"], item["label"]]:
        change(file, lambda array: array[:, :24, 1:2])  # one slice of 32 x 24 pixels
    found = inspect({**item, "boxes": boxes, "box_classes": classes}, tmp_path)
    assert checks(found) == ([("error", check)] if check else [])


def test_boxes_of_a_volume_are_found(item: Item, tmp_path: Path) -> None:
    found = inspect({**item, "boxes": [[0, 0, 5, 5]], "box_classes": [0]}, tmp_path)
    assert checks(found) == [("error", "boxes of a volume")]


def test_boxes_stand_for_a_label_map(item: Item, tmp_path: Path) -> None:
    for file in item["image"]:
        change(file, lambda array: array[:, :, :1])
    found = inspect({**item, "label": None, "boxes": [[1, 2, 3, 4]], "box_classes": [0]}, tmp_path)
    assert checks(found) == [("info", "boxes but no label map")]
    assert (found.labels, found.lesion_slices) == ({1}, 1)


def test_a_header_that_gives_no_place_is_one_finding(item: Item, tmp_path: Path) -> None:
    raw = bytearray(gzip.decompress(Path(item["image"][1]).read_bytes()))
    raw[280:328] = bytes(48)  # the sform
    Path(item["image"][1]).write_bytes(gzip.compress(bytes(raw)))
    found = inspect(item, tmp_path)
    assert checks(found) == [("error", "image cannot be read")]
    assert "1.nii.gz: the affine in its header gives voxels no size or place" in found.findings[0].example


def test_pixels_that_are_not_square_are_said(item: Item, tmp_path: Path) -> None:
    for file in [*item["image"], item["label"]]:
        write_volume(Path(file), np.asarray(nib.load(file).dataobj), np.diag([1.0, 2, 5, 1]))
    found = inspect(item, tmp_path)
    assert checks(found) == [("warning", "pixels of slices are not square")]
    assert "1 x 2 mm" in found.findings[0].example


def test_sagittal_volumes_are_counted_in_sagittal_slices(item: Item, tmp_path: Path) -> None:
    for file in [*item["image"], item["label"]]:
        write_volume(Path(file), np.asarray(nib.load(file).dataobj), np.diag([4.0, 1, 1, 1]))
    found = inspect(item, tmp_path)
    assert (found.slice_axis, found.shape, found.lesion_slices) == ("sagittal", (2, 32, 5, 32), 3)
