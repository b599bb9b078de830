"""How long one LcGAN training iteration takes, from a plain step to this bundle's, and how fast images are synthesised.

    python -m scripts.experiments.benchmark_lcgan --repeats 5

Rows are cumulative: each adds one change to the row above, see `benchmark_table.time_rows`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import fire
import torch
import torch.nn.functional as F

from scripts.engines.lcgan import LcGANStep
from scripts.experiments.benchmark_table import (
    Step,
    choose_device,
    describe_device,
    format_table,
    list_rows,
    make_batch,
    place,
    time_rows,
)
from scripts.inferers.mask_to_image import NoisyMaskToImageInferer
from scripts.networks.one_hot import one_hot_mask
from scripts.networks.pix2pix import Pix2PixDiscriminator, Pix2PixGenerator
from scripts.networks.precision import choose_precision

MASK_CHANNELS, IMAGE_CHANNELS = 6, 1  # background and five haemorrhage types; CT
ROWS = list_rows(
    one_pass="one pass of G, D on real and fake at once",
    fused_adam="fused Adam",
    channels_last="channels-last weights",
    mixed_precision="bf16 where in hardware: this bundle",
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
    time = partial(time_rows, repeats=repeats, device=chosen)
    sizes: dict[str, Any] = {"image_size": image_size, "width": width, "device": chosen}
    print(f"{describe_device(chosen)}; {image_size} px, width {width}, {repeats} repeats")
    for batch_size in batch_sizes if isinstance(batch_sizes, (list, tuple)) else [batch_sizes]:
        batch = make_batch(IMAGE_CHANNELS, image_size, batch_size, labels=MASK_CHANNELS)
        seconds = time({name: partial(build_step, changes, **sizes) for name, changes in ROWS.items()}, batch)
        print(f"\nbatch {batch_size}\n{format_table(seconds)}")
        synthesis = min(time({"synthesis": partial(build_synthesis, **sizes)}, batch)["synthesis"])
        print(f"synthesis, batch {batch_size}: {batch_size / synthesis:.1f} images per second")


def build_step(changes: Collection[str], *, image_size: int, width: int, device: torch.device) -> Step:
    """The networks and optimisers of one row; all rows have the same weights."""
    torch.manual_seed(0)
    generator = Pix2PixGenerator(MASK_CHANNELS, IMAGE_CHANNELS, image_size=image_size, width=width)
    discriminator = Pix2PixDiscriminator(MASK_CHANNELS + IMAGE_CHANNELS, width=width)
    optimizers = []
    for network in (generator, discriminator):
        place(network, changes, device)
        fused = "fused_adam" in changes or None
        optimizers.append(torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), fused=fused))
    kind = LcGANStep if "one_pass" in changes else PlainStep
    precision = choose_precision(device, "mixed_precision" in changes)
    return kind(generator, discriminator, *optimizers, mask_channels=MASK_CHANNELS, precision=precision)


class PlainStep(LcGANStep):
    """A step as textbooks write it: each update makes its own fake image, D judges one batch at a time, all in fp32."""

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
        (adversarial + self.l1_weight * distance).backward()
        self.generator_optimizer.step()
        return {"generator_bce": adversarial.item(), "l1": distance.item(), "discriminator_bce": judgement.item()}

    def _judge(self, mask: torch.Tensor, image: torch.Tensor, *, is_real: bool) -> torch.Tensor:
        logits = self.discriminator(torch.cat([mask, image], dim=1))  # (B, 1, S', S')
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(is_real)))


def build_synthesis(*, image_size: int, width: int, device: torch.device) -> Step:
    """The synthesis in fp32, noise and all, without writing files."""
    generator = Pix2PixGenerator(MASK_CHANNELS, IMAGE_CHANNELS, image_size=image_size, width=width).to(device).eval()
    inferer = NoisyMaskToImageInferer(MASK_CHANNELS)

    @torch.no_grad()
    def synthesise(engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        return {"pred": inferer(batch["label"].to(device), generator)}

    return synthesise


if __name__ == "__main__":
    fire.Fire(run)
