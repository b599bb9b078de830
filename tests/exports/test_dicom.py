from __future__ import annotations

import csv

import itk
import numpy as np
import pytest

from scripts.exports.export import export
from tests.exports.sets import BOXES, images_of, make_label

pydicom = pytest.importorskip("pydicom")
HALF_STEP = 0.000016


@pytest.fixture
def exported(masked, tmp_path):
    export(str(masked), to="dicom", output=str(tmp_path / "out"))
    return tmp_path / "out"


def test_pydicom_reads_the_values_back_within_half_a_step(masked, exported):
    for name, image in images_of(masked).items():
        for n in range(2):
            instance = pydicom.dcmread(exported / name / f"channel_{n}.dcm")
            values = instance.pixel_array * float(instance.RescaleSlope) + float(instance.RescaleIntercept)  # (Y, X)
            np.testing.assert_allclose(values.T, image[n], atol=HALF_STEP + 1e-6)


def test_itk_reads_the_same(masked, exported):
    for name, image in images_of(masked).items():
        values = itk.array_from_image(itk.imread(str(exported / name / "channel_1.dcm"), itk.F)).squeeze()  # (Y, X)
        np.testing.assert_allclose(values.T, image[1], atol=HALF_STEP + 1e-6)


def test_the_label_map_is_a_segmentation_that_lies_over_its_image(exported):
    highdicom = pytest.importorskip("highdicom")
    for folder in exported.glob("synthetic_*"):
        segmentation, image = highdicom.seg.segread(folder / "label.dcm"), highdicom.imread(folder / "channel_0.dcm")
        volume = segmentation.get_volume(combine_segments=True)
        np.testing.assert_array_equal(volume.array[0].T, make_label())
        np.testing.assert_allclose(volume.affine, image.get_volume().affine)
        assert [segment.SegmentLabel for segment in segmentation.SegmentSequence] == ["core", "rim"]
        referenced = segmentation.ReferencedSeriesSequence[0].ReferencedInstanceSequence[0].ReferencedSOPInstanceUID
        assert (referenced, segmentation.StudyInstanceUID) == (image.SOPInstanceUID, image.StudyInstanceUID)


def test_standard_tags_say_that_it_is_synthetic(exported):
    for file in exported.rglob("*.dcm"):
        instance = pydicom.dcmread(file)
        assert instance[0x0008, 0x001C].value == "YES"
        assert str(instance.PatientName).startswith("SYNTHETIC^")
        assert instance.SeriesDescription.startswith("SYNTHETIC")
        if file.name == "label.dcm":
            assert instance.SOPClassUID.name == "Segmentation Storage"
            continue
        assert instance.SOPClassUID.name == "Secondary Capture Image Storage"
        assert (instance.ConversionType, list(instance.ImageType)[:2]) == ("SYN", ["DERIVED", "SECONDARY"])
        assert str(instance.PatientName).startswith("SYNTHETIC^")
        assert instance.PatientID.startswith("SYNTHETIC")
        assert instance.SeriesDescription.startswith("SYNTHETIC")
        assert "redgan" in instance.DerivationDescription
        assert instance.ContributingEquipmentSequence[0].PurposeOfReferenceCodeSequence[0].CodeValue == "109102"


def test_an_image_is_a_study_of_one_series_per_channel_with_lasting_uids(masked, exported, tmp_path):
    read = [pydicom.dcmread(file) for file in sorted(exported.rglob("*.dcm"))]
    assert len({instance.StudyInstanceUID for instance in read}) == 3
    assert len({instance.SeriesInstanceUID for instance in read}) == 9
    assert len({instance.SOPInstanceUID for instance in read}) == 9
    export(str(masked), to="dicom", output=str(tmp_path / "again"))
    again = [pydicom.dcmread(file) for file in sorted((tmp_path / "again").rglob("*.dcm"))]
    assert [a.SOPInstanceUID for a in again] == [r.SOPInstanceUID for r in read]
    assert all(instance.file_meta.MediaStorageSOPInstanceUID == instance.SOPInstanceUID for instance in read)


def test_boxes_lie_in_a_table(boxed, tmp_path):
    export(str(boxed), to="dicom", output=str(tmp_path / "out"))
    with open(tmp_path / "out" / "boxes.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [[int(row[key]) for key in ("x0", "y0", "x1", "y1")] for row in rows] == BOXES
    assert [row["class"] for row in rows] == ["core", "rim"]
    assert (tmp_path / "out" / rows[0]["image"] / "channel_0.dcm").is_file()


def test_a_long_name_is_cut_to_what_the_tags_hold(masked, tmp_path):
    text = (masked / "dataset.json").read_text()
    for file in [*masked.rglob("000000_A.nii.gz")]:
        file.rename(file.with_name(f"{'a' * 80}.nii.gz"))
    (masked / "dataset.json").write_text(text.replace("s/000000_A.nii.gz", f"s/{'a' * 80}.nii.gz"))
    export(str(masked), to="dicom", output=str(tmp_path / "out"))
    instance = pydicom.dcmread(tmp_path / "out" / f"synthetic_{'a' * 80}" / "label.dcm")
    assert instance.PatientName == f"SYNTHETIC^synthetic_{'a' * 44}"
    assert len(instance.PatientID) == 64
