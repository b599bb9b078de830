"""How much memory the extraction of features takes, and how fast they are read back.

    python -m scripts.experiments.benchmark_features --folder /tmp

Features are 128 x 120 x 120, the U-Net's `decoder_3` at 240 px, which the paper had no memory for. Everything but the
network is what a bundle run uses: slices from the cache, the evaluator, the writer. The many slices go through a
stand-in network, a 1x1 convolution at half the resolution, since the published U-Net takes seconds per slice on a CPU;
the few slices go through the published one, untrained, whose memory doesn't depend on how many follow. Each extraction
is a process of its own. The disk that features are written to is that of `--folder`, removed afterwards.

Memory is the most that the process held resident, libraries and mapped pages included. The features' pages in the
system's cache belong to no process and are given separately: the most found after any batch. "Dropped" is a
file whose pages the system was told to forget; a virtual machine's host may still hold them.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import fire
import numpy as np
import torch
from ignite.engine import Events
from monai.data import DataLoader
from monai.engines import SupervisedEvaluator
from torch import nn
from torch.nn import functional

from scripts.data.contract import Dataset, Item
from scripts.data.features import ARRAY, FeatureDataset, FeatureSet
from scripts.data.slices import SliceDataset
from scripts.data.split_slices import SplitSlices
from scripts.experiments.benchmark_table import choose_device, describe_device, resident_gib
from scripts.handlers.feature_set_writer import FeatureSetWriter, extract_features
from scripts.inferers.features import FeatureInferer
from scripts.networks.feature_unet import FeatureUNet
from scripts.networks.precision import choose_precision
from scripts.networks.recipe import Recipe
from scripts.networks.weights import Weights

LEVEL, SLICES_PER_VOLUME = "decoder_3", 20


class StandIn(nn.Module):
    """As many features as the published `FeatureUNet` at `LEVEL`, for next to no computation."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 128, 1)

    def extract(self, x: torch.Tensor, level: str) -> torch.Tensor:
        """Images (B, 1, S, S) to (B, 128, S / 2, S / 2), none below 0."""
        return functional.relu(self.convolution(functional.avg_pool2d(x, 2)))


def run(
    rows: int = 1000,
    unet_rows: int = 16,
    image_size: int = 240,
    batch_size: int = 4,
    repeats: int = 3,
    folder: str = "",
    device: str = "",
) -> None:
    """Print a Markdown table of the extractions, and one of the readings.

    Args:
        rows: slices for the stand-in.
        unet_rows: slices for the published U-Net.
        image_size: side of the slices in pixels.
        batch_size: slices per batch.
        repeats: readings of the whole file per row of the second table; the median counts.
        folder: where to write the features, 3.7 GB for 1,000; the system's temporary folder by default.
        device: "cpu" or "cuda" for the networks; the default takes CUDA where there is one.
    """
    chosen = choose_device(device)
    print(f"{describe_device(chosen)}; {image_size} px, batch {batch_size}, float16")
    with tempfile.TemporaryDirectory(dir=folder or None) as name:
        root = Path(name)
        print("\n| network | slices | GB | slices/s | MB/s | most memory, GiB | page cache, GiB | of the device, GiB |")
        print("| --- " * 8 + "|")
        for network, count in (("published", unet_rows), ("stand-in", rows)):
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
                took = executor.submit(_extract, root, network, count, image_size, batch_size, str(chosen)).result()
            seconds, *gib = took
            size = FeatureSet(root / network).file.stat().st_size / 1e9
            memory = " | ".join(f"{each:.2f}" for each in gib)
            print(f"| {network} | {count} | {size:.2f} | {count / seconds:.1f} | {1e3 * size / seconds:.0f} ", end="")
            print(f"| {memory} |", flush=True)
        print("\n| reading | order | page cache | MB/s |\n| --- | --- | --- | --- |")
        _time_readings(FeatureSet(root / "stand-in"), repeats)


