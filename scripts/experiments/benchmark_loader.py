"""How many slices per second one core reads from a warm cache and augments.

    python -m scripts.experiments.benchmark_loader

The data are phantom volumes of 4 channels, so nothing needs to be downloaded.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import fire
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader

from scripts.data.phantom import write_phantom

LOADERS: dict[str, tuple[str, dict[str, Any]]] = {
    "Red-GAN": ("redgan_train", {}),
    "segmenter": ("train", {}),
    "segmenter, augmented": ("train", {"augment": True}),
    "nnU-Net, augmented": ("pggan_ensemble_segmenter_train", {"augment": True}),
    "FCN-8s, augmented": ("lcgan_segmenter_train", {"augment": True, "augment_share": 1.0}),
    "Feature AC-GAN's U-Net, augmented": ("feature_acgan_unet_train", {"augment": True}),
}


def benchmark_loader(
    image_size: int = 256, patients: int = 8, slices: int = 16, batch_size: int = 8, repeats: int = 5
) -> None:
    """Prints slices per CPU second of training loaders in this process, on one thread, from a warm cache.

    Args:
        image_size: side of the slices in pixels.
        patients: phantom patients.
        slices: slices per patient.
        batch_size: slices per batch.
        repeats: passes over the data, after a first one that isn't counted.
    """
    torch.set_num_threads(1)
    root = Path(__file__).resolve().parents[2]
    print(f"{'loader':<40}{'median':>10}{'best':>10}  slices/s at {image_size} px, 4 channels, one core")
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_phantom(Path(folder) / "phantom", patients=patients, image_size=image_size, slices=slices)
        for name, (config, options) in LOADERS.items():
            parser = ConfigParser()
            parser.read_config(str(root / "configs" / f"{config}.json"))
            parser.update({"dataset_dir": str(dataset), "cache_dir": f"{folder}/cache", **options})
            parser.update({"image_size_pixels": image_size})
            elements = parser.get_parsed_content("train#dataset")
            loader = DataLoader(elements, batch_size=batch_size, num_workers=0)
            _seconds_of_a_pass(loader)
            seconds = [_seconds_of_a_pass(loader) for _ in range(repeats)]
            rates = [len(elements) / number for number in (median(seconds), min(seconds))]
            print(f"{name:<40}{rates[0]:>10.0f}{rates[1]:>10.0f}", flush=True)


def _seconds_of_a_pass(loader: DataLoader) -> float:
    start = time.thread_time()
    for _ in loader:
        pass
    return time.thread_time() - start


if __name__ == "__main__":
    fire.Fire(benchmark_loader)
