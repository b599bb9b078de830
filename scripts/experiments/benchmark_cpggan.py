"""How fast CPGGAN's parts are: the detector's inference and training, the GAN's step with and without boxes, NMS.

    python -m scripts.experiments.benchmark_cpggan --repeats 5

Prints Markdown tables of times on random data, without loading and EMA. Rows take turns, see
`benchmark_table.time_rows`; those in bf16 are there where the device multiplies it in hardware.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from types import SimpleNamespace
from typing import Any

import fire
import torch
from monai.data.box_utils import non_max_suppression
from torch import nn

from scripts.data.growth import GrowthSchedule
from scripts.engines.cpggan import CPGGANStep
from scripts.engines.detection import DetectionStep
from scripts.engines.progressive import ProgressiveStep
from scripts.experiments.benchmark_table import Step, choose_device, describe_device, format_markdown, time_rows
from scripts.inferers.detection import DetectionInferer, suppress_overlaps
from scripts.losses.yolo import YOLOLoss
from scripts.networks.pggan import PGGANDiscriminator, PGGANGenerator
from scripts.networks.precision import autocast, choose_precision
from scripts.networks.yolo import YOLOv3

CHANNELS, LATENT_DIM, IOU_THRESHOLD, MAX_DETECTIONS = 1, 512, 0.45, 100  # as in the paper and the detector's inferer


def detector_rows(device: torch.device) -> dict[str, dict[str, Any]]:
    """Row name -> how its detector runs; the bundle evaluates as the second does and trains as the last."""
    ours: dict[str, Any] = {"layout": torch.channels_last}
    rows = {"plain fp32": {"layout": torch.contiguous_format}, "channels-last": ours}
    precision = choose_precision(device)
    return rows if precision == torch.float32 else {**rows, "channels-last, bf16": {**ours, "precision": precision}}


def run(
    detectors: Any = ((1.0, 256), (0.25, 64)),
    batch_sizes: Any = (1, 16),
    resolution: int = 64,
    gan_batch_size: int = 8,
    features: Any = (8192, 512),
    box_count: int = 10_000,
    repeats: int = 5,
    device: str = "",
) -> None:
    """Print the tables.

    Args:
        detectors: pairs of width multiplier and side of the images in pixels, such as "((0.25,64),)".
        batch_sizes: images per call of a detector, such as "(1,16)"; its training takes the last.
        resolution: side of the GANs' images in pixels.
        gan_batch_size: images per iteration of the GANs.
        features: `feature_base` and `feature_max` of the GANs; the default is published.
        box_count: boxes among which overlapping ones are suppressed.
        repeats: timed calls per row.
        device: "cpu" or "cuda"; the default takes CUDA where there is one.
    """
    chosen = choose_device(device)
    variants = detector_rows(chosen)
    time = partial(time_rows, repeats=repeats, device=chosen)
    print(f"{describe_device(chosen)}; {repeats} repeats", flush=True)
    for width, image_size in detectors:
        jobs = [("inference", build_inference, size) for size in batch_sizes]
        for job, build, size in [*jobs, ("training", build_training, batch_sizes[-1])]:
            rows = {name: partial(build, width=width, device=chosen, **row) for name, row in variants.items()}
            seconds = time(rows, make_batch(image_size, size))
            print(format_markdown(f"{job}, YOLOv3 of width {width:g}, {image_size} px, batch {size}", seconds, size))
    sizes = {"image_size": resolution, "feature_base": features[0], "feature_max": features[1]}
    seconds = time(gan_rows(sizes, gan_batch_size, device=chosen), make_batch(resolution, gan_batch_size))
    title = f"training, {resolution} px, features {features}, batch {gan_batch_size}"
    print(format_markdown(title, seconds, gan_batch_size))
    print(format_markdown(f"NMS of {box_count:,} boxes", time(suppression_rows(), make_boxes(box_count, chosen))))


def build_inference(*, width: float, device: torch.device, precision: torch.dtype = torch.float32, layout: Any) -> Step:
    """Images to what is found in them, with all anchors over the threshold, as briefly trained detectors have it."""
    network, inferer = _build_detector(width, device, layout).eval(), DetectionInferer()

    def infer(engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        with torch.inference_mode(), autocast(device, precision):
            return {"pred": inferer(batch["image"].to(device, memory_format=layout), network)}

    return infer


def build_training(*, width: float, device: torch.device, precision: torch.dtype = torch.float32, layout: Any) -> Step:
    """The update of `cpggan_detector_train.json`, or the same in PyTorch's default layout."""
    network = _build_detector(width, device, layout)
    optimizer, loss = torch.optim.Adam(network.parameters(), lr=1e-3), YOLOLoss(network.anchors)  # type: ignore[arg-type]
    if layout == torch.channels_last:
        return DetectionStep(network, optimizer, loss.parts, precision=precision)

    def update(engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        optimizer.zero_grad()
        error = loss(network(batch["image"].to(device)), batch["boxes"], batch["box_classes"])
        error.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        return {"loss": error.item()}

    return update


def _build_detector(width: float, device: torch.device, layout: Any) -> YOLOv3:
    torch.manual_seed(0)
    network = YOLOv3(CHANNELS, width_multiplier=width, objectness_prior=0.01)
    return network.to(device=device, memory_format=layout)  # type: ignore[call-overload]


class BoxlessStep(ProgressiveStep):
    """PGGAN on the same images, without their boxes."""

    def read(self, batch: dict[str, Any], device: torch.device) -> tuple[torch.Tensor, None]:
        return batch["image"].to(device, memory_format=torch.channels_last), None


def gan_rows(sizes: dict[str, int], batch_size: int, *, device: torch.device) -> dict[str, Callable[[], Step]]:
    """Row name -> makes the step of a GAN of these sizes without boxes, with them, or with mismatched ones, too."""
    make = partial(_build_gan, sizes, batch_size, device)
    return {
        "PGGAN, no boxes": partial(make, BoxlessStep),
        "CPGGAN": partial(make, CPGGANStep, class_count=1),
        "CPGGAN, mismatch_weight 0.5": partial(make, CPGGANStep, class_count=1, mismatch_weight=0.5),
    }


def _build_gan(sizes: Mapping[str, Any], batch_size: int, device: torch.device, kind: Any, **options: Any) -> Step:
    """A step whose calls are iterations at the full resolution, once it has faded in."""
    torch.manual_seed(0)
    conditions, size = options.get("class_count", 0), sizes["image_size"]
    kinds = (PGGANGenerator, PGGANDiscriminator)
    players = [network(CHANNELS, condition_channels=conditions, **sizes).to(device) for network in kinds]
    optimizers = [torch.optim.Adam(each.parameters(), lr=1e-3, betas=(0.0, 0.99), fused=True) for each in players]
    schedule = GrowthSchedule(image_size=size, batch_sizes={size: batch_size}, first_resolution=size)
    options = {"schedule": schedule, "latent_dim": LATENT_DIM, "precision": choose_precision(device), **options}
    step = kind(*players, *optimizers, **options)
    engines = (SimpleNamespace(state=SimpleNamespace(device=device, iteration=n)) for n in count(1))
    return lambda engine, batch: step(next(engines), batch)


def make_batch(image_size: int, batch_size: int) -> dict[str, torch.Tensor]:
    """Images in [-1, 1] with two boxes each, always the same."""
    image = torch.rand(batch_size, CHANNELS, image_size, image_size, generator=torch.Generator().manual_seed(0)) * 2 - 1
    boxes = (torch.tensor([[1.0, 1, 3, 4], [4, 5, 7, 7]]) * image_size / 8).expand(batch_size, -1, -1)
    return {"image": image, "boxes": boxes, "box_classes": torch.zeros(batch_size, 2, dtype=torch.int64)}


def make_boxes(box_count: int, device: torch.device) -> dict[str, torch.Tensor]:
    """Boxes of 4 to 64 pixels anywhere on 256 x 256 pixels with random scores, always the same."""
    draws = torch.rand(box_count, 5, generator=torch.Generator().manual_seed(0)).to(device)
    start = 192 * draws[:, :2]
    return {"boxes": torch.cat([start, start + 4 + 60 * draws[:, 2:4]], dim=1), "scores": draws[:, 4]}


def suppression_rows() -> dict[str, Callable[[], Step]]:
    """Row name -> makes a step that says which boxes are kept, all or, as the detector does, the 100 highest."""

    def monai(engine: Any, batch: dict[str, Any], *, most: int = -1) -> dict[str, Any]:
        return {"kept": non_max_suppression(batch["boxes"], batch["scores"], IOU_THRESHOLD, max_proposals=most)}

    def ours(engine: Any, batch: dict[str, Any], *, most: int = sys.maxsize) -> dict[str, Any]:
        return {"kept": suppress_overlaps(**batch, iou_threshold=IOU_THRESHOLD, max_detections=most)}

    steps: dict[str, Any] = {"MONAI": monai, "this bundle": ours}
    steps |= {f"{name}, {MAX_DETECTIONS} highest": partial(steps[name], most=MAX_DETECTIONS) for name in list(steps)}
    return {name: partial(lambda step: step, step) for name, step in steps.items()}


if __name__ == "__main__":
    fire.Fire(run)
