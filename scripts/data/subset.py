"""A view of a data set that trains on a share of its patients, and tests on those whom that leaves out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from scripts.data.contract import SPLITS, DatasetError, read_dataset, write_dataset
from scripts.data.splits import select_fraction, select_items


def subset(
    dataset_dir: str,
    *,
    output: str,
    patient_fraction: float,
    fold: int | None = None,
    seed: int = 0,
    test_left_out: bool = True,
) -> None:
    """Writes a dataset.json of the same files that has the fold's split as its own and fewer training patients.

    Classes that none of these has are left out, since nothing can learn them; others who have them stay, without class.

    Args:
        dataset_dir: folder of the data set.
        output: folder of the view.
        patient_fraction: share of the training patients to keep, in (0, 1]; classes as in the whole.
        fold: of the cross-validation; by default the lists of dataset.json.
        seed: of the choice of patients; with one seed smaller shares lie within larger ones.
        test_left_out: whether the training patients who are left out are tested on, which makes tests of few patients
            say more.

    Raises:
        DatasetError: whatever `select_items` and `select_fraction` refuse, or another data set in the folder.
    """
    dataset, folder = read_dataset(dataset_dir), Path(output).absolute()
    if folder == dataset.root.absolute():
        raise DatasetError(f"output is {folder}, the data set itself. Name another folder.")
    splits = {split: select_items(dataset, split, fold, boxed=True) for split in SPLITS}
    kept = select_fraction(splits["training"], patient_fraction, seed=seed)
    patients = {item["patient"] for item in kept}
    left_out = [item for item in splits["training"] if item["patient"] not in patients]
    splits = {**splits, "training": kept, "test": splits["test"] + (left_out if test_left_out else [])}
    classes = [name for name in dataset.classes if any(item["class"] == name for item in kept)]
    for item in (item for items in splits.values() for item in items):
        item.pop("fold", None)
        if item["class"] not in classes:
            item["class"] = None
    write_dataset(folder, replace(dataset, root=folder, classes=classes, splits=splits))
