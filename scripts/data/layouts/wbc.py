"""White blood cells (Zheng et al. 2018, segmentation_WBC dataset 1): RGB BMP, PNG masks, a CSV file of classes."""

from __future__ import annotations

from pathlib import Path

from scripts.data.contract import Dataset, DatasetError
from scripts.data.layouts.files import find_folder, find_images, index_by_stem, read_rows

CLASSES = ["neutrophil", "lymphocyte", "monocyte", "eosinophil", "basophil"]  # 1..5 in the CSV file
LABEL_VALUES = {128: 1, 255: 2}


def read_wbc(source: Path) -> Dataset:
    """Cells `001.bmp` with masks `001.png`, in `cells` or `Dataset 1`; each image counts as a patient of its own.

    Args:
        source: the folder with the folder of cells and `classes.csv` or `Class Labels of Dataset 1.csv`.

    Raises:
        DatasetError: no images, a cell without mask or without class, an unknown class.
    """
    folder = find_folder(source, "cells", "Dataset 1")
    named = [source / "classes.csv", source / "Class Labels of Dataset 1.csv"]
    table = next((file for file in named if file.is_file()), named[0])
    class_of = {}
    for line, row in read_rows(table, "image ID", "class label"):
        if row["class label"] not in ("1", "2", "3", "4", "5"):
            raise DatasetError(f"{table}, row {line}: class {row['class label']!r}, expected a number from 1 to 5.")
        class_of[row["image ID"].zfill(3)] = CLASSES[int(row["class label"]) - 1]
    files = find_images(folder)
    masks = index_by_stem([file for file in files if file.suffix == ".png"])
    items = []
    for name, image in index_by_stem([file for file in files if file.suffix == ".bmp"]).items():
        if name not in masks:
            raise DatasetError(f"{image} has no mask {name}.png beside it. Complete the download or remove the image.")
        if name not in class_of:
            raise DatasetError(f"{table} has no row for image {name}. Add it or remove {image}.")
        item = {"image": str(image), "label": str(masks[name]), "patient": f"cell_{name}", "class": class_of[name]}
        items.append(item)
    if not items:
        raise DatasetError(f"{folder} has no .bmp images. Name the folder above the one with 001.bmp and 001.png.")
    labels, channels = ["background", "cytoplasm", "nucleus"], ["red", "green", "blue"]
    return Dataset(source, "WBC", channels, labels, CLASSES, LABEL_VALUES, [0.0, 255.0], {"training": items})
