"""A Medical Segmentation Decathlon folder, split anew; or a plain pair of folders of images and labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, DatasetError, Item, is_annotated, read_dataset
from scripts.data.layouts.files import find_folder, find_images, pair_images
from scripts.data.layouts.label_maps import merge_label_files


def read_decathlon(
    source: Path,
    *,
    output: Path | None = None,
    threshold_masks: bool = False,
    labels: Any = None,
    label_values: Any = None,
    modality: Any = None,
) -> Dataset:
    """Pools all items with label map or boxes for a new split; the others (the official test set) keep their list.

    Without `dataset.json` the images of `imagesTr` or `images` are matched by name with `labelsTr` or `labels`;
    `imagesTs` is an unlabelled test list. Only then labels, label_values and modality may be given.

    Raises:
        DatasetError: neither dataset.json nor the folders, an image without label or the reverse.
    """
    options = {"labels": labels, "label_values": label_values, "modality": modality}
    if (source / "dataset.json").is_file():
        if any(option is not None for option in options.values()):
            raise DatasetError(f"{source / 'dataset.json'} gives {', '.join(options)}. Change them there.")
        dataset = read_dataset(source, unfinished=True)
        merge_label_files(dataset.items, source, output or source, threshold_masks=threshold_masks)
    else:
        dataset = _read_pair(source, {**options, "threshold_masks": threshold_masks})
    splits: dict[str, list[Item]] = {"training": [], "validation": [], "test": []}
    for split, items in dataset.splits.items():
        for item in items:
            fresh = {key: value for key, value in item.items() if key != "fold"}
            splits["training" if is_annotated(item) else split].append(fresh)
    return replace(dataset, splits=splits)


def _read_pair(source: Path, options: dict[str, Any]) -> Dataset:
    from scripts.data.layouts.contents import complete_description  # loads MONAI: not at --help

    pairs = pair_images(find_folder(source, "imagesTr", "images"), find_folder(source, "labelsTr", "labels"))
    items: list[Item] = [{"image": str(image), "label": str(mask), "class": None} for image, mask in pairs.values()]
    test: list[Item] = []
    if (source / "imagesTs").is_dir():
        test = [{"image": str(file), "class": None} for file in find_images(source / "imagesTs")]
    splits = {"training": items, "test": test}
    return Dataset(source, source.name, splits=splits, **complete_description(items, **options))
