"""A sample of BraTS 2015 as distributed with DeepMedic: z-scored FLAIR and T1c, labels 0-4 stored as floats."""

from __future__ import annotations

from pathlib import Path

from scripts.data.contract import Dataset, DatasetError, Item

LABELS = ["background", "necrosis", "oedema", "non-enhancing tumour", "enhancing tumour"]
_IMAGES = ("Flair_subtrMeanDivStd.nii.gz", "T1c_subtrMeanDivStd.nii.gz")
_LABEL = "OTMultiClass.nii.gz"


def read_brats2015_sample(source: Path) -> Dataset:
    """Case folders in `train` and `validation`, which stay the split.

    Raises:
        DatasetError: no case, or a file of a case is missing.
    """
    splits: dict[str, list[Item]] = {}
    for split, folder in (("training", "train"), ("validation", "validation")):
        splits[split] = []
        for case in sorted(path for path in (source / folder).glob("brats_*") if path.is_dir()):
            missing = [name for name in (*_IMAGES, _LABEL) if not (case / name).is_file()]
            if missing:
                raise DatasetError(f"{case} has no {', '.join(missing)}. Complete the download or remove the case.")
            images = [str(case / name) for name in _IMAGES]
            splits[split].append({"image": images, "label": str(case / _LABEL), "patient": case.name, "class": None})
    if not splits["training"]:
        raise DatasetError(f"{source} has no cases such as train/brats_2013_pat0005_1/{_LABEL}.")
    return Dataset(source, "BraTS 2015 sample", ["FLAIR", "T1c"], LABELS, splits=splits)
