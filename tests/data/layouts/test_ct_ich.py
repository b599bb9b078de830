"""CT-ICH: label maps from binary masks and a table of types by slice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from scripts.data.contract import Dataset, DatasetError, read_dataset
from scripts.data.doctor import doctor
from scripts.data.layouts.ct_ich import read_ct_ich
from scripts.data.prepare import prepare

HEADER = "PatientNumber,SliceNumber,Intraventricular,Intraparenchymal,Subarachnoid,Epidural,Subdural,No_Hemorrhage,F"
IPH, IVH, SAH, EDH, SDH = range(1, 6)
PLACE = {IVH: 2, IPH: 3, SAH: 4, EDH: 5, SDH: 6}
TYPES: dict[int, list[list[int]]] = {
    49: [[], [EDH], [EDH, IPH], [EDH]],
    50: [[], [], [], []],
    51: [[], [], [SDH, IVH], []],
}
AFFINE = np.diag([-0.5, -0.5, 5.0, 1.0])


def write_table(root: Path, types: dict[int, list[list[int]]], name: str = "hemorrhage_diagnosis_raw_ct.csv") -> None:
    rows = []
    for patient, slices in types.items():
        for number, labels in enumerate(slices, start=1):
            row = [patient, number, *[0] * 5, int(not labels), 0]
            for label in labels:
                row[PLACE[label]] = 1
            rows.append(",".join(map(str, row)))
    (root / name).write_text("\n".join([HEADER, *rows]))


def make_volumes(root: Path, mask_value: int = 255, types: dict[int, list[list[int]]] | None = None) -> Path:
    """Volumes 32x32x4; where the table names a type, the pixels (2..4, 5..8) are masked."""
    for folder in ("ct_scans", "masks"):
        (root / folder).mkdir(parents=True)
    for patient, slices in TYPES.items():
        image = np.random.default_rng(patient).integers(-1000, 1000, (32, 32, 4)).astype(np.int16)
        mask = np.zeros((32, 32, 4), np.uint8)
        mask[2:5, 5:9, [z for z, labels in enumerate(slices) if labels]] = mask_value
        nib.save(nib.Nifti1Image(image, AFFINE), root / "ct_scans" / f"{patient:03d}.nii")
        nib.save(nib.Nifti1Image(mask, np.eye(4)), root / "masks" / f"{patient:03d}.nii")
    write_table(root, types or TYPES)
    return root


def make_slices(root: Path) -> Path:
    """The same as pictures 32x32, masks in JPG and only where there is a type."""
    for patient, slices in TYPES.items():
        folder = root / "Patients_CT" / f"{patient:03d}" / "brain"
        folder.mkdir(parents=True)
        for number, labels in enumerate(slices, start=1):
            noise = np.random.default_rng([patient, number]).integers(0, 255, (32, 32)).astype(np.uint8)
            Image.fromarray(noise).save(folder / f"{number}.jpg")
            mask = np.zeros((32, 32), np.uint8)
            mask[8:16, 16:32] = 255  # (Y, X)
            if labels:
                Image.fromarray(mask).save(folder / f"{number}_HGE_Seg.jpg")
    write_table(root, TYPES, "hemorrhage_diagnosis.csv")
    return root


def read(root: Path, **options: Any) -> Dataset:
    return read_ct_ich(root, output=root / "out", **{"healthy": True, **options})


def labels_of(dataset: Dataset, patient: str) -> list[set[int]]:
    """The labels beside the background of each slice of a patient's volume."""
    (item,) = (item for item in dataset.items if item["patient"] == patient)
    volume = np.asarray(nib.load(item["label"]).dataobj)
    return [set(np.unique(volume[..., z]).tolist()) - {0} for z in range(volume.shape[-1])]


@pytest.mark.parametrize("value", [1, 255])
def test_a_slice_takes_its_type_and_of_several_the_patients_commonest(
    tmp_path: Path, value: int, caplog: pytest.LogCaptureFixture
) -> None:
    dataset = read(make_volumes(tmp_path, value))
    assert labels_of(dataset, "049") == [set(), {EDH}, {EDH}, {EDH}]  # slice 3: EDH in three slices, IPH in one
    assert labels_of(dataset, "050") == [set()] * 4
    assert labels_of(dataset, "051") == [set(), set(), {IVH}, set()]  # a tie: the first in order
    assert "2 of 4 slices with haemorrhage have several types" in caplog.text


def test_label_maps_have_the_masks_pixels_and_the_images_affine(tmp_path: Path) -> None:
    volume = nib.load(read(make_volumes(tmp_path)).items[0]["label"])
    expected = np.zeros((32, 32, 4))
    expected[2:5, 5:9, 1:] = EDH
    np.testing.assert_array_equal(volume.dataobj, expected)
    np.testing.assert_array_equal(volume.affine, AFFINE)
    assert volume.get_data_dtype() == np.uint8
    assert [file.name for file in (tmp_path / "out" / "labels").iterdir() if file.name[0] == "."] == []


