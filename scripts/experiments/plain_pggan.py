"""A progressive GAN's training step as a PyTorch user writes it: what `benchmark_pggan.py` compares with.

The plain step is the same mathematics as a PyTorch user writes it from the paper, which is also the order of work of
the PyTorch GAN Zoo's PGGAN: ``F.conv2d`` with the equalised scale and PyTorch's own second derivative, pixel norm as
its formula reads, contiguous tensors, fp32, Adam with PyTorch's defaults; each update makes its own fake images (D's
without gradient), and the generator's update also computes the discriminator's weight gradients, which the next
iteration throws away. Both steps draw as much, so from the same weights and seed they have the same losses. Real and
generated images, and the penalty's mixtures, take a discriminator pass each in both, as the method demands.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from scripts.engines.pggan_ensemble import PGGANStep
from scripts.losses.wgan_gp import drift, gradient_penalty, wasserstein_discriminator, wasserstein_generator
from scripts.networks.equalized import EqualizedConv2d
from scripts.networks.pggan import EPSILON, LEAKY_SLOPE, PGGANGenerator


class PlainStep(PGGANStep):
    """The step as this module's docstring describes it."""

    def __call__(self, engine: Any, batch: dict[str, Any]) -> dict[str, Any]:
        device, size = engine.state.device, {"resolution": self.schedule.image_size, "alpha": 1.0}
        label = self.annotation.encode(batch["label"].to(device))  # (B, A, R, R)
        real = torch.cat([batch["image"].to(device), label], dim=1)  # (B, C + A, R, R)
        latent = torch.randn(len(real), self.latent_dim).to(device)  # (B, latent_dim)
        mixing = torch.rand(len(real), 1, 1, 1).to(device)
        generate, judge = partial(self.generator, **size), partial(self.discriminator, **size)

        # D: raise real scores, lower those of a generator pass of its own.
        self.discriminator_optimizer.zero_grad()
        with torch.no_grad():
            fake = generate(latent)  # (B, C + A, R, R)
        real_scores, fake_scores = judge(real), judge(fake)  # (B, 1)
        penalty = gradient_penalty(judge, real, fake, mixing=mixing)
        distance = wasserstein_discriminator(real_scores, fake_scores)
        judgement = distance + self.gradient_penalty_weight * penalty + self.drift_weight * drift(real_scores)
        judgement.backward()
        self.discriminator_optimizer.step()

        # G: raise the scores of another pass.
        self.generator_optimizer.zero_grad()
        adversarial = wasserstein_generator(judge(generate(latent)))
        adversarial.backward()
        self.generator_optimizer.step()
        return {
            "loss": judgement.item(),
            "discriminator_wasserstein": distance.item(),
            "gradient_penalty": penalty.item(),
            "generator_wasserstein": adversarial.item(),
        }


class PlainConv2d(nn.Module):
    """An equalised convolution with PyTorch's own derivatives, on contiguous tensors."""

    def __init__(self, layer: EqualizedConv2d) -> None:
        super().__init__()
        self.weight, self.bias, self.scale, self.padding = layer.weight, layer.bias, layer.scale, layer.padding

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()  # copies the generator's first 4x4 pixels and nothing else
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)  # (B, O, X', Y')


class PlainGeneratorBlock(nn.Module):
    """A generator's level with pixel norm as its formula reads."""

    def __init__(self, convs: nn.ModuleList) -> None:
        super().__init__()
        self.convs = convs

    def forward(self, x: torch.Tensor, condition: None) -> torch.Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), LEAKY_SLOPE)  # (B, F', X, X)
            x = x / torch.sqrt(x.square().mean(dim=1, keepdim=True) + EPSILON)
        return x


def make_plain(network: nn.Module) -> nn.Module:
    """Puts plain parts with the same weights in the place of the bundle's."""
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, EqualizedConv2d):
                setattr(parent, name, PlainConv2d(child))
    if isinstance(network, PGGANGenerator):
        network.blocks = nn.ModuleList(PlainGeneratorBlock(block.convs) for block in network.blocks)  # type: ignore[arg-type]
    return network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
