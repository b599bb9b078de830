"""How fast the progressive GAN trains and samples: this bundle's step against a plain one, memory, the paper's run.

    python -m scripts.experiments.benchmark_pggan --estimate

The plain step is that of `plain_pggan.py`. Rows take turns, see `benchmark_table.time_rows`. Training is measured once
a level has faded in (alpha 1), on random data; neither loading nor the EMA counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from statistics import median
from types import SimpleNamespace
from typing import Any

import fire
import torch
import torch.nn.functional as F
from torch import nn

from scripts.data.growth import PUBLISHED_BATCH_SIZES, GrowthSchedule
from scripts.engines.pggan_ensemble import PGGANStep
from scripts.experiments.benchmark_table import (
    Step,
    accumulate,
    choose_device,
    describe_device,
    format_table,
    resident_gib,
    time_rows,
)
from scripts.experiments.plain_pggan import PlainStep, make_plain
from scripts.inferers.ensemble import EnsembleInferer
from scripts.networks.pggan import PGGANDiscriminator, PGGANGenerator
from scripts.networks.precision import autocast, choose_precision
from scripts.transforms.annotation import AnnotationChannels

IMAGE_CHANNELS, LABEL_COUNT, LATENT_DIM, MEMBER_COUNT = 4, 3, 512, 20
ANNOTATION = AnnotationChannels(LABEL_COUNT)  # one grey-level channel: 5 in all, as published
CHANNELS = IMAGE_CHANNELS + ANNOTATION.channel_count


@dataclass(frozen=True)
class Variant:
    """One row of the training table."""

    name: str
    bundle_networks: bool = False
    bundle_step: bool = False
    fused_adam: bool = False
    mixed_precision: bool = False


@dataclass(frozen=True)
class Setting:
    """What all rows share: the resolution trained, and networks built for `image_size` pixels."""

    resolution: int
    batch_size: int
    image_size: int = 256
    feature_base: int = 8192
    feature_max: int = 512


def list_variants() -> list[Variant]:
    """The rows, from plain to this bundle's, each with one change more."""
    return accumulate(
        Variant("plain"),
        [
            ("own 2nd derivative, channels-last, norm", {"bundle_networks": True}),
            ("one pass of G, D frozen in G's update", {"bundle_step": True}),
            ("fused Adam", {"fused_adam": True}),
            ("bf16 where in hardware: this bundle", {"mixed_precision": True}),
        ],
    )


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
    plain, *between, bundle = list_variants()
    variants = [plain, *between, bundle] if all_rows else [plain, replace(bundle, name="this bundle")]
    schedule = GrowthSchedule(image_size=image_size, batch_sizes={**PUBLISHED_BATCH_SIZES, **(batch_sizes or {})})
    asked = list(resolutions) if isinstance(resolutions, (list, tuple)) else [resolutions]
    print(f"{describe_device(chosen)}; {CHANNELS} channels, features {feature_base} up to {feature_max}", flush=True)
    rates: dict[str, dict[int, float]] = {variant.name: {} for variant in variants}
    for resolution in sorted({*asked, *(schedule.resolutions if estimate else [])}):
        batch_size = schedule.batch_sizes[resolution]
        setting = Setting(resolution, batch_size, image_size, feature_base, feature_max)
        builders = {variant.name: partial(build_step, variant, setting, device=chosen) for variant in variants}
        seconds = time_rows(builders, make_batch(setting), repeats=repeats, device=chosen)
        print(f"\n{resolution} px, batch {batch_size}, {repeats} repeats\n{format_table(seconds)}")
        print("training: " + format_rates(seconds, batch_size), flush=True)
        for name, times in seconds.items():
            rates[name][resolution] = batch_size / median(times)
        if sampling_batch_size and resolution in asked:
            peaks = {v.name: measure_memory(v, setting, device=chosen) for v in (variants[0], variants[-1])}
            print("peak memory: " + "; ".join(f"{name} {peak:.2f} GiB" for name, peak in peaks.items()))
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


