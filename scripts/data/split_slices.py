"""Slices of all splits in one order, each with its split and the class that it is graded by."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from scripts.data.contract import SPLITS, DatasetError, Item
from scripts.data.slices import SliceDataset
from scripts.data.training import real_items

logger = logging.getLogger(__name__)
_OTHER_KEYS = {"image", "label", "patient", "class_index", "fold"}  # none of them says what a patient has


class SplitSlices(Dataset):
    """Slices of several splits one after another; elements are those of `SliceDataset`.

    Args:
        slices: split -> its slices, of items that have a class, see `classified_items`.
        classes: names of the data set's classes, in order.
        class_key: of the items, whose value is the class: "class", or another such as "grade", whose values in
            alphabetical order are then the classes.

    `items` has per slice `source`, `patient`, `class`, `split`, and `synthetic`, which is None.
    """

    def __init__(
        self, slices: Mapping[str, SliceDataset], *, classes: Sequence[str] = (), class_key: str = "class"
    ) -> None:
        self.slices = dict(slices)
        self.places = [(split, n) for split, part in self.slices.items() for n in range(len(part))]
        self.items: list[Item] = []
        for split, n in self.places:
            part, summary = self.slices[split], self.slices[split].summary(n)
            about = {"class": str(part.data[part.index[n][0]][class_key]), "split": split, "synthetic": None}
            self.items.append({"source": summary["source"], "patient": summary["patient"], **about})
        found = {item["class"] for item in self.items}
        self.classes = list(classes) if class_key == "class" else sorted(found)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, position: int) -> dict[str, Any]:
        split, n = self.places[position]
        return self.slices[split][n]

    @property
    def fingerprint(self) -> str:
        """Changes with the slices, their order, pixels or preprocessing, or with what `items` says."""
        parts = [part.fingerprint for part in self.slices.values()]
        return hashlib.sha256(f"{parts} {self.items} {self.classes}".encode()).hexdigest()[:16]


def classified_items(
    dataset_dir: str | Path,
    split: str,
    *,
    fold: int | None = None,
    class_key: str = "class",
    leave_out_unclassed: bool = False,
) -> list[Item]:
    """Real, labelled items of a split ("training", "validation" or "test"), each of which has a class.

    The items of all splits are looked at, so that the first split's slices are not prepared in vain.

    Args:
        class_key: of the items, whose value is the class, see `SplitSlices`.
        leave_out_unclassed: warns of items without class and leaves them out.

    Raises:
        DatasetError: whatever `real_items` refuses, no item with a class, or one without and not to be left out.
    """
    if class_key in _OTHER_KEYS:
        raise DatasetError(f"class_key is {class_key!r}, expected the key of what a patient has, such as 'class'.")
    items = {name: real_items(dataset_dir, name, fold=fold) for name in SPLITS}
    everything = [item for part in items.values() for item in part]
    blank = [item for item in everything if not _is_classified(item, class_key)]
    if len(blank) == len(everything):
        keys = {key for item in everything for key, value in item.items() if isinstance(value, str | int)}
        raise DatasetError(
            f"{dataset_dir}: no item has {class_key!r}, by which slices are to be classified; they have "
            f"{', '.join(sorted(keys - _OTHER_KEYS)) or 'no such key'}. Pass another --class_key, or give each item "
            "one in dataset.json."
        )
    if blank and not leave_out_unclassed:
        raise DatasetError(
            f"Patient {blank[0]['patient']!r} has no {class_key!r}, by which slices are to be classified. Pass "
            "--leave_out_unclassed True to go on without such patients, or give their items one in dataset.json."
        )
    kept = [item for item in items[split] if _is_classified(item, class_key)]
    if not kept:
        raise DatasetError(f"{dataset_dir}: no item of the {split} split has {class_key!r}. Choose another fold.")
    if len(kept) < len(items[split]):
        names = ", ".join(sorted({item["patient"] for item in items[split] if not _is_classified(item, class_key)}))
        logger.warning(f"{split}: left out {len(items[split]) - len(kept)} images without {class_key!r} of {names}")
    return kept


def _is_classified(item: Item, class_key: str) -> bool:
    return item.get(class_key) not in (None, "")
