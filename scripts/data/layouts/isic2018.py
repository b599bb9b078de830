"""ISIC 2018 task 1: dermoscopic images, `_segmentation.png` masks, and a CSV file with a diagnosis for each image."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.data.contract import SPLITS, Dataset, DatasetError, Item
from scripts.data.layouts.files import IMAGE_SUFFIXES, find_files, find_split, index_by_stem, read_rows
from scripts.data.patients import find_patient_key

IMAGE_COLUMNS = ("isic_id", "image_id", "image_name", "image", "name")
DIAGNOSIS_COLUMNS = ("diagnosis", "meta.clinical.diagnosis", "diagnosis_3", "dx")
LESION_COLUMN = "lesion_id"  # tells the patient where no column or a blank one does
_MASK = "_segmentation"


def read_isic2018(source: Path, *, metadata: str | None = None) -> Dataset:
    """Images `ISIC_0000000.jpg` in any folder below, with masks `ISIC_0000000_segmentation.png` in any other.

    Where folder names say Validation or Test (`ISIC2018_Task1-2_Validation_Input`) the official split is kept. The
    class is the diagnosis; an image without one has no class. `metadata` is the CSV file with an image and a diagnosis
    column, as the ISIC archive exports it; by default the only such file in `source`. Its patient or lesion column, if
    any, tells the patients apart.

    Raises:
        DatasetError: no images, masks or metadata; a mask without image, or a training image without mask.
    """
    files = [file for file in find_files(source, "**/*") if file.name.lower().endswith(IMAGE_SUFFIXES)]
    files = [file for file in files if not file.stem.endswith("_superpixels")]
    masks = index_by_stem([file for file in files if file.stem.endswith(_MASK)])
    images = index_by_stem([file for file in files if re.fullmatch(r"ISIC_\d+", file.stem)])
    if not images or not masks:
        raise DatasetError(
            f"{source} has {len(images)} images ISIC_0000000.jpg and {len(masks)} masks "
            "ISIC_0000000_segmentation.png. Name the folder that holds both."
        )
    for name, mask in masks.items():
        if name.removesuffix(_MASK) not in images:
            raise DatasetError(f"{mask} has no image {name.removesuffix(_MASK)}.jpg. Complete the download.")
    facts = _read_metadata(Path(metadata).expanduser().absolute() if metadata else _find_metadata(source))
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for name, image in images.items():
        split = find_split(image.relative_to(source).parent)
        mask_file = masks.get(name + _MASK)
        if mask_file is None and split == "training":
            raise DatasetError(f"{image} has no mask {name}{_MASK}.png. Complete the download or remove the image.")
        item = {"image": str(image), "label": str(mask_file) if mask_file else None, "case": name, "class": None}
        splits[split].append({**item, **facts.get(name, {})})
    classes = sorted({item["class"] for items in splits.values() for item in items if item["class"]})
    labels, channels = ["background", "lesion"], ["red", "green", "blue"]
    return Dataset(source, "ISIC 2018", channels, labels, classes, {255: 1}, [0.0, 255.0], splits)


def _find_metadata(source: Path) -> Path:
    found = [file for file in find_files(source, "*.csv") if _columns(file)]
    if len(found) != 1:
        names = ", ".join(file.name for file in found) or "none"
        raise DatasetError(
            f"{source}: CSV files with an image and a diagnosis column: {names}; expected one. "
            "Export the metadata from the ISIC archive and name it with --metadata."
        )
    return found[0]


def _columns(file: Path) -> tuple[str, str] | None:
    rows = read_rows(file)
    header = list(rows[0][1]) if rows else []
    image = next((name for name in IMAGE_COLUMNS if name in header), None)
    diagnosis = next((name for name in DIAGNOSIS_COLUMNS if name in header), None)
    return (image, diagnosis) if image and diagnosis else None


def _read_metadata(file: Path) -> dict[str, Item]:
    """Image name -> its class and, where the file tells, its patient."""
    columns = _columns(file)
    if columns is None:
        raise DatasetError(
            f"{file}: expected rows with an image column ({', '.join(IMAGE_COLUMNS)}) and a diagnosis column "
            f"({', '.join(DIAGNOSIS_COLUMNS)})."
        )
    image, diagnosis = columns
    facts: dict[str, Item] = {}
    rows = [row for _, row in read_rows(file)]
    column = find_patient_key(rows[0]) or ""
    of_lesion = {row[LESION_COLUMN]: row[column] for row in rows if row.get(LESION_COLUMN) and row.get(column)}
    for row in rows:
        lesion = row.get(LESION_COLUMN, "")
        patient = row.get(column) or of_lesion.get(lesion, lesion)
        fact = {"class": row[diagnosis] or None, "patient": patient}
        facts[row[image].removesuffix(".jpg")] = {key: value for key, value in fact.items() if value or key == "class"}
    return facts
