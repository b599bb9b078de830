"""A Medical Segmentation Decathlon folder, split anew; or a plain pair of folders of images and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, DatasetError, Item, image_files, is_annotated, read_dataset, stem
from scripts.data.layouts.files import find_folder, find_images, find_patient, pair_images


def read_decathlon(
    source: Path,
    *,
    labels: Any = None,
    label_values: Any = None,
    modality: Any = None,
    intensity_range: Any = None,
    patient_pattern: str | None = None,
) -> Dataset:
    """Pools all items with label map or boxes for a new split; the others (the official test set) keep their list.

    Without `dataset.json` the images of `imagesTr` or `images` are matched by name with `labelsTr` or `labels`;
    `imagesTs` is an unlabelled test list.

    Args:
        source: the folder.
        labels: names of the labels, background first, where there is no dataset.json; else found in the files.
        label_values: value:label pairs, likewise.
        modality: names of the channels, likewise.
        intensity_range: intensities low,high that become -1 and 1, likewise; by default 0,255 for colour pictures,
            else each channel's own minimum and maximum.
        patient_pattern: regular expression with one group, searched in the first image's name without suffix; the
            group is the patient. By default each image is a patient, unless dataset.json names them.

    Raises:
        DatasetError: neither dataset.json nor the folders, an image without label or the reverse, no match.
    """
    options = {"labels": labels, "label_values": label_values, "modality": modality, "intensity_range": intensity_range}
    if (source / "dataset.json").is_file():
        if any(option is not None for option in options.values()):
            raise DatasetError(f"{source / 'dataset.json'} gives {', '.join(options)}. Change them there.")
        dataset = read_dataset(source)
    else:
        dataset = _read_pair(source, options)
    splits: dict[str, list[Item]] = {"training": [], "validation": [], "test": []}
    for split, items in dataset.splits.items():
        for item in items:
            fresh = {key: value for key, value in item.items() if key != "fold"}
            if patient_pattern:
                fresh["patient"] = find_patient(stem(image_files(item)[0]), patient_pattern)
            splits["training" if is_annotated(item) else split].append(fresh)
    return replace(dataset, splits=splits)


def _read_pair(source: Path, options: dict[str, Any]) -> Dataset:
    from scripts.data.layouts.contents import complete_description  # loads MONAI: not at --help

    pairs = pair_images(find_folder(source, "imagesTr", "images"), find_folder(source, "labelsTr", "labels"))
    items: list[Item] = [
        {"image": str(image), "label": str(mask), "patient": name, "class": None}
        for name, (image, mask) in pairs.items()
    ]
    test: list[Item] = []
    if (source / "imagesTs").is_dir():
        test = [{"image": str(file), "patient": stem(file), "class": None} for file in find_images(source / "imagesTs")]
    splits = {"training": items, "test": test}
    return Dataset(source, source.name, splits=splits, **complete_description(items, **options))