def _extract(root: Path, name: str, rows: int, image_size: int, batch_size: int, device: str) -> list[float]:
    """Extracts features of noise into `root / name`, in a process of its own.

    Returns:
        Seconds, and GiB of the process at most, of the file in the page cache at most, and of the device.
    """
    place = torch.device(device)
    network = (StandIn() if name == "stand-in" else FeatureUNet(1)).to(place).eval()
    weights = root / "model.pt"
    torch.save(network.state_dict(), weights)
    slices = _make_slices(root, rows, image_size)
    precision = choose_precision(place)
    handler = FeatureSetWriter(
        slices,
        root / name,
        feature_shape=FeatureUNet(1).feature_shape(LEVEL, image_size),
        weights=Weights(weights, Recipe("noise"), None, {}),
        level=LEVEL,
        description=Dataset(root, "noise", ["noise"], ["background", "noise"]),
        image_channels=["noise"],
        image_size=image_size,
        precision=precision,
    )
    evaluator = SupervisedEvaluator(
        device=place,
        val_data_loader=DataLoader(handler.remaining, batch_size=batch_size),
        network=network,
        inferer=FeatureInferer(LEVEL, precision),
        decollate=False,
        val_handlers=[handler],
    )
    file, cached = handler.writer.hidden / ARRAY, [0.0]
    evaluator.add_event_handler(Events.ITERATION_COMPLETED, lambda: cached.append(_cached_gib(file)))
    start = time.perf_counter()
    extract_features(evaluator, handler)
    seconds = time.perf_counter() - start
    on_device = torch.cuda.max_memory_allocated(place) / 2**30 if place.type == "cuda" else 0.0
    return [seconds, resident_gib("VmHWM"), max(cached), on_device]


def _make_slices(root: Path, rows: int, image_size: int) -> SplitSlices:
    """Slices of noise in volumes, whose files only say how to draw them."""
    items = []
    for first in range(0, rows, SLICES_PER_VOLUME):
        file = root / f"{first}.json"
        file.write_text(json.dumps({"seed": first, "slices": min(SLICES_PER_VOLUME, rows - first), "side": image_size}))
        items.append({"image": str(file), "label": str(file), "patient": file.stem, "class": "noise"})
    return SplitSlices({"training": SliceDataset(items, _draw_volume, root / "cache")}, classes=["noise"])


def _draw_volume(item: Item) -> dict[str, np.ndarray]:
    """Noise in [-1, 1] (1, S, S, Z), and a label map of nothing."""
    asked = json.loads(Path(item["image"]).read_text(encoding="utf-8"))
    shape = (1, asked["side"], asked["side"], asked["slices"])
    noise = np.random.default_rng(asked["seed"]).random(shape, dtype=np.float32) * 2 - 1
    return {"image": noise, "label": np.zeros(shape, np.uint8)}


def _time_readings(features: FeatureSet, repeats: int) -> None:
    """Prints MB/s of the stored numbers, in the order of the rows and shuffled, from a dropped file and a warm one."""
    dataset, count = FeatureDataset(features), len(features)
    readers: dict[str, Callable[[int], Any]] = {
        "rows as stored": features.read,
        "rows standardised, as trained on": dataset.__getitem__,
    }
    orders = {"stored": np.arange(count), "shuffled": np.random.default_rng(0).permutation(count)}
    size = count * features.description.row_bytes / 1e6
    for reading, read in readers.items():
        for order, rows in orders.items():
            for state in ("dropped", "warm"):
                seconds = [_time_reading(features.file, read, rows.tolist(), state) for _ in range(repeats)]
                print(f"| {reading} | {order} | {state} | {size / median(seconds):.0f} |", flush=True)


def _time_reading(file: Path, read: Callable[[int], Any], rows: Iterable[int], state: str) -> float:
    if state == "dropped":
        with open(file, "rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if _cached_gib(file) > 0.01:
            raise RuntimeError(f"The system keeps {file} in its cache. Write to a disk with --folder.")
    start = time.perf_counter()
    for row in rows:
        read(row)
    return time.perf_counter() - start


def _cached_gib(file: Path) -> float:
    """How much of a file lies in the system's page cache, as util-linux tells it."""
    command = ["fincore", "--bytes", "--noheadings", "--output", "RES", str(file)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) / 2**30


if __name__ == "__main__":
    fire.Fire(run)