def build_step(variant: Variant, setting: Setting, *, device: torch.device, seed: int = 0) -> Step:
    """The networks and optimisers of one row; one seed gives all rows the same weights."""
    torch.manual_seed(seed)
    players = [build_network(kind, variant, setting, device=device) for kind in (PGGANGenerator, PGGANDiscriminator)]
    fused = True if variant.fused_adam else None
    optimizers = [torch.optim.Adam(p.parameters(), lr=1e-3, betas=(0.0, 0.99), fused=fused) for p in players]
    kind = StableStep if variant.bundle_step else PlainStep
    schedule = GrowthSchedule(
        image_size=setting.resolution,
        images_per_phase=1,
        total_images=None,
        batch_sizes={setting.resolution: setting.batch_size},
        first_resolution=setting.resolution,
    )
    precision = choose_precision(device, variant.mixed_precision)
    return kind(
        *players, *optimizers, schedule=schedule, annotation=ANNOTATION, latent_dim=LATENT_DIM, precision=precision
    )


def build_network(kind: Callable[..., nn.Module], variant: Variant, setting: Setting, *, device: torch.device) -> Any:
    """A generator or discriminator, of the bundle or plain."""
    network = kind(
        CHANNELS,
        image_size=setting.image_size,
        feature_base=setting.feature_base,
        feature_max=setting.feature_max,
    )
    return (network if variant.bundle_networks else make_plain(network)).to(device)


class StableStep(PGGANStep):
    """The bundle's step; each call is the next iteration at one resolution."""

    iteration = 0

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        self.iteration += 1
        state = SimpleNamespace(device=engine.state.device, iteration=self.iteration)
        return super().__call__(SimpleNamespace(state=state), batch)


def make_batch(setting: Setting) -> dict[str, torch.Tensor]:
    """Images in [-1, 1] and label maps of 4 x 4 blocks, always the same."""
    generator = torch.Generator().manual_seed(0)
    shape = (setting.batch_size, 1, setting.resolution, setting.resolution)
    blocks = torch.randint(0, LABEL_COUNT + 1, (setting.batch_size, 1, 4, 4), generator=generator)
    return {
        "image": torch.rand(shape[0], IMAGE_CHANNELS, *shape[2:], generator=generator) * 2 - 1,
        "label": F.interpolate(blocks.float(), size=shape[2:], mode="nearest"),
    }


def sampling_rows(setting: Setting, *, device: torch.device) -> dict[str, Callable[[], Step]]:
    """Rows of the sampling table: seeds to images on the device, as synthesis makes them."""
    plain, *_, bundle = list_variants()
    rows = {
        "plain": (plain, False),
        "this bundle's synthesis, fp32": (bundle, False),
        "the same in bf16": (bundle, True),
    }
    return {name: partial(_build_sampler, *row, setting, device=device) for name, row in rows.items()}


def _build_sampler(variant: Variant, mixed_precision: bool, setting: Setting, *, device: torch.device) -> Step:
    torch.manual_seed(0)
    generator = build_network(PGGANGenerator, variant, setting, device=device).eval()
    inferer = EnsembleInferer(LATENT_DIM, setting.resolution)
    precision = choose_precision(device, mixed_precision)

    def sample(engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        with torch.inference_mode(), autocast(device, precision):
            return {"pred": inferer(batch["noise_seed"], [generator])}  # (B, C, R, R)

    return sample


def measure_memory(variant: Variant, setting: Setting, *, device: torch.device) -> float:
    """Most GiB at once for networks, optimisers and two iterations; on a CPU, beyond what the process had before.

    Raises:
        OSError: on a CPU where the system doesn't tell, as other systems than Linux.
    """
    if device.type != "cuda":  # in a process of its own, whose peak is its own
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
            return executor.submit(_resident_growth, variant, setting).result()
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    _run_twice(variant, setting, device)
    return (torch.cuda.max_memory_allocated(device) - before) / 2**30


def _resident_growth(variant: Variant, setting: Setting) -> float:
    before = resident_gib("VmRSS")
    _run_twice(variant, setting, torch.device("cpu"))
    return resident_gib("VmHWM") - before


def _run_twice(variant: Variant, setting: Setting, device: torch.device) -> None:
    step, engine = build_step(variant, setting, device=device), SimpleNamespace(state=SimpleNamespace(device=device))
    step(engine, make_batch(replace(setting, batch_size=1)))  # from now on the optimisers' state is there
    step(engine, make_batch(setting))


def estimate_days(rates: Mapping[int, float], schedule: GrowthSchedule) -> float:
    """Days that a training takes at so many images per second for each resolution; fades as long as the rest."""
    return sum(p.iterations * p.batch_size / rates[p.resolution] for p in schedule.phases) / 86400


if __name__ == "__main__":
    fire.Fire(run)
