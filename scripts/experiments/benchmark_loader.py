"""How many slices per second one core reads from a warm cache.

    python -m scripts.experiments.benchmark_loader

The data are phantom volumes of 4 channels, so nothing needs to be downloaded.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import fire
import torch
from monai.bundle import ConfigParser
from monai.data import DataLoader

from scripts.data.phantom import write_phantom


def benchmark_loader(
    image_size: int = 256, patients: int = 8, slices: int = 16, batch_size: int = 8, repeats: int = 5
) -> None:
    """Prints slices per second of Red-GAN's and the segmenter's training loaders in this process, on one thread.

    Args:
        image_size: side of the slices in pixels.
        patients: phantom patients.
        slices: slices per patient.
        batch_size: slices per batch.
        repeats: passes over the data; the median counts, the first pass fills the cache and is shown apart.
    """
    torch.set_num_threads(1)
    root = Path(__file__).resolve().parents[2]
    print(f"{'loader':<40}{'cold':>10}{'warm':>10}  slices/s at {image_size} px, 4 channels, one core")
    with tempfile.TemporaryDirectory() as folder:
        dataset = write_phantom(Path(folder) / "phantom", patients=patients, image_size=image_size, slices=slices)
        for name, config, options in (
            ("Red-GAN", "redgan_train", {}),
            ("segmenter", "train", {}),
            ("segmenter, classical augmentation", "train", {"augment": True}),
        ):
            parser = ConfigParser()
            parser.read_config(str(root / "configs" / f"{config}.json"))
            cache = str(Path(folder) / f"cache_{config}_{len(options)}")
            parser.update({"dataset_dir": str(dataset), "cache_dir": cache, "image_size_pixels": image_size, **options})
            start = time.perf_counter()
            elements = parser.get_parsed_content("train#dataset")
            loader = DataLoader(elements, batch_size=batch_size, num_workers=0)
            cold = len(elements) / (time.perf_counter() - start + _seconds_of_a_pass(loader))
            warm = len(elements) / median(_seconds_of_a_pass(loader) for _ in range(repeats))
            print(f"{name:<40}{cold:>10.0f}{warm:>10.0f}", flush=True)


def _seconds_of_a_pass(loader: DataLoader) -> float:
    start = time.perf_counter()
    for _ in loader:
        pass
    return time.perf_counter() - start


if __name__ == "__main__":
    fire.Fire(benchmark_loader)