def test_names_classes_and_window(tmp_path: Path) -> None:
    dataset = read(make_volumes(tmp_path))
    assert dataset.labels[IPH] == "intraparenchymal haemorrhage"
    assert dataset.labels[SDH] == "subdural haemorrhage"
    assert {item["patient"]: item["class"] for item in dataset.items} == {"049": "EDH", "050": None, "051": "IVH"}
    assert (dataset.classes, dataset.modality, dataset.intensity_range) == (["IVH", "EDH"], ["CT"], [0.0, 80.0])


def test_one_label_needs_no_derived_files(tmp_path: Path) -> None:
    dataset = read(make_volumes(tmp_path), types="one")
    assert (dataset.labels, dataset.label_values) == (["background", "haemorrhage"], {255: 1})
    assert dataset.items[0]["label"] == str(tmp_path / "masks" / "049.nii")
    assert not (tmp_path / "out").exists()


def test_slices_as_pictures(tmp_path: Path) -> None:
    dataset = read(make_slices(tmp_path))
    assert (len(dataset.items), dataset.intensity_range) == (12, [0.0, 255.0])
    labels = {(item["patient"], item["slice"]): np.asarray(Image.open(item["label"])) for item in dataset.items}
    expected = np.zeros((32, 32))
    expected[8:16, 16:32] = EDH
    np.testing.assert_array_equal(labels["049", 3], expected)
    assert labels["051", 3].max() == IVH
    assert labels["050", 1].shape == (32, 32)
    assert not labels["050", 1].any()


def test_slices_as_pictures_with_one_label(tmp_path: Path) -> None:
    dataset = read(make_slices(tmp_path), types="one")
    values = {value for item in dataset.items for value in np.unique(Image.open(item["label"])).tolist()}
    assert (values, dataset.label_values) == ({0, 1}, {})


@pytest.mark.parametrize("make", [make_volumes, make_slices])
def test_a_prepared_folder_is_ready_to_train(tmp_path: Path, make: Any, caplog: pytest.LogCaptureFixture) -> None:
    prepare("ct_ich", str(make(tmp_path / "source")), output=str(tmp_path / "out"))
    label = Path(read_dataset(tmp_path / "out").items[0]["label"])
    assert label.parent == tmp_path / "out" / "labels"
    doctor(str(tmp_path / "out"), image_size=32)
    printed = "\n".join(caplog.messages)
    assert "Ready to train" in printed
    assert "lie apart" not in printed


def test_a_masked_slice_without_type_is_named(tmp_path: Path) -> None:
    types = {**TYPES, 51: [[], [IVH], [], []]}
    with pytest.raises(DatasetError, match=r"051\.nii: patient 51, slice 3 is masked, but the table names no type"):
        read(make_volumes(tmp_path, types=types))


def test_images_without_mask_are_named(tmp_path: Path) -> None:
    (make_volumes(tmp_path / "volumes") / "masks" / "050.nii").unlink()
    with pytest.raises(DatasetError, match=r"only in ct_scans or only in masks, first .*050\.nii"):
        read(tmp_path / "volumes")
    brain = make_slices(tmp_path / "slices") / "Patients_CT" / "049" / "brain"
    (brain / "2_HGE_Seg.jpg").unlink()
    with pytest.raises(DatasetError, match=r"2\.jpg has haemorrhage but no mask 2_HGE_Seg\.jpg"):
        read(tmp_path / "slices")


def test_masks_without_image_and_slices_without_row_are_named(tmp_path: Path) -> None:
    brain = make_slices(tmp_path) / "Patients_CT" / "051" / "brain"
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(brain / "5.jpg")
    with pytest.raises(DatasetError, match="no row for patient 51, slice 5"):
        read(tmp_path)
    (brain / "3.jpg").unlink()
    with pytest.raises(DatasetError, match=r"3_HGE_Seg\.jpg has no image 3\.jpg"):
        read(tmp_path)


def test_what_is_not_in_this_layout_is_explained(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"No file .*hemorrhage_diagnosis_raw_ct\.csv"):
        read(tmp_path)
    write_table(tmp_path, TYPES)
    with pytest.raises(DatasetError, match="has no folder ct_scans or Patients_CT"):
        read(tmp_path)
    with pytest.raises(DatasetError, match="types is 'all', expected 'table'"):
        read(tmp_path, types="all")
    (tmp_path / "hemorrhage_diagnosis_raw_ct.csv").write_text(f"{HEADER}\n49,x,0,0,0,0,0,1,0\n")
    with pytest.raises(DatasetError, match=r"row 2: .*expected numbers"):
        read(tmp_path)


def test_patients_without_haemorrhage_are_left_out_by_default(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    dataset = read(make_volumes(tmp_path), healthy=False)
    assert {item["class"] for item in dataset.items} == {"EDH", "IVH"}
    assert len(dataset.items) == 2
    assert "1 patients without haemorrhage are left out" in caplog.text
