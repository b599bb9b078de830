from __future__ import annotations

import torch
from torch import nn

from scripts.inferers.ensemble import EnsembleInferer, draw_latents, prepare_latent_batch


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
    inputs, _, arguments, named = prepare_latent_batch(batch, torch.device("cpu"))
    assert (inputs.tolist(), arguments, named["member"].tolist()) == ([5], (), [2])
