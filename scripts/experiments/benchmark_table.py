"""What benchmarks share: rows that take turns, random batches, tables, and what the device and the process have."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from scripts.networks.precision import choose_precision

Step = Callable[[Any, dict[str, Any]], dict[str, Any]]


def choose_device(device: str) -> torch.device:
    """The named device; without a name CUDA where there is one."""
    return torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))


def list_rows(**changes: str) -> dict[str, list[str]]:
    """Row name -> its changes, from "plain" with none on, each with one more than the row above: ``change="title"``."""
    rows: dict[str, list[str]] = {"plain": []}
    for change, title in changes.items():
        rows[f"+ {title}"] = [*list(rows.values())[-1], change]
    return rows


def place(network: nn.Module, changes: Collection[str], device: torch.device) -> None:
    """Moves a network to the device, its weights channels last where the row has that change."""
    layout = torch.channels_last if "channels_last" in changes else torch.contiguous_format
    network.to(device=device, memory_format=layout)  # type: ignore[call-overload]


def make_batch(
    channels: int, image_size: int, batch_size: int, *, labels: int, blocks: int = 16
) -> dict[str, torch.Tensor]:
    """Images in [-1, 1] and label maps of so many blocks along each side, always the same."""
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, labels, (batch_size, 1, blocks, blocks), generator=generator).float()
    return {
        "image": torch.rand(batch_size, channels, image_size, image_size, generator=generator) * 2 - 1,
        "label": F.interpolate(label, size=(image_size, image_size), mode="nearest"),
    }


def time_rows(
    builders: Mapping[str, Callable[[], Step]], batch: dict[str, Any], *, repeats: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of one iteration of each row, rows taking turns so that a busy machine slows all alike.

    Args:
        builders: row name -> makes the row's step, networks and all.
        batch: what each step is given.
        repeats: timed iterations per row, each after one to warm up.
        device: of the steps.
    """
    seconds: dict[str, list[float]] = {name: [] for name in builders}
    engine = SimpleNamespace(state=SimpleNamespace(device=device))
    for repeat in range(repeats):
        for name, build in builders.items():
            print(f"\rrepeat {repeat + 1} of {repeats}: {name:50}", end="", flush=True)
            step = build()
            step(engine, batch)
            wait(device)
            start = time.perf_counter()
            step(engine, batch)
            wait(device)
            seconds[name].append(time.perf_counter() - start)
    print(f"\r{' ' * 80}\r", end="")
    return seconds


def format_table(seconds: dict[str, list[float]]) -> str:
    """Minimum and median per row, and how many times faster than the first row each is by both."""
    lines = [f"{'one training iteration':44} {'min s':>8} {'median s':>9} {'x (min)':>8} {'x (median)':>11}"]
    first = next(iter(seconds.values()))
    for name, times in seconds.items():
        ratios = f"{min(first) / min(times):8.2f} {median(first) / median(times):11.2f}"
        lines.append(f"{name:44} {min(times):8.3f} {median(times):9.3f} {ratios}")
    return "\n".join(lines)


def format_markdown(title: str, seconds: Mapping[str, list[float]], images: int | None = None) -> str:
    """Per row the median time, the images per second by it, if any, and the first row's median divided by it."""
    lines = ["", f"| {title} | median ms |{'' if images is None else ' images/s |'} times as fast |"]
    lines.append("| --- " * (lines[1].count("|") - 1) + "|")
    first = median(next(iter(seconds.values())))
    for name, middle in ((name, median(times)) for name, times in seconds.items()):
        rate = "" if images is None else f" {images / middle:.3g} |"
        lines.append(f"| {name} | {1000 * middle:.4g} |{rate} {first / middle:.2f} |")
    return "\n".join(lines)


def describe_device(device: torch.device) -> str:
    """The hardware and how far it multiplies bf16."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"CPU ({torch.backends.cpu.get_cpu_capability()}), {torch.get_num_threads()} threads"
    return f"{name}, mixed precision {choose_precision(device)}, torch {torch.__version__}"


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def resident_gib(key: str) -> float:
    """Memory of this process in GiB: "VmRSS" now, "VmHWM" at most so far; OSError on other systems than Linux."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines())
    return int(lines[key].split()[0]) / 2**20  # given in KiB
