"""How fast the progressive GAN trains and samples: this bundle's step against a plain one, memory, the paper's run.

    python -m scripts.experiments.benchmark_pggan --estimate

The plain step is that of `plain_pggan.py`. Rows take turns, see `benchmark_table.time_rows`. Training is measured once
a level has faded in (alpha 1), on random data; neither loading nor the EMA counts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from statistics import median
from types import SimpleNamespace
from typing import Any

import fire
import torch
from torch import nn

from scripts.data.growth import PUBLISHED_BATCH_SIZES, GrowthSchedule
from scripts.engines.pggan_ensemble import PGGANStep
from scripts.experiments.benchmark_table import (
    Step,
    choose_device,
    describe_device,
    format_table,
    list_rows,
    make_batch,
    resident_gib,
    time_rows,
)
from scripts.experiments.plain_pggan import PlainStep, make_plain
from scripts.inferers.noise import EnsembleInferer
from scripts.networks.pggan import PGGANDiscriminator, PGGANGenerator
from scripts.networks.precision import autocast, choose_precision
from scripts.transforms.annotation import AnnotationChannels

IMAGE_CHANNELS, LABEL_COUNT, LATENT_DIM, MEMBER_COUNT = 4, 3, 512, 20
ANNOTATION = AnnotationChannels(LABEL_COUNT)  # one grey-level channel: 5 in all, as published
CHANNELS = IMAGE_CHANNELS + ANNOTATION.channel_count
ROWS = list_rows(
    bundle_networks="own 2nd derivative, channels-last, norm",
    bundle_step="one pass of G, D frozen in G's update",
    fused_adam="fused Adam",
    mixed_precision="bf16 where in hardware: this bundle",
)
PLAIN, *_, BUNDLE = ROWS.values()


@dataclass(frozen=True)
class Setting:
    """What all rows share: the resolution trained, and networks built for `image_size` pixels."""

    resolution: int
    batch_size: int
    image_size: int = 256
    feature_base: int = 8192
    feature_max: int = 512

    def make_batch(self, batch_size: int | None = None) -> dict[str, torch.Tensor]:
        labels, size = LABEL_COUNT + 1, batch_size or self.batch_size
        return make_batch(IMAGE_CHANNELS, self.resolution, size, labels=labels, blocks=4)


def run(
    resolutions: Any = (64, 128, 256),
    batch_sizes: Mapping[int, int] | None = None,
    image_size: int = 256,
    feature_base: int = 8192,
    feature_max: int = 512,
    repeats: int = 3,
    sampling_batch_size: int = 32,
    all_rows: bool = False,
    estimate: bool = False,
    device: str = "",
) -> None:
    """Print, per resolution, times of a training iteration, peak memory and sampling rates.

    Args:
        resolutions: sides of the images in pixels.
        batch_sizes: images per iteration for some resolutions, such as "{128: 4, 256: 4}"; the others have the
            published ones.
        image_size: side of the images that the networks are built for.
        feature_base: of the networks, 8192 as published.
        feature_max: of the networks, 512 as published.
        repeats: timed iterations per row.
        sampling_batch_size: images made at once when sampling; 0 leaves memory and sampling out.
        all_rows: also the rows between plain and this bundle's.
        estimate: also time all smaller resolutions, and tell how long the paper's run takes at these rates.
        device: "cpu" or "cuda"; the default takes CUDA where there is one.
    """
    chosen = choose_device(device)
    rows = ROWS if all_rows else {"plain": PLAIN, "this bundle": BUNDLE}
    schedule = GrowthSchedule(image_size=image_size, batch_sizes={**PUBLISHED_BATCH_SIZES, **(batch_sizes or {})})
    asked = list(resolutions) if isinstance(resolutions, (list, tuple)) else [resolutions]
    print(f"{describe_device(chosen)}; {CHANNELS} channels, features {feature_base} up to {feature_max}", flush=True)
    rates: dict[str, dict[int, float]] = {name: {} for name in rows}
    for resolution in sorted({*asked, *(schedule.resolutions if estimate else [])}):
        batch_size = schedule.batch_sizes[resolution]
        setting = Setting(resolution, batch_size, image_size, feature_base, feature_max)
        builders = {name: partial(build_step, changes, setting, device=chosen) for name, changes in rows.items()}
        seconds = time_rows(builders, setting.make_batch(), repeats=repeats, device=chosen)
        print(f"\n{resolution} px, batch {batch_size}, {repeats} repeats\n{format_table(seconds)}")
        print("training: " + format_rates(seconds, batch_size), flush=True)
        for name, times in seconds.items():
            rates[name][resolution] = batch_size / median(times)
        if sampling_batch_size and resolution in asked:
            peaks = [measure_memory(changes, setting, device=chosen) for changes in (PLAIN, BUNDLE)]
            print(f"peak memory: plain {peaks[0]:.2f} GiB; {list(rows)[-1]} {peaks[1]:.2f} GiB")
            seeds = {"noise_seed": torch.arange(sampling_batch_size).to(chosen)}
            seconds = time_rows(sampling_rows(setting, device=chosen), seeds, repeats=repeats, device=chosen)
            print(f"sampling {sampling_batch_size} at once: " + format_rates(seconds, sampling_batch_size), flush=True)
    for name in rates if estimate else ():
        days = estimate_days(rates[name], schedule)
        print(f"a member of {schedule.total_images} images, {name}: {days:.2f} days of this device; ", end="")
        print(f"{MEMBER_COUNT} members: {MEMBER_COUNT * days:.1f}")


def format_rates(seconds: Mapping[str, list[float]], batch_size: int) -> str:
    """Images per second of each row, by the median time."""
    return "images per second: " + "; ".join(f"{name} {batch_size / median(t):.3g}" for name, t in seconds.items())


def build_step(changes: Collection[str], setting: Setting, *, device: torch.device) -> Step:
    """The networks and optimisers of one row; all rows have the same weights."""
    torch.manual_seed(0)
    players = [build_network(kind, changes, setting, device=device) for kind in (PGGANGenerator, PGGANDiscriminator)]
    fused = "fused_adam" in changes or None
    optimizers = [torch.optim.Adam(p.parameters(), lr=1e-3, betas=(0.0, 0.99), fused=fused) for p in players]
    kind = StableStep if "bundle_step" in changes else PlainStep
    size = setting.resolution
    schedule = GrowthSchedule(image_size=size, batch_sizes={size: setting.batch_size}, first_resolution=size)
    precision = choose_precision(device, "mixed_precision" in changes)
    return kind(
        *players, *optimizers, schedule=schedule, annotation=ANNOTATION, latent_dim=LATENT_DIM, precision=precision
    )


def build_network(
    kind: Callable[..., nn.Module], changes: Collection[str], setting: Setting, *, device: torch.device
) -> Any:
    """A generator or discriminator, of the bundle or plain."""
    sizes = {name: getattr(setting, name) for name in ("image_size", "feature_base", "feature_max")}
    network = kind(CHANNELS, **sizes)
    return (network if "bundle_networks" in changes else make_plain(network)).to(device)


class StableStep(PGGANStep):
    """The bundle's step; each call is the next iteration at one resolution."""

    iteration = 0

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        self.iteration += 1
        state = SimpleNamespace(device=engine.state.device, iteration=self.iteration)
        return super().__call__(SimpleNamespace(state=state), batch)


