from __future__ import annotations

import torch
from torch import nn

from scripts.inferers.noise import (
    BoxesToImageInferer,
    ClassFeatureInferer,
    EnsembleInferer,
    draw_latents,
    prepare_noise_batch,
)
from scripts.networks.feature_gan import FeatureDiscriminator, FeatureGenerator


class Member(nn.Module):
    """Images of one grey: the member's number in tenths, plus a thousandth of the latent's first number."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float) -> torch.Tensor:
        assert alpha == 1
        return (self.number / 10 + z[:, :1, None, None] / 1000).expand(-1, 1, resolution, resolution)


def test_each_image_comes_from_its_member_and_seed():
    members, seeds = torch.tensor([1, 0, 1, 2]), torch.tensor([7, 8, 9, 7])
    network = nn.ModuleList([Member(n) for n in range(3)])
    images = EnsembleInferer(4, 8)(seeds, network, member=members)
    assert images.shape == (4, 1, 8, 8)
    latents = draw_latents([7, 8, 9, 7], 4)
    torch.testing.assert_close(images[:, 0, 0, 0], members / 10 + latents[:, 0] / 1000)
    alone = EnsembleInferer(4, 8)(seeds[2:3], network, member=members[2:3])
    assert torch.equal(alone[0], images[2])


def test_latents_follow_their_seeds():
    both, one = draw_latents([3, 4], 512), draw_latents([4], 512)
    assert torch.equal(both[1], one[0])
    assert not torch.equal(both[0], both[1])
    assert abs(both.std().item() - 1) < 0.1


def test_seeds_are_the_evaluators_input():
    batch = {"noise_seed": torch.tensor([5]), "member": torch.tensor([2]), "name": ["x"]}
    inputs, _, arguments, named = prepare_noise_batch(batch, torch.device("cpu"))
    assert (inputs.tolist(), arguments, named["member"].tolist()) == ([5], (), [2])


class Painter(nn.Module):
    """The condition's first channel, plus a hundredth of the latent's first number."""

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float, condition: torch.Tensor) -> torch.Tensor:
        assert (resolution, alpha) == (8, 1.0)
        return condition[:, :1] + z[:, :1, None, None] / 100


def test_images_follow_their_boxes_and_seeds_whatever_their_batch():
    batch = {
        "noise_seed": torch.tensor([3, 4]),
        "boxes": torch.tensor([[[1.0, 2, 3, 5], [0, 0, 0, 0]], [[0.0, 0, 8, 1], [6, 6, 8, 8]]]),
        "box_classes": torch.tensor([[0, -1], [0, 0]]),
    }
    inputs, _, args, options = prepare_noise_batch(batch, torch.device("cpu"))
    inferer = BoxesToImageInferer(4, 8, 1, "uniform")
    images = inferer(inputs, Painter(), *args, **options)
    expected = torch.zeros(2, 8, 8)
    expected[0, 1:3, 2:5] = 1
    expected[1, :, :1] = expected[1, 6:, 6:] = 1
    noise = draw_latents([3, 4], 4, "uniform")[:, 0, None, None] / 100
    torch.testing.assert_close(images[:, 0], (expected + noise).clamp(-1, 1))
    alone = inferer(inputs[1:], Painter(), boxes=batch["boxes"][1:], box_classes=batch["box_classes"][1:])
    assert torch.equal(alone[0], images[1])


def make_networks() -> tuple[FeatureGenerator, FeatureDiscriminator]:
    torch.manual_seed(0)
    return FeatureGenerator((2, 5, 5), 3, latent_dim=4, width=6), FeatureDiscriminator((2, 5, 5), 3, width=6)


def test_a_feature_depends_on_its_own_seed_and_class_alone() -> None:
    generator, discriminator = make_networks()
    inferer = ClassFeatureInferer(discriminator, 4)
    seeds, classes = torch.tensor([7, 8, 7, 9]), torch.tensor([0, 1, 0, 2])
    features, probabilities = inferer(seeds, generator, class_index=classes)
    torch.testing.assert_close(features[0], features[2])
    assert not torch.allclose(features[0], features[1])
    for n in range(4):
        alone = inferer(seeds[n : n + 1], generator, class_index=classes[n : n + 1])
        torch.testing.assert_close(alone[0][0], features[n])
        torch.testing.assert_close(alone[1][0], probabilities[n])


def test_probabilities_are_those_of_the_class_head() -> None:
    generator, discriminator = make_networks()
    features, probabilities = ClassFeatureInferer(discriminator, 4)(
        torch.arange(5), generator, class_index=torch.arange(5) % 3
    )
    powers = discriminator.eval()(features)[1].exp()
    torch.testing.assert_close(probabilities, powers / powers.sum(1, keepdim=True))
    assert not features.requires_grad
    assert not generator.training
