"""COVID-19 lung CT slices: grey JPG images, palette PNG labels, an official training and test split."""

from __future__ import annotations

from pathlib import Path

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.layouts.files import pair_images

LABELS = ["background", "ground-glass opacity", "consolidation"]


def read_covid_ct(source: Path) -> Dataset:
    """Slices `train/images/0.jpg` with `train/labels/0.png`, likewise in `test`; the two folders stay the split.

    The files do not say which slices are of one patient, so each image counts as a patient of its own: slices of one
    patient may lie in both splits, and measured scores are those of images rather than of new patients.

    Raises:
        DatasetError: no images, an image without label or the reverse, a name in both folders.
    """
    splits: dict[str, list[Item]] = {}
    for split, folder in (("training", source / "train"), ("test", source / "test")):
        pairs = pair_images(folder / "images", folder / "labels")
        splits[split] = [
            {"image": str(image), "label": str(label), "patient": f"slice_{name}", "class": None}
            for name, (image, label) in sorted(pairs.items(), key=lambda pair: (len(pair[0]), pair[0]))  # 9 before 10
        ]
    shared = {item["patient"] for item in splits["training"]} & {item["patient"] for item in splits["test"]}
    if shared:
        raise DatasetError(f"{source}: {min(shared)} is a name in both train and test. Give each slice its own name.")
    return Dataset(source, "COVID-19 CT", ["CT"], LABELS, intensity_range=[0.0, 255.0], splits=splits)