def sampling_rows(setting: Setting, *, device: torch.device) -> dict[str, Callable[[], Step]]:
    """Rows of the sampling table: seeds to images on the device, as synthesis makes them."""
    networks = {"plain": PLAIN, "this bundle's synthesis, fp32": BUNDLE[:-1], "the same in bf16": BUNDLE}
    return {name: partial(_build_sampler, changes, setting, device=device) for name, changes in networks.items()}


def _build_sampler(changes: Collection[str], setting: Setting, *, device: torch.device) -> Step:
    torch.manual_seed(0)
    generator = build_network(PGGANGenerator, changes, setting, device=device).eval()
    inferer = EnsembleInferer(LATENT_DIM, setting.resolution)
    precision = choose_precision(device, "mixed_precision" in changes)

    def sample(engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        with torch.inference_mode(), autocast(device, precision):
            return {"pred": inferer(batch["noise_seed"], [generator])}  # (B, C, R, R)

    return sample


def measure_memory(changes: Collection[str], setting: Setting, *, device: torch.device) -> float:
    """Most GiB at once for networks, optimisers and two iterations; on a CPU, beyond what the process had before.

    Raises:
        OSError: on a CPU where the system doesn't tell, as other systems than Linux.
    """
    if device.type != "cuda":  # in a process of its own, whose peak is its own
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
            return executor.submit(_resident_growth, changes, setting).result()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    _run_twice(changes, setting, device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**30


def _resident_growth(changes: Collection[str], setting: Setting) -> float:
    before = resident_gib("VmRSS")
    _run_twice(changes, setting, torch.device("cpu"))
    return resident_gib("VmHWM") - before


def _run_twice(changes: Collection[str], setting: Setting, device: torch.device) -> None:
    step, engine = build_step(changes, setting, device=device), SimpleNamespace(state=SimpleNamespace(device=device))
    step(engine, setting.make_batch(1))  # from now on the optimisers' state is there
    step(engine, setting.make_batch())


def estimate_days(rates: Mapping[int, float], schedule: GrowthSchedule) -> float:
    """Days that a training takes at so many images per second for each resolution; fades as long as the rest."""
    return sum(p.iterations * p.batch_size / rates[p.resolution] for p in schedule.phases) / 86400


if __name__ == "__main__":
    fire.Fire(run)
