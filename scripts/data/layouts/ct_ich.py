"""CT-ICH (Hssayeni et al. 2020, PhysioNet): head CT with binary masks and a table of haemorrhage types by slice."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.layouts.files import find_files, find_folder, pair_images, read_rows
from scripts.data.layouts.label_maps import write_labels

logger = logging.getLogger(__name__)

COLUMNS = {  # of the table, in the order of the labels 1 to 5 -> global class
    "Intraparenchymal": "IPH",
    "Intraventricular": "IVH",
    "Subarachnoid": "SAH",
    "Epidural": "EDH",
    "Subdural": "SDH",
}
TYPES = list(COLUMNS.values())
LABELS = ["background", *(f"{name.lower()} haemorrhage" for name in COLUMNS)]
BRAIN_WINDOW = [0.0, 80.0]  # Hounsfield units
_TABLES = ("hemorrhage_diagnosis_raw_ct.csv", "hemorrhage_diagnosis.csv")
_MASK = "_HGE_Seg"
SliceTypes = dict[int, list[int]]  # slice number -> the labels of the types that the table names, in their order


def read_ct_ich(source: Path, *, output: Path, types: str = "table", healthy: bool = False) -> Dataset:
    """Volumes `ct_scans/049.nii` with `masks/049.nii` (v1.3.1), or slices `Patients_CT/049/brain/1.jpg` (v1.0).

    The table beside them is `hemorrhage_diagnosis_raw_ct.csv` or `hemorrhage_diagnosis.csv`. Masks are the union of all
    types, and types are known by slice. So label maps are derived: a slice of one type takes it, a slice of several
    takes that of them which the patient has in most slices (then the first of the order). They are written to
    `output/labels` with the image's affine. The class is the patient's most frequent type. Patients without haemorrhage
    are left out, as in LcGAN's paper, unless `healthy` is asked for; they have no class. `types` is 'table', five
    labels; or 'one', the single label haemorrhage, for which volumes need no derived files.

    Slices are numbered from 1 along the volumes' last axis. Of the JPG slices only those with haemorrhage have a mask
    `1_HGE_Seg.jpg`; it is cut at half its range, and the others get an empty label map.

    Names, columns and numbering are those of published scripts; the restricted download was not at hand. Not verified
    on it: that every slice with a mask has a type (this layout refuses others), that masks hold 0 and 255 or 0 and 1
    exactly (`types` one needs that; values are else cut at half), and that the JPG slices have one channel.

    Raises:
        DatasetError: no such folders or table, an image without mask or the reverse, a masked slice without a type;
            the message names patient and slice.
    """
    if types not in ("table", "one"):
        raise DatasetError(f"types is {types!r}, expected 'table' (five labels) or 'one' (haemorrhage).")
    from scripts.data.layouts.contents import find_modality  # loads MONAI: not at --help

    table = _read_types(next((source / name for name in _TABLES if (source / name).is_file()), source / _TABLES[0]))
    volumes = find_folder(source, "ct_scans", "Patients_CT").name == "ct_scans"
    items = (_read_volumes if volumes else _read_slices)(source, table, output / "labels", types)
    if not items:
        raise DatasetError(f"{source} has no slices such as Patients_CT/049/brain/1.jpg. Complete the download.")
    if not healthy:
        without = len({item["patient"] for item in items if not item["class"]})
        items = [item for item in items if item["class"]]
        logger.info(f"{without} patients without haemorrhage are left out (--healthy True keeps them).")
    classes = [name for name in TYPES if any(item["class"] == name for item in items)]
    if types == "table":
        patients = {int(item["patient"]) for item in items}
        counts = [len(listed) for patient in patients for listed in table[patient].values() if listed]
        several = sum(count > 1 for count in counts)
        logger.info(
            f"{several} of {len(counts)} slices with haemorrhage have several types. The masks do not say which pixels "
            "are which, so all pixels of such a slice take the type that the patient has in most slices."
        )
    found = find_modality(items[0])
    channels = ["CT"] if len(found) == 1 else found
    labels = LABELS if types == "table" else ["background", "haemorrhage"]
    values = {255: 1} if volumes and types == "one" else {}
    window = BRAIN_WINDOW if volumes else [0.0, 255.0]
    return Dataset(source, "CT-ICH", channels, labels, classes, values, window, {"training": items})


def _read_types(file: Path) -> dict[int, SliceTypes]:
    """Patient number -> slice number -> labels."""
    table: dict[int, SliceTypes] = defaultdict(dict)
    names = ("PatientNumber", "SliceNumber", *COLUMNS)
    for line, row in read_rows(file, *names):
        try:
            patient, number, *flags = (int(float(row[name] or 0)) for name in names)
        except ValueError:
            raise DatasetError(f"{file}, row {line}: {row}, expected numbers in all of these columns.") from None
        table[patient][number] = [label for label, flag in enumerate(flags, start=1) if flag]
    return table


def _read_volumes(source: Path, table: dict[int, SliceTypes], folder: Path, types: str) -> list[Item]:
    from scripts.transforms.loading import read_image

    items: list[Item] = []
    for name, (image, mask) in pair_images(source / "ct_scans", source / "masks").items():
        patient = _parse_number(name, image)
        label = mask
        if types == "table":
            lesion = _find_lesion(np.asarray(read_image(str(mask)))[0])  # (X, Y, Z)
            labels = np.zeros(lesion.shape, np.uint8)
            for z in np.flatnonzero(lesion.any(axis=(0, 1))):
                labels[..., z] = lesion[..., z] * _choose_label(table[patient], int(z) + 1, mask, patient)
            affine = np.asarray(read_image(str(image)).affine)  # masks are on the image's grid, whatever theirs says
            label = write_labels(folder / name, labels, affine)
        items.append({"image": str(image), "label": str(label), **_describe_patient(patient, table)})
    return items


def _read_slices(source: Path, table: dict[int, SliceTypes], folder: Path, types: str) -> list[Item]:
    from scripts.transforms.loading import read_image

    items: list[Item] = []
    for brain in sorted(path for path in (source / "Patients_CT").glob("*/brain") if path.is_dir()):
        patient = _parse_number(brain.parent.name, brain.parent)
        masks: dict[int, Path] = {}
        images: dict[int, Path] = {}
        for file in find_files(brain, "*.jpg"):
            kind = masks if file.stem.endswith(_MASK) else images
            kind[_parse_number(file.stem.removesuffix(_MASK), file)] = file
        for number in sorted(masks.keys() - images.keys()):
            raise DatasetError(f"{masks[number]} has no image {number}.jpg. Complete the download.")
        for number, image in sorted(images.items()):
            if number not in table[patient]:
                raise DatasetError(f"{image}: the table has no row for patient {patient}, slice {number}. Add it.")
            if number not in masks and table[patient][number]:
                raise DatasetError(f"{image} has haemorrhage but no mask {number}{_MASK}.jpg. Complete the download.")
            picture = np.asarray(read_image(str(masks.get(number, image))))[0]  # (X, Y)
            labels = np.zeros(picture.shape, np.uint8)
            if number in masks and (lesion := _find_lesion(picture)).any():
                chosen = _choose_label(table[patient], number, masks[number], patient)
                labels = lesion.astype(np.uint8) * (chosen if types == "table" else 1)
            label = write_labels(folder / f"{patient:03d}_{number}", labels)
            item = {"image": str(image), "label": str(label), "slice": number}
            items.append({**item, **_describe_patient(patient, table)})
    return items


def _find_lesion(values: np.ndarray) -> np.ndarray:
    """True where a mask of 0 and 1, or of 0 and 255 (after JPEG: about), is set."""
    return values > (0.5 if values.max() <= 1 else 127)


def _choose_label(slices: SliceTypes, number: int, mask: Path, patient: int) -> int:
    """The label of a slice: of its types the one in most slices of the patient."""
    if not slices.get(number):
        raise DatasetError(
            f"{mask}: patient {patient}, slice {number} is masked, but the table names no type for it. Correct the "
            "table, remove the mask there, or prepare with --types one."
        )
    return _most_frequent(slices, slices[number])


def _most_frequent(slices: SliceTypes, labels: list[int]) -> int:
    counts = Counter(label for listed in slices.values() for label in listed)
    return min(labels, key=lambda label: (-counts[label], label))


def _describe_patient(patient: int, table: dict[int, SliceTypes]) -> Item:
    labels = sorted({label for listed in table[patient].values() for label in listed})
    return {"patient": f"{patient:03d}", "class": TYPES[_most_frequent(table[patient], labels) - 1] if labels else None}


def _parse_number(text: str, file: Path) -> int:
    if not text.isdigit():
        raise DatasetError(f"{file}: {text!r} is no number, as patients (049) and slices (1) have. Rename or remove.")
    return int(text)
