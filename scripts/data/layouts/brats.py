"""BraTS 2017 to 2021 and 2023 folders, with centre from name or table; and a z-scored sample of BraTS 2015."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.layouts.files import find_files, leave_out_unclassed, read_rows

SEQUENCES = {"t1": "T1", "t1ce": "T1ce", "t2": "T2", "flair": "FLAIR"}
NAMES_2023 = {"t1": "t1n", "t1ce": "t1c", "t2": "t2w", "flair": "t2f"}
LABELS = ["background", "necrotic and non-enhancing core", "oedema", "enhancing tumour"]
CENTRE_PATTERN = r"(?i)brats\d\d_(?!training|validation|testing)([a-z0-9]+)_"  # BraTS19_TCIA05_444_1 -> TCIA05
_FLAIR = re.compile(r"(.+)(_flair|-t2f)\.nii(\.gz)?", re.IGNORECASE)
_SEGMENTATION = re.compile(r".+[_-]segm?\.nii(\.gz)?", re.IGNORECASE)  # one case of 2020 has ..._Segm.nii
_SCAN = re.compile(r"(brats\d\d_[^_]+_[^_]+|brats-[a-z]+-\d+)[_-]\d+", re.IGNORECASE)  # the last number counts scans

LABELS_2015 = ["background", "necrosis", "oedema", "non-enhancing tumour", "enhancing tumour"]
_IMAGES_2015 = ("Flair_subtrMeanDivStd.nii.gz", "T1c_subtrMeanDivStd.nii.gz")
_LABEL_2015 = "OTMultiClass.nii.gz"


def read_brats(
    source: Path, *, class_from: str = "centre", centre_pattern: str | None = None, mapping: str | None = None
) -> Dataset:
    """Case folders anywhere below the source; a case without segmentation (the official validation) is unlabelled.

    The item keys `centre` and `grade` keep both; `grade` is the parent folder HGG or LGG (2017 to 2019), or the mapping
    file's (2019, 2020). `class_from` is 'centre', or 'grade': a labelled case without one is left out, with a warning.

    Args:
        centre_pattern: regular expression with one group, the centre, searched in the case name.
        mapping: CSV file with columns case and centre, or the challenge's `name_mapping.csv`, whose
            `BraTS_<year>_subject_ID` columns are searched for the case and then with the pattern.

    Raises:
        DatasetError: no case, one without a sequence or of which pattern or mapping file say nothing, no grade at all.
    """
    if class_from not in ("centre", "grade"):
        raise DatasetError(f"class_from is {class_from!r}, expected 'centre' or 'grade'.")
    pattern = _compile(centre_pattern or CENTRE_PATTERN)
    mapped = _read_mapping(Path(mapping).expanduser().absolute(), pattern) if mapping else None
    items = []
    for flair in find_files(source, "**/*.nii*"):
        if not _FLAIR.fullmatch(flair.name):
            continue
        item = _read_case(flair)
        case = item.pop("case")
        if mapped is not None and case not in mapped:
            raise DatasetError(f"{mapping}: no row for case {case}. Add it, with a blank centre if unknown.")
        if mapped is not None:
            item |= {key: value for key, value in mapped[case].items() if value}
        else:
            item["centre"] = _search(pattern, case)
        if centre_pattern and item.get("centre") is None:
            raise DatasetError(f"centre_pattern {centre_pattern!r} finds no centre in case {case!r}. Correct it.")
        items.append({**item, "class": item.get(class_from)})
    if not items:
        raise DatasetError(
            f"{source} has no files such as <case>/<case>_flair.nii.gz or <case>-t2f.nii.gz at any depth. Other names: "
            "layout patient_folders, with --images and --label."
        )
    if class_from == "grade":
        remedy = "Name the folder above HGG and LGG, or a CSV file with a column Grade with --mapping."
        items = leave_out_unclassed(items, "grade", remedy)
    classes = sorted({item["class"] for item in items if item["class"]})
    channels = list(SEQUENCES.values())
    label_values = {4: 3} if any("_flair" in item["image"][3].lower() for item in items) else {}  # 2024: 4 is a cavity
    return Dataset(source, "BraTS", channels, LABELS, classes, label_values, splits={"training": items})


def _read_case(flair: Path) -> Item:
    match = _FLAIR.fullmatch(flair.name)
    assert match
    if "-ped-" in match[1].lower():
        raise DatasetError(f"{flair}: BraTS-PED has other labels. Use the layout patient_folders, with --labels.")
    files = {file.name.lower(): file for file in find_files(flair.parent, "*")}
    newer = match[2].startswith("-")
    images = []
    for sequence in SEQUENCES:
        name = f"{match[1]}-{NAMES_2023[sequence]}.nii" if newer else f"{match[1]}_{sequence}.nii"
        wanted = [f"{name}{gz}".lower() for gz in ("", ".gz")]
        found = [files[name] for name in wanted if name in files]
        if not found:
            raise DatasetError(f"{flair.parent} has no {name}.gz. Complete the download.")
        images.append(str(found[0]))
    labels = [str(file) for file in files.values() if _SEGMENTATION.fullmatch(file.name)]
    scan = _SCAN.fullmatch(match[1])
    grade = next((part for part in reversed(flair.parts) if part in ("HGG", "LGG")), None)
    label = labels[0] if labels else None
    return {"case": match[1], "image": images, "label": label, "patient": scan[1] if scan else match[1], "grade": grade}


def _read_mapping(file: Path, pattern: re.Pattern[str]) -> dict[str, Item]:
    """Case -> its centre and grade, from either kind of mapping file."""
    rows = [row for _, row in read_rows(file)]
    header = list(rows[0]) if rows else []
    grade = next((name for name in header if name.lower() == "grade"), "")
    if "case" in header and "centre" in header:
        return {row["case"]: {"centre": row["centre"], "grade": row.get(grade)} for row in rows}
    names = [name for name in header if re.fullmatch(r"(?i)brats_\d{4}_subject_id", name)]
    if not names:
        known = ", ".join(header) or "none"
        raise DatasetError(f"{file}: columns {known}; expected case and centre, or BraTS_<year>_subject_ID.")
    mapped: dict[str, Item] = {}
    for row in rows:
        centre = next((found for name in reversed(names) if (found := _search(pattern, row[name]))), None)
        mapped |= {row[name]: {"centre": centre, "grade": row.get(grade)} for name in names if row[name]}
    return mapped


def _compile(pattern: str) -> re.Pattern[str]:
    expected = f"centre_pattern is {pattern!r}, expected a regular expression with one group, such as '_(TCIA..)_'."
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DatasetError(f"{expected} ({error})") from None
    if compiled.groups != 1:
        raise DatasetError(expected)
    return compiled


def _search(pattern: re.Pattern[str], name: str) -> str | None:
    match = pattern.search(name)
    return match[1] if match else None


def read_brats2015_sample(source: Path) -> Dataset:
    """Case folders in `train` and `validation`, which stay the split.

    Raises:
        DatasetError: no case, or a file of a case is missing.
    """
    splits: dict[str, list[Item]] = {}
    for split, folder in (("training", "train"), ("validation", "validation")):
        splits[split] = []
        for case in sorted(path for path in (source / folder).glob("brats_*") if path.is_dir()):
            missing = [name for name in (*_IMAGES_2015, _LABEL_2015) if not (case / name).is_file()]
            if missing:
                raise DatasetError(f"{case} has no {', '.join(missing)}. Complete the download or remove the case.")
            images, label = [str(case / name) for name in _IMAGES_2015], str(case / _LABEL_2015)
            splits[split].append({"image": images, "label": label, "patient": case.name, "class": None})
    if not splits["training"]:
        raise DatasetError(f"{source} has no cases such as train/brats_2013_pat0005_1/{_LABEL_2015}.")
    return Dataset(source, "BraTS 2015 sample", ["FLAIR", "T1c"], LABELS_2015, splits=splits)
