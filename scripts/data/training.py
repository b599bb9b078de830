"""Which items a network is trained and judged on: real ones, synthetic ones, and the refusal of leaks between them."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, DatasetError, Item, image_files, read_dataset, source_patients, stem
from scripts.data.memorised import is_memorised
from scripts.data.splits import (
    PARTS,
    check_synthetic_sources,
    check_trained_on,
    patient_parts,
    select_fraction,
    select_items,
)


def training_items(
    dataset_dir: str | Path,
    *,
    fold: int | None = None,
    synthetic_dir: str | Path | Sequence[str | Path] | None = None,
    use_real: bool = True,
    only_class: str | None = None,
    patient_fraction: float = 1.0,
    fraction_seed: int = 0,
    boxed: bool = False,
    left_out_part: int | None = None,
    allow_memorised: Any = None,
) -> list[Item]:
    """Training items of a data set and, if asked, of synthetic sets made from it.

    Args:
        dataset_dir: folder of the real data set.
        fold: of the cross-validation; None for the lists of the file.
        synthetic_dir: folder of the synthetic set, or a list of such folders (one per generator).
        use_real: False leaves the real images out (the paper's Table 1 trains on synthetic images only).
        only_class: keeps the real images of one class (one generator per class).
        patient_fraction: share of the training patients to use, in (0, 1], see `select_fraction`.
        fraction_seed: of the choice of that share.
        boxed: for networks that work on boxes: takes items with boxes and no label map too.
        left_out_part: 0 or 1, of `patient_parts`: leaves these patients out, for a network that is to judge images
            made from theirs; it is trained on real images alone.
        allow_memorised: synthetic sets that are taken although they failed their audit, see `is_memorised`; their items
            say so as `memorised`, the set's name.

    Raises:
        DatasetError: whatever `read_dataset` and `select_items` refuse, a synthetic set whose labels or classes differ,
            one with boxes in place of label maps unless `boxed`, one made from patients that are validated or tested on
            or lie outside the fraction, or one that repeats training images.
    """
    dataset = read_dataset(dataset_dir)
    items = select_items(dataset, "training", fold, boxed=boxed)
    check_synthetic_sources((item for item in items if item.get("synthetic")), dataset, fold)
    items = select_fraction(items, patient_fraction, seed=fraction_seed)
    patients = {item["patient"] for item in items}
    if left_out_part is not None:
        if left_out_part not in range(PARTS) or synthetic_dir:
            raise DatasetError(
                f"left_out_part is {left_out_part} with synthetic_dir {synthetic_dir}, expected 0 or 1, without "
                "synthetic images, which may show the patients that are left out. Leave one of the two options out."
            )
        home = patient_parts(items, dataset_dir)
        items = [item for item in items if home[item["patient"]] != left_out_part]
    if only_class is not None:
        if only_class not in dataset.classes:
            raise DatasetError(f"only_class is {only_class!r}, expected one of {dataset.classes}.")
        items = [item for item in items if item["class"] == only_class]
        if not items:
            raise DatasetError(f"Class {only_class!r} has no training image here. Choose another class or fold.")
    folders = [synthetic_dir] if isinstance(synthetic_dir, str | Path) else list(synthetic_dir or [])
    if not use_real and not folders:
        raise DatasetError("use_real is False and no synthetic_dir is given: there is nothing to train on.")
    made = []
    for folder in folders:
        synthetic = read_dataset(folder)
        check_synthetic(synthetic, dataset, fold, boxed=boxed)
        if patient_fraction < 1:
            _check_fraction(
                synthetic, patients, f"{patient_fraction:g} of the patients chosen with seed {fraction_seed}"
            )
        memorised = is_memorised(synthetic.root, synthetic.memorisation, allow_memorised)
        made += (
            [{**item, "memorised": synthetic.root.name} for item in synthetic.items] if memorised else synthetic.items
        )
    return [*(items if use_real else []), *made]


def check_synthetic(synthetic: Dataset, dataset: Dataset, fold: int | None = None, *, boxed: bool = False) -> None:
    """Raises DatasetError for a synthetic set that was not made from training items of the data set."""
    for name in ("modality", "labels", "classes"):
        ours, theirs = getattr(dataset, name), getattr(synthetic, name)
        if ours != theirs:
            raise DatasetError(
                f"{synthetic.root}: {name} {theirs} differ from {ours} of {dataset.root}. Synthesise again."
            )
    if not boxed and any(item["label"] is None for item in synthetic.items):
        raise DatasetError(f"{synthetic.root} has boxes in place of label maps. Train a detector on it.")
    real = {os.path.realpath(file) for item in dataset.items for file in image_files(item)}
    for file in (file for item in synthetic.items for file in image_files(item)):
        if os.path.realpath(file) in real:
            raise DatasetError(
                f"{synthetic.root} lists {file} as synthetic, an image of {dataset.root}. Synthesise again."
            )
    check_trained_on(synthetic.trained_on, synthetic.root, dataset, fold)
    check_synthetic_sources(synthetic.items, dataset, fold)


def _check_fraction(synthetic: Dataset, patients: Collection[str], fraction: str) -> None:
    """Raises DatasetError for a synthetic set that owes something to patients outside the fraction."""
    made_from = (item for item in synthetic.items if "source_patient" in item["synthetic"])
    sources = {source for item in made_from for source in source_patients(item)} | set(synthetic.trained_on)
    strangers = sorted(sources - set(patients))
    if strangers:
        raise DatasetError(
            f"{synthetic.root}: made with patient {strangers[0]!r}, who is not in the {fraction}. Train the generator "
            "and plan with the same fraction and seed."
        )


def evaluation_items(dataset_dir: str | Path, split: str, *, fold: int | None = None) -> list[Item]:
    """Real items of a split with image, label, patient and class ("" for none), for evaluators on whole images."""
    items = select_items(read_dataset(dataset_dir), split, fold)
    return [
        {**{key: item[key] for key in ("image", "label", "patient")}, "class": item["class"] or ""} for item in items
    ]


def real_items(dataset_dir: str | Path, split: str, *, fold: int | None = None, boxed: bool = False) -> list[Item]:
    """Real, labelled items of a split with all that the contract says of them; with `boxed` those with boxes too."""
    return select_items(read_dataset(dataset_dir), split, fold, boxed=boxed)


def images_to_label(dataset_dir: str | Path, split: str, *, fold: int | None = None) -> list[Item]:
    """The images of a split, labelled or not.

    Each has `image`, `name`, under which its prediction is written, and `synthetic`, whether a generator wrote it, in
    [-1, 1] already (see `ToSignedRanged`).

    Raises:
        DatasetError: whatever `select_items` refuses, or two images whose predictions would have one name.
    """
    items = select_items(read_dataset(dataset_dir), split, fold, labelled=False)
    names = name_outputs(items)
    return [
        {"image": item["image"], "name": name, "synthetic": bool(item.get("synthetic"))}
        for item, name in zip(items, names, strict=True)
    ]


def name_outputs(items: Sequence[Item]) -> list[str]:
    """A name for what is written of each image: that of its first file without suffix, where all of these differ.

    Else the path from the folder that holds all images, so that outputs lie in folders as images do: `a/img/0`.

    Raises:
        DatasetError: two images would have one name, such as `0.png` and `0.jpg` of one folder.
    """
    files = [Path(image_files(item)[0]) for item in items]
    names = [stem(file) for file in files]
    if len(set(names)) == len(names):
        return names
    root = os.path.commonpath([file.parent for file in files])
    paths = [(file.parent.relative_to(root) / stem(file)).as_posix() for file in files]
    first: dict[str, Path] = {}
    for path, file in zip(paths, files, strict=True):
        other = first.setdefault(path, file)
        if other is not file:
            raise DatasetError(
                f"{other} and {file} would both be written as {path}. Rename one, or put it in a folder of its own."
            )
    return paths
