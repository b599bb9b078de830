"""TCGA-LGG MR slices (Buda et al. 2019): the TIFF layout of Kaggle (`kaggle_3m`) and PNG with `patients.csv`."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.layouts.files import leave_out_unclassed, read_rows

RANGE = [0.0, 160.0]  # of 8 bits: 99.5% of the published pixels lie below 160; the rest is fat and clips
MODALITY = ["pre-contrast", "FLAIR", "post-contrast"]  # the three channels of each RGB file
_SLICE = re.compile(r"(?P<patient>TCGA_(?P<centre>[A-Z0-9]{2})_[A-Z0-9]{4})_\d+_(?P<slice>\d+)\.(tif|tiff|png)")


def read_lgg(source: Path, *, class_from: str = "centre") -> Dataset:
    """Slices `TCGA_<centre>_<patient>_<date>_<slice>` beside their `_mask`; a missing sequence is FLAIR again.

    They lie in patient folders of `source` or of `kaggle_3m` there, beside `patients.csv` or Kaggle's `data.csv` for
    grades. The class is the 'centre', the tissue source site in the name, or the 'grade', the code in the CSV file; a
    patient with a blank grade is then left out, with a warning. The item keys `slice`, `centre` and `grade` keep all.

    Raises:
        DatasetError: no slice, a slice without mask, no CSV file or no row for a patient when grades are asked for.
    """
    if class_from not in ("centre", "grade"):
        raise DatasetError(f"class_from is {class_from!r}, expected 'centre' or 'grade'.")
    if (source / "kaggle_3m").is_dir():
        source = source / "kaggle_3m"
    grades = _read_grades(source, required=class_from == "grade")
    items = []
    for image in sorted(source.glob("TCGA_*/TCGA_*")):
        match = _SLICE.fullmatch(image.name)
        if match:
            items.append(_read_slice(image, match, grades, class_from))
    if not items:
        raise DatasetError(f"{source} has no slices such as TCGA_CS_4942_19970222/TCGA_CS_4942_19970222_10.tif.")
    if class_from == "grade":
        items = leave_out_unclassed(items, "grade", "Fill in the CSV file.")
    items.sort(key=lambda item: (item["patient"], item["image"].rpartition("_")[0], item["slice"]))
    classes = sorted({item["class"] for item in items if item["class"]})
    labels = ["background", "tumour"]
    return Dataset(source, "TCGA-LGG", MODALITY, labels, classes, {255: 1}, RANGE, {"training": items})


def _read_slice(image: Path, match: re.Match[str], grades: dict[str, str] | None, class_from: str) -> Item:
    mask = image.with_name(f"{image.stem}_mask{image.suffix}")
    if not mask.is_file():
        raise DatasetError(f"{image} has no {mask.name} beside it. Complete the download or remove the slice.")
    patient, centre = match["patient"], match["centre"]
    item: Item = {"image": str(image), "label": str(mask), "patient": patient, "slice": int(match["slice"])}
    item["centre"] = centre
    if grades is not None:
        if patient not in grades:
            raise DatasetError(f"{image}: no row for {patient} in the CSV file of grades. Add it, blank if unknown.")
        item["grade"] = grades[patient] or None
    graded = f"grade_{item['grade']}" if item.get("grade") else None
    item["class"] = centre if class_from == "centre" else graded
    return item


def _read_grades(source: Path, *, required: bool) -> dict[str, str] | None:
    """Patient without date -> grade code (1 is WHO grade II, 2 is grade III), from either CSV file."""
    columns = {"patients.csv": ("patient", "grade"), "data.csv": ("Patient", "neoplasm_histologic_grade")}
    for name, (patient, grade) in columns.items():
        if (source / name).is_file():
            rows = [row for _, row in read_rows(source / name, patient, grade)]
            return {"_".join(row[patient].split("_")[:3]): row[grade].removesuffix(".0") for row in rows}
    if required:
        raise DatasetError(f"{source} has neither patients.csv nor data.csv, which give the grades.")
    return None
