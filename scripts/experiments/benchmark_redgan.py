"""How long one Red-GAN training iteration takes, from the published step written plainly to this bundle's.

    python -m scripts.experiments.benchmark_redgan --repeats 5

Rows are cumulative: each adds one change to the row above, see `benchmark_table.time_rows`.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import fire
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from scripts.engines.redgan import RedGANStep
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
from scripts.losses.feature_matching import feature_matching
from scripts.losses.hinge import discriminator_hinge, generator_hinge
from scripts.networks.multiscale_discriminator import MultiScaleDiscriminator
from scripts.networks.one_hot import one_hot_mask
from scripts.networks.precision import choose_precision
from scripts.networks.resnet_unet import ResNetUNet
from scripts.networks.spade import SPADE, SPADEGenerator

MASK_CHANNELS, IMAGE_CHANNELS, CLASS_COUNT, SEGMENTER_CLASSES = 5, 4, 10, 3
ROWS = list_rows(
    one_pass="one pass of G, and of S on real images",
    spectral_norm="spectral norm with written-out gradient",
    spade="one convolution for gamma and beta",
    fused_adam="fused Adam",
    channels_last="channels-last weights",
    mixed_precision="bf16 where in hardware: this bundle",
)


def run(image_size: int = 256, width: int = 64, repeats: int = 5, batch_size: int = 1, device: str = "") -> None:
    """Print the table.

    Args:
        image_size: side of the images in pixels.
        width: channels of the generator's last block and of the discriminator's first layer (64 as published).
        repeats: timed iterations per row.
        batch_size: images per iteration (1 as published).
        device: "cpu" or "cuda"; the default takes CUDA where there is one.
    """
    chosen = choose_device(device)
    build = partial(build_step, image_size=image_size, width=width, device=chosen)
    batch = make_classed_batch(image_size, batch_size)
    seconds = time_rows(
        {n: partial(build, changes) for n, changes in ROWS.items()}, batch, repeats=repeats, device=chosen
    )
    print(f"{describe_device(chosen)}; {image_size} px, width {width}, batch {batch_size}, {repeats} repeats")
    print(format_table(seconds))


def make_classed_batch(image_size: int, batch_size: int = 1) -> dict[str, torch.Tensor]:
    """A batch whose images have classes."""
    batch = make_batch(IMAGE_CHANNELS, image_size, batch_size, labels=MASK_CHANNELS)
    return {**batch, "class_index": torch.arange(batch_size) % CLASS_COUNT}


def build_step(changes: Collection[str], *, image_size: int, width: int, device: torch.device) -> Step:
    """The networks and optimisers of one row; all rows have the same weights."""
    torch.manual_seed(0)
    generator = SPADEGenerator(MASK_CHANNELS, IMAGE_CHANNELS, CLASS_COUNT, image_size=image_size, width=width)
    discriminator = MultiScaleDiscriminator(MASK_CHANNELS + IMAGE_CHANNELS + SEGMENTER_CLASSES, width=width)
    segmenter = ResNetUNet(IMAGE_CHANNELS, SEGMENTER_CLASSES)
    if "spade" not in changes:
        _replace_spade(generator)
    if "spectral_norm" not in changes:
        _replace_spectral_norm(generator)
        _replace_spectral_norm(discriminator)
    for network in (generator, discriminator, segmenter):
        place(network, changes, device)
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=rate, betas=(0.0, 0.9), fused="fused_adam" in changes or None)
        for network, rate in ((generator, 1e-4), (discriminator, 4e-4))
    ]
    kind = RedGANStep if "one_pass" in changes else PlainStep
    precision = choose_precision(device, "mixed_precision" in changes)
    return kind(
        generator, discriminator, *optimizers, mask_channels=MASK_CHANNELS, segmenter=segmenter, precision=precision
    )


class PlainStep(RedGANStep):
    """The published order of work: each phase makes its own fake image and its own segmenter maps, all in fp32."""

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        real, class_index = batch["image"].to(device), batch["class_index"].to(device)  # (B, C, S, S), (B,)
        mask = one_hot_mask(batch["label"].to(device), MASK_CHANNELS).contiguous()  # (B, M, S, S)

        # G: raise the fakes' logits and match the real images' features.
        self.generator_optimizer.zero_grad()
        fake_outputs, real_outputs = self._compare(mask, self.generator(mask, class_index), real)
        adversarial = generator_hinge(fake_outputs)
        matching = feature_matching(real_outputs, fake_outputs)
        (adversarial + self.feature_matching_weight * matching).backward()
        self.generator_optimizer.step()

        # D: raise the real logits, lower those of new fakes.
        self.discriminator_optimizer.zero_grad()
        with torch.no_grad():
            fake = self.generator(mask, class_index)  # (B, C, S, S)
        fake_outputs, real_outputs = self._compare(mask, fake, real)
        judgement = discriminator_hinge(real_outputs, fake_outputs)
        judgement.backward()
        self.discriminator_optimizer.step()
        return {
            "generator_hinge": adversarial.item(),
            "feature_matching": matching.item(),
            "discriminator_hinge": judgement.item(),
        }

    def _compare(self, mask: torch.Tensor, fake: torch.Tensor, real: torch.Tensor) -> Any:
        return self._judge(self.discriminator, self._view(mask, fake), self._view(mask, real), None)


class PlainSPADE(nn.Module):
    """SPADE with a convolution each for gamma and beta and autograd's own gradient."""

    def __init__(self, fused: SPADE) -> None:
        super().__init__()
        self.norm, self.hidden = fused.norm, fused.hidden
        outputs, inputs = fused.modulation.weight.shape[:2]
        self.gamma = nn.Conv2d(inputs, outputs // 2, kernel_size=3, padding=1)
        self.beta = nn.Conv2d(inputs, outputs // 2, kernel_size=3, padding=1)
        halves = {key: value.chunk(2) for key, value in fused.modulation.state_dict().items()}
        self.gamma.load_state_dict({key: first for key, (first, _) in halves.items()})
        self.beta.load_state_dict({key: second for key, (_, second) in halves.items()})

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        mask = F.interpolate(mask, size=x.shape[-2:], mode="nearest")  # (B, M, X, Y)
        hidden = F.relu(self.hidden(mask))  # (B, hidden, X, Y)
        return self.norm(x) * (1 + self.gamma(hidden)) + self.beta(hidden)  # (B, C, X, Y)


def _replace_spade(network: nn.Module) -> None:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, SPADE):
                setattr(parent, name, PlainSPADE(child))


def _replace_spectral_norm(network: nn.Module) -> None:
    for module in list(network.modules()):
        if isinstance(module, nn.Conv2d) and is_parametrized(module, "weight"):
            state = module.state_dict()
            remove_parametrizations(module, "weight", leave_parametrized=False)
            parametrizations.spectral_norm(module).load_state_dict(state)


if __name__ == "__main__":
    fire.Fire(run)
