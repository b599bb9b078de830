"""How long a training takes to find its slices in the cache: at the first start, and at the second.

    python -m scripts.experiments.benchmark_start

Images and label maps are files of random bytes and the preprocessing only makes tiny arrays of them, so that the time
is that of the data set's list, the keys, the entries and the rule.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import fire
import numpy as np

from scripts.data.contract import Dataset, Item, write_dataset
from scripts.data.slices import LesionRule, SliceDataset
from scripts.data.training import training_items

SETTLING = 3  # s, after which the cache trusts the times of files


class TinyArrays:
    """Stands for reading and preprocessing: an image (1, 4, 4) and a label map (1, 4, 4) of zeros."""

    def __call__(self, item: Item) -> dict[str, Any]:
        return {"image": np.zeros((1, 4, 4)), "label": np.zeros((1, 4, 4))}


def benchmark_start(images: int = 100_000, file_bytes: int = 512) -> None:
    """Prints the seconds that a first and a second start take.

    Args:
        images: of one slice each; with a label map of its own for each.
        file_bytes: size of each file.
    """
    generator = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        items: list[Item] = []
        for number in range(images):
            item: Item = {"patient": str(number), "class": None}
            for key in ("image", "label"):
                file = folder / key / str(number // 1000) / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(generator.bytes(file_bytes))
                item[key] = str(file)
            items.append(item)
        splits = {"training": items[:-2], "validation": items[-2:-1], "test": items[-1:]}
        write_dataset(folder, Dataset(folder, "start", ["grey"], ["background", "lesion"], splits=splits))
        time.sleep(SETTLING)
        for start in ("first", "second"):
            begun = time.perf_counter()
            listed = training_items(folder)
            read = time.perf_counter()
            slices = SliceDataset(listed, TinyArrays(), folder / "cache", rule=LesionRule(0))
            found = time.perf_counter()
            print(f"{start} start: {read - begun:.1f} s to list and {found - read:.1f} s to find {len(slices)} slices")


if __name__ == "__main__":
    fire.Fire(benchmark_start)
