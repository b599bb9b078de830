"""How long one LcGAN training iteration takes, from a plain step to this bundle's, and how fast images are synthesised.

    python -m scripts.experiments.benchmark_lcgan --repeats 5

Rows are cumulative: each adds one change to the row above, see `benchmark_table.time_rows`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any

import fire
import torch
import torch.nn.functional as F
from torch import nn

from scripts.engines.lcgan import LcGANStep
from scripts.experiments.benchmark_table import (
    Step,
    accumulate,
    choose_device,
    describe_device,
    format_table,
    time_rows,
    wait,
)
from scripts.inferers.mask_to_image import NoisyMaskToImageInferer
from scripts.networks.one_hot import one_hot_mask
from scripts.networks.pix2pix import Pix2PixDiscriminator, Pix2PixGenerator
from scripts.networks.precision import choose_precision

MASK_CHANNELS, IMAGE_CHANNELS = 6, 1  # background and five haemorrhage types; CT


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    one_pass: bool = False
    fused_adam: bool = False
    channels_last: bool = False
    mixed_precision: bool = False


def list_variants() -> list[Variant]:
    """The rows, from plain to this bundle's, each with one change more."""
    return accumulate(
        Variant("plain"),
        [
            ("one pass of G, D on real and fake at once", {"one_pass": True}),
            ("fused Adam", {"fused_adam": True}),
            ("channels-last weights", {"channels_last": True}),
            ("bf16 where in hardware: this bundle", {"mixed_precision": True}),
        ],
    )


def run(image_size: int = 256, width: int = 64, repeats: int = 5, batch_sizes: Any = (1, 8), device: str = "") -> None:
    """Print a table per batch size, and images synthesised per second.

    Args:
        image_size: side of the images in pixels.
        width: channels of the outermost level of generator and discriminator (64 as published).
        repeats: timed iterations per row.
        batch_sizes: images per iteration; the paper's is 1.
        device: "cpu" or "cuda"; the default takes CUDA where there is one.
    """
    chosen = choose_device(device)
    print(f"{describe_device(chosen)}; {image_size} px, width {width}, {repeats} repeats")
    for batch_size in batch_sizes if isinstance(batch_sizes, (list, tuple)) else [batch_sizes]:
        builders = {
            variant.name: partial(build_step, variant, image_size=image_size, width=width, device=chosen)
            for variant in list_variants()
        }
        seconds = time_rows(builders, make_batch(image_size, batch_size), repeats=repeats, device=chosen)
        print(f"\nbatch {batch_size}\n{format_table(seconds)}")
        rate = time_synthesis(image_size, width, batch_size, repeats=repeats, device=chosen)
        print(f"synthesis, batch {batch_size}: {rate:.1f} images per second")


def build_step(variant: Variant, *, image_size: int, width: int, device: torch.device, seed: int = 0) -> Step:
    """The networks and optimisers of one row; one seed gives all rows the same weights."""
    torch.manual_seed(seed)
    generator = Pix2PixGenerator(MASK_CHANNELS, IMAGE_CHANNELS, image_size=image_size, width=width)
    discriminator = Pix2PixDiscriminator(MASK_CHANNELS + IMAGE_CHANNELS, width=width)
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    for network in (generator, discriminator):
        network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    fused = True if variant.fused_adam else None
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=fused)
        for network in (generator, discriminator)
    ]
    if not variant.one_pass:
        return PlainStep(generator, discriminator, *optimizers)
    precision = choose_precision(device, variant.mixed_precision)
    return LcGANStep(generator, discriminator, *optimizers, mask_channels=MASK_CHANNELS, precision=precision)


class PlainStep:
    """A step as textbooks write it: each update makes its own fake image, D judges one batch at a time, all in fp32."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_optimizer: torch.optim.Optimizer,
        discriminator_optimizer: torch.optim.Optimizer,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        real = batch["image"].to(device)  # (B, C, S, S)
        mask = one_hot_mask(batch["label"].to(device), MASK_CHANNELS).contiguous()  # (B, M, S, S)

        # D: raise the real logits, lower those of a fake.
        self.discriminator_optimizer.zero_grad()
        with torch.no_grad():
            fake = self.generator(mask)  # (B, C, S, S)
        judgement = self._judge(mask, real, is_real=True) + self._judge(mask, fake, is_real=False)
        judgement.backward()
        self.discriminator_optimizer.step()

        # G: raise the logits of another fake, and stay near the real image.
        self.generator_optimizer.zero_grad()
        fake = self.generator(mask)  # (B, C, S, S)
        adversarial = self._judge(mask, fake, is_real=True)
        distance = F.l1_loss(fake, real)
        (adversarial + 100 * distance).backward()
        self.generator_optimizer.step()
        return {
            "generator_bce": adversarial.item(),
            "l1": distance.item(),
            "discriminator_bce": judgement.item(),
        }

    def _judge(self, mask: torch.Tensor, image: torch.Tensor, *, is_real: bool) -> torch.Tensor:
        logits = self.discriminator(torch.cat([mask, image], dim=1))  # (B, 1, S', S')
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))


def make_batch(image_size: int, batch_size: int = 1) -> dict[str, torch.Tensor]:
    """Images in [-1, 1] and label maps of 16 x 16 blocks, always the same."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, MASK_CHANNELS, (batch_size, 1, 16, 16), generator=generator).float()
    return {
        "image": torch.rand(batch_size, IMAGE_CHANNELS, image_size, image_size, generator=generator) * 2 - 1,
        "label": F.interpolate(blocks, size=(image_size, image_size), mode="nearest"),
    }


@torch.no_grad()
def time_synthesis(image_size: int, width: int, batch_size: int, *, repeats: int, device: torch.device) -> float:
    """Images per second of the synthesis in fp32, noise and all, without writing files."""
    generator = Pix2PixGenerator(MASK_CHANNELS, IMAGE_CHANNELS, image_size=image_size, width=width).to(device).eval()
    inferer, label = NoisyMaskToImageInferer(MASK_CHANNELS), make_batch(image_size, batch_size)["label"].to(device)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        inferer(label, generator)
        wait(device)
        seconds.append(time.perf_counter() - start)
    return batch_size / min(seconds[1:])


if __name__ == "__main__":
    fire.Fire(run)
