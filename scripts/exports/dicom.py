"""DICOM Secondary Capture and Segmentation, marked as synthetic in the standard's own tags (PS3.3, recent editions).

- Synthetic Data (0008,001C) YES (C.12.1, SOP Common): made artificially, not a faithful image of anybody.
- Conversion Type (0008,0064) SYN (C.8.6.1): synthetic image.
- Image Type (0008,0008) DERIVED, SECONDARY, SYNTHETIC; Derivation Description says by which generator.
- Patient's Name and ID, Study and Series Description begin with SYNTHETIC, for viewers that show nothing else.
- Contributing Equipment Sequence (0018,A001): this software as processing equipment.

Each image has a frame of reference of its own, with the first pixel at the origin: viewers want one to lay a
segmentation over an image, and nothing is known of a place in a body.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
from pydicom.dataset import Dataset as DicomDataset
from pydicom.dataset import FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from scripts.config_files import own_version
from scripts.data.contract import write_json
from scripts.exports.entries import NOTICE, Entry, Selection, show_progress
from scripts.exports.pictures import BOX_COLUMNS, box_rows, write_table

STEPS = 62_500  # of the stored numbers: 2 / 62500 is a short decimal, as the tag for the slope wants
SLOPE, INTERCEPT = "0.000032", "-1"
INTENSITIES = "16 bits: stored * Rescale Slope + Rescale Intercept is the generator's value in [-1, 1]"
SOFTWARE = "Lesion GAN augmentation"
LONG_STRING = 64  # characters of VR LO, and of a name in VR PN


def write_dicom(folder: Path, selection: Selection) -> None:
    """Writes a folder per image with `channel_<n>.dcm` and `label.dcm`; of sets with boxes `boxes.csv` beside them.

    `label.dcm` is a binary DICOM Segmentation with a segment for each label but the background; segment k is label k.
    Each image is a patient and a study of its own, each channel and the segmentation a series of one instance. The
    same image gets the same UIDs in every export. `folder` exists and is empty.
    """
    boxes: list[dict[str, Any]] = []
    for entry in show_progress(selection.entries):
        picture = entry.read()
        (folder / entry.name).mkdir()
        generator = entry.item["synthetic"].get("generator_sha256", "")
        study = generate_uid(entropy_srcs=[f"{entry.name} {generator}", picture.image.tobytes().hex()])
        channels = []
        for number, channel in enumerate(picture.plane):
            stored = np.rint((channel + 1) / 2 * STEPS).astype(np.uint16)
            instance = _make_instance(entry, stored, study, number, selection.description.modality[number])
            instance.PixelSpacing = [f"{size:.6g}" for size in np.linalg.norm(picture.affine[:3, 1::-1], axis=0)]
            instance.RescaleIntercept, instance.RescaleSlope, instance.RescaleType = INTERCEPT, SLOPE, "US"
            instance.WindowCenter, instance.WindowWidth, instance.VOILUTFunction = "0", "2", "LINEAR_EXACT"
            instance.save_as(folder / entry.name / f"channel_{number}.dcm", enforce_file_format=True)
            channels.append(instance)
        if picture.label is None:
            boxes += box_rows(entry.name, entry.find_boxes(picture), selection.description.labels)
        else:
            segmentation = _make_segmentation(entry, picture.label[..., 0], channels, selection.description.labels)
            segmentation.save_as(folder / entry.name / "label.dcm", enforce_file_format=True)
    if not selection.has_masks:
        write_table(folder / "boxes.csv", BOX_COLUMNS, boxes)
    write_json(folder / "synthetic.json", selection.summary(INTENSITIES))


def _make_segmentation(
    entry: Entry, label: np.ndarray, channels: list[DicomDataset], labels: list[str]
) -> DicomDataset:
    """The label map (X, Y) of an image as a DICOM Segmentation (PS3.3 A.51) that refers to its first channel."""
    algorithm = highdicom.AlgorithmIdentificationSequence(
        name=_text(_system(entry)), version=own_version(), family=codes.DCM.ArtificialIntelligence
    )
    segments = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=_text(name),
            segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
            segmented_property_type=codes.SCT.Lesion,
            algorithm_type="AUTOMATIC",
            algorithm_identification=algorithm,
        )
        for number, name in enumerate(labels)
        if number
    ]
    series = generate_uid(entropy_srcs=[channels[0].StudyInstanceUID, "segmentation"])
    instance = highdicom.seg.Segmentation(
        source_images=channels[:1],
        pixel_array=np.ascontiguousarray(label.T)[None],  # (1, Y, X)
        segmentation_type="BINARY",
        segment_descriptions=segments,
        series_instance_uid=series,
        series_number=len(channels) + 1,
        sop_instance_uid=generate_uid(entropy_srcs=[series, "1"]),
        instance_number=1,
        manufacturer=SOFTWARE,
        manufacturer_model_name=_text(_system(entry)),
        software_versions=own_version(),
        device_serial_number="none",
        content_description=NOTICE[:LONG_STRING],
    )
    instance.SyntheticData = "YES"
    instance.SeriesDescription = "SYNTHETIC label map"
    return instance


def _make_instance(entry: Entry, stored: np.ndarray, study: str, number: int, kind: str) -> DicomDataset:
    """A Secondary Capture instance of a plane (X, Y), uint16, without rescale and size of pixels."""
    instance = DicomDataset()
    series = generate_uid(entropy_srcs=[study, f"series {number}"])
    instance.SOPClassUID = SecondaryCaptureImageStorage
    instance.SOPInstanceUID = generate_uid(entropy_srcs=[series, "1"])
    instance.SpecificCharacterSet = "ISO_IR 192"
    instance.SyntheticData = "YES"
    instance.PatientName = f"SYNTHETIC^{_text(entry.name)}"[:LONG_STRING]
    instance.PatientID = _text(f"SYNTHETIC {entry.name}")
    instance.StudyInstanceUID, instance.SeriesInstanceUID = study, series
    instance.StudyDescription = "SYNTHETIC, of no patient; for research only"
    instance.SeriesDescription = _text(f"SYNTHETIC {kind}")
    instance.SeriesNumber, instance.InstanceNumber = number + 1, 1
    instance.Modality, instance.ConversionType = "OT", "SYN"
    instance.ImageType = ["DERIVED", "SECONDARY", "SYNTHETIC"]
    instance.DerivationDescription = _describe_derivation(entry)
    instance.ImageComments = NOTICE
    instance.BurnedInAnnotation, instance.LossyImageCompression = "NO", "00"
    instance.Manufacturer, instance.ManufacturerModelName = SOFTWARE, _text(_system(entry))
    instance.ContributingEquipmentSequence = [_describe_equipment(entry)]
    # the standard wants these tags, and nothing is known: there is no patient, visit or direction
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID", "AccessionNumber"):
        setattr(instance, keyword, "")
    instance.ReferringPhysicianName, instance.PatientOrientation = "", ""
    instance.FrameOfReferenceUID = generate_uid(entropy_srcs=[study, "frame of reference"])
    instance.PositionReferenceIndicator, instance.SliceThickness = "", "1"
    instance.ImagePositionPatient, instance.ImageOrientationPatient = [0, 0, 0], [1, 0, 0, 0, 1, 0]
    instance.SamplesPerPixel, instance.PhotometricInterpretation = 1, "MONOCHROME2"
    instance.Columns, instance.Rows = stored.shape
    instance.BitsAllocated, instance.BitsStored, instance.HighBit = 16, 16, 15
    instance.PixelRepresentation = 0
    instance.PixelData = np.ascontiguousarray(stored.T).astype("<u2").tobytes()  # (Y, X)
    instance["PixelData"].VR = "OW"
    instance.file_meta = FileMetaDataset()
    instance.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return instance


def _describe_equipment(entry: Entry) -> DicomDataset:
    purpose = DicomDataset()
    purpose.CodeValue, purpose.CodingSchemeDesignator, purpose.CodeMeaning = "109102", "DCM", "Processing Equipment"
    equipment = DicomDataset()
    equipment.PurposeOfReferenceCodeSequence = [purpose]
    equipment.Manufacturer, equipment.ManufacturerModelName = SOFTWARE, _text(_system(entry))
    generator = entry.item["synthetic"].get("generator_sha256", "unknown")
    equipment.SoftwareVersions = _text(f"generator {generator[:40]}")
    equipment.ContributionDescription = NOTICE
    return equipment


def _describe_derivation(entry: Entry) -> str:
    """One sentence of up to 1024 characters."""
    known = entry.item["synthetic"]
    parts = [f"{NOTICE} System {_system(entry)}, seed {known.get('seed', 'unknown')}"]
    if known.get("source_patient"):
        parts.append(f"lesions asked for as in patient {known['source_patient']}")
    if known.get("anatomy_patient"):
        parts.append(f"in the outline of patient {known['anatomy_patient']}")
    if entry.item["class"]:
        parts.append(f"class {entry.item['class']}")
    parts.append(f"generator SHA-256 {known.get('generator_sha256', 'unknown')}")
    return _text("; ".join(parts), 1024)


def _system(entry: Entry) -> str:
    return str(entry.item["synthetic"].get("system", "unknown"))


def _text(text: str, longest: int = LONG_STRING) -> str:
    """Without what separates values and components in DICOM, and cut."""
    return re.sub(r"[\\^=\x00-\x1f]", "_", text)[:longest]
