"""How long one Red-GAN training iteration takes, from the published step written plainly to this bundle's.

    python -m scripts.experiments.benchmark_redgan --repeats 5

Rows are cumulative: each adds one change to the row above. Every repeat visits every row, builds its networks anew,
runs a warm-up iteration and times the next one, so that a busy machine hits all rows alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import fire
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from scripts.engines.redgan import RedGANStep, one_hot_mask
from scripts.experiments.benchmark_table import (
    Step,
    accumulate,
    choose_device,
    describe_device,
    format_table,
    time_rows,
)
from scripts.losses.feature_matching import feature_matching
from scripts.losses.hinge import discriminator_hinge, generator_hinge
from scripts.networks.multiscale_discriminator import MultiScaleDiscriminator, split_outputs
from scripts.networks.precision import choose_precision
from scripts.networks.resnet_unet import ResNetUNet
from scripts.networks.spade import SPADE, SPADEGenerator
from scripts.networks.wrapping import freeze

MASK_CHANNELS, IMAGE_CHANNELS, CLASS_COUNT, SEGMENTER_CLASSES = 5, 4, 10, 3


@dataclass(frozen=True)
class Variant:
    """One row of the table."""

    name: str
    one_pass: bool = False
    bundle_spectral_norm: bool = False
    bundle_spade: bool = False
    fused_adam: bool = False
    channels_last: bool = False
    mixed_precision: bool = False


def list_variants() -> list[Variant]:
    """The rows, from plain to this bundle's, each with one change more."""
    return accumulate(
        Variant("plain"),
        [
            ("one pass of G, and of S on real images", {"one_pass": True}),
            ("spectral norm with written-out gradient", {"bundle_spectral_norm": True}),
            ("one convolution for gamma and beta", {"bundle_spade": True}),
            ("fused Adam", {"fused_adam": True}),
            ("channels-last weights", {"channels_last": True}),
            ("bf16 where in hardware: this bundle", {"mixed_precision": True}),
        ],
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
    builders = {
        variant.name: partial(build_step, variant, image_size=image_size, width=width, device=chosen)
        for variant in list_variants()
    }
    seconds = time_rows(builders, make_batch(image_size, batch_size), repeats=repeats, device=chosen)
    print(f"{describe_device(chosen)}; {image_size} px, width {width}, batch {batch_size}, {repeats} repeats")
    print(format_table(seconds))


def build_step(variant: Variant, *, image_size: int, width: int, device: torch.device, seed: int = 0) -> Step:
    """The networks and optimisers of one row; one seed gives all rows the same weights."""
    torch.manual_seed(seed)
    generator = SPADEGenerator(MASK_CHANNELS, IMAGE_CHANNELS, CLASS_COUNT, image_size=image_size, width=width)
    discriminator = MultiScaleDiscriminator(MASK_CHANNELS + IMAGE_CHANNELS + SEGMENTER_CLASSES, width=width)
    segmenter = ResNetUNet(IMAGE_CHANNELS, SEGMENTER_CLASSES)
    if not variant.bundle_spade:
        _replace_spade(generator)
    if not variant.bundle_spectral_norm:
        _replace_spectral_norm(generator)
        _replace_spectral_norm(discriminator)
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    for network in (generator, discriminator, segmenter):
        network.to(device=device, memory_format=layout)  # type: ignore[call-overload]
    fused = True if variant.fused_adam else None
    players = (
        generator,
        discriminator,
        torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.0, 0.9), fused=fused),
        torch.optim.Adam(discriminator.parameters(), lr=4e-4, betas=(0.0, 0.9), fused=fused),
    )
    if not variant.one_pass:
        return PlainStep(*players, freeze(segmenter))
    precision = choose_precision(device, variant.mixed_precision)
    return RedGANStep(*players, mask_channels=MASK_CHANNELS, segmenter=segmenter, precision=precision)


class PlainStep:
    """The published order of work: each phase makes its own fake image and its own segmenter maps, all in fp32."""

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        generator_optimizer: torch.optim.Optimizer,
        discriminator_optimizer: torch.optim.Optimizer,
        segmenter: nn.Module,
    ) -> None:
        self.generator = generator
        self.discriminator = discriminator
        self.generator_optimizer = generator_optimizer
        self.discriminator_optimizer = discriminator_optimizer
        self.segmenter = segmenter

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device = engine.state.device
        real, class_index = batch["image"].to(device), batch["class_index"].to(device)  # (B, C, S, S), (B,)
        mask = one_hot_mask(batch["label"].to(device), MASK_CHANNELS).contiguous()  # (B, M, S, S)

        # G: raise the fakes' logits and match the real images' features.
        self.generator_optimizer.zero_grad()
        fake_outputs, real_outputs = self._judge(mask, self.generator(mask, class_index), real)
        adversarial = generator_hinge(fake_outputs)
        matching = feature_matching(real_outputs, fake_outputs)
        (adversarial + 10 * matching).backward()
        self.generator_optimizer.step()

        # D: raise the real logits, lower those of new fakes.
        self.discriminator_optimizer.zero_grad()
        with torch.no_grad():
            fake = self.generator(mask, class_index)  # (B, C, S, S)
        fake_outputs, real_outputs = self._judge(mask, fake, real)
        judgement = discriminator_hinge(real_outputs, fake_outputs)
        judgement.backward()
        self.discriminator_optimizer.step()
        return {
            "generator_hinge": adversarial.item(),
            "feature_matching": matching.item(),
            "discriminator_hinge": judgement.item(),
        }

    def _judge(self, mask: torch.Tensor, fake: torch.Tensor, real: torch.Tensor) -> Any:
        views = [
            torch.cat([mask, image, self.segmenter(image)], dim=1) for image in (fake, real)
        ]  # (B, M + C + K, S, S)
        return split_outputs(self.discriminator(torch.cat(views)))


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


def make_batch(image_size: int, batch_size: int = 1) -> dict[str, torch.Tensor]:
    """Images in [-1, 1], label maps of 16 x 16 blocks and classes, always the same."""
    generator = torch.Generator().manual_seed(0)
    blocks = torch.randint(0, MASK_CHANNELS, (batch_size, 1, 16, 16), generator=generator).float()
    return {
        "image": torch.rand(batch_size, IMAGE_CHANNELS, image_size, image_size, generator=generator) * 2 - 1,
        "label": F.interpolate(blocks, size=(image_size, image_size), mode="nearest"),
        "class_index": torch.randint(0, CLASS_COUNT, (batch_size,), generator=generator),
    }


if __name__ == "__main__":
    fire.Fire(run)
