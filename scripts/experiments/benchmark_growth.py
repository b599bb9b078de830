"""What each step costs per image, and whether four times as many images cost more than four times as much.

    python -m scripts.experiments.benchmark_growth

The images are a synthetic set of noise, with label maps, each of a patient of its own.
"""

from __future__ import annotations

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fire
import nibabel as nib
import numpy as np
import torch

from scripts.data.contract import Dataset, Item, read_dataset, write_dataset
from scripts.data.doctor import doctor
from scripts.data.sampling import SeededSampler, oversampling_weights
from scripts.data.slices import LesionRule, SliceDataset
from scripts.exports.export import export
from scripts.metrics.statistics import bootstrap_interval, sign_flip_test
from scripts.transforms.preprocessing import slice_preprocessing

FORMATS = ("png", "yolo", "nnunet", "decathlon")
GROWTH = 4


def benchmark_growth(images: int = 2500, image_size: int = 64, channels: int = 3) -> None:
    """Prints CPU milliseconds per image of each step, for a quarter of the images and for all of them.

    Args:
        images: in the larger set.
        image_size: side in pixels.
        channels: of each image.
    """
    torch.set_num_threads(1)
    spent = [_measure(count, image_size, channels) for count in (images // GROWTH, images)]
    print(f"{'ms per image of':<28}{images // GROWTH:>10}{images:>10}{'ratio':>10}")
    for step in spent[0]:
        few, many = (times[step] for times in spent)
        print(f"{step:<28}{few:>10.3f}{many:>10.3f}{many / few:>10.2f}")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def _measure(count: int, image_size: int, channels: int) -> dict[str, float]:
    """CPU milliseconds per image of each step."""
    spent: dict[str, float] = {}

    def run(step: str, call: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        start = time.process_time()
        made = call(*arguments, **options)
        spent[step] = (time.process_time() - start) / count * 1000
        return made

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = folder / "set"
        run("write images", _write_set, made, count, image_size, channels)
        dataset = run("read dataset.json", read_dataset, made)
        run("doctor", doctor, str(made))
        preprocessing = slice_preprocessing(description=dataset, image_size=image_size)
        options = {"preprocessing": preprocessing, "cache_dir": folder / "cache", "rule": LesionRule()}
        run("slices, new cache", SliceDataset, dataset.items, **options)
        slices = run("slices, known cache", SliceDataset, dataset.items, **options)
        weights = run("sampling weights", oversampling_weights, slices.class_indices)
        run("order of an epoch", lambda: list(SeededSampler(slices, weights=weights)))
        for form in FORMATS:
            run(f"export to {form}", export, str(made), to=form, output=str(folder / form))
        differences = np.random.default_rng(0).normal(size=count)
        run("sign-flip test", sign_flip_test, differences)
        run("bootstrap interval", bootstrap_interval, differences)
    return spent


def _write_set(folder: Path, count: int, image_size: int, channels: int) -> None:
    generator = np.random.default_rng(0)
    items: list[Item] = []
    for n in range(count):
        label = np.zeros((image_size, image_size, 1), np.uint8)
        label[8:20, 10:18] = 1
        image = generator.uniform(-1, 1, (image_size, image_size, 1, channels)).astype(np.float32)
        item: Item = {"patient": f"synthetic-{n}", "class": "AB"[n % 2]}
        for key, array in (("image", image), ("label", label)):
            item[key] = str(folder / f"{key}s" / f"{n:06d}.nii.gz")
            Path(item[key]).parent.mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.diag([-1.0, -1.0, 1.0, 1.0])), item[key])
        known = {"system": "redgan", "seed": 0, "generator": "generator.pt", "generator_sha256": "0" * 64}
        item["synthetic"] = {**known, "asked_class": "A", "source": f"a#{n}", "source_patient": f"p{n % 1000}"}
        items.append(item)
    names = (["T1", "T2", "FLAIR"][:channels], ["background", "lesion"], ["A", "B"])
    splits = {"training": items}
    write_dataset(folder, Dataset(folder, "growth", *names, splits=splits, trained_on=["p0"]))


if __name__ == "__main__":
    fire.Fire(benchmark_growth)
