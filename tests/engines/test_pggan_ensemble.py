from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scripts.data.growth import GrowthSchedule
from scripts.engines.pggan_ensemble import PGGANStep
from scripts.networks.pggan import PGGANDiscriminator, PGGANGenerator
from scripts.transforms.annotation import AnnotationChannels

# two iterations at 4 px, two of fading 8 px in, two at 8 px
SCHEDULE = GrowthSchedule(image_size=8, images_per_phase=4, total_images=None, batch_sizes={4: 2, 8: 2})


def engine(iteration: int) -> SimpleNamespace:
    return SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu"), iteration=iteration))


def batch() -> dict[str, torch.Tensor]:
    """Image and label are each of one value, so shrinking and fading leave them alone."""
    values = torch.tensor([0.25, -0.5]).reshape(2, 1, 1, 1)
    return {"image": values.expand(2, 1, 8, 8), "label": torch.tensor([0, 1]).reshape(2, 1, 1, 1).expand(2, 1, 8, 8)}


class Constant(nn.Module):
    """Image channel = weight, annotation channel 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.1))
        self.seen: list[tuple[int, float]] = []

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float) -> torch.Tensor:
        self.seen.append((resolution, alpha))
        ones = torch.ones(len(z), 1, resolution, resolution)
        return torch.cat([self.weight * ones, 0 * ones], dim=1)


class Critic(nn.Module):
    """score = the mean over pixels of direction * channels"""

    def __init__(self, direction: list[float]) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.tensor(direction))

    def forward(self, images: torch.Tensor, *, resolution: int, alpha: float) -> torch.Tensor:
        assert images.shape[-1] == resolution
        return (images.mean(dim=(2, 3)) * self.direction).sum(dim=1, keepdim=True)


def make_step(direction: list[float]) -> PGGANStep:
    networks = Constant(), Critic(direction)
    optimizers = [torch.optim.SGD(network.parameters(), lr=1.0, momentum=0.9) for network in networks]
    return PGGANStep(
        *networks, *optimizers, schedule=SCHEDULE, annotation=AnnotationChannels(1), latent_dim=3, drift_weight=0.5
    )


def test_losses_and_updates_by_hand():
    step, direction = make_step([0.3, -0.4]), np.array([0.3, -0.4])
    output = step(engine(1), batch())
    real = np.array([[0.25, -1.0], [-0.5, 0.6]])  # label 1 is grey level 204: 204 / 127.5 - 1
    scores, fake = real @ direction, np.array([0.1, 0.0])
    distance = fake @ direction - scores.mean()
    norm = np.linalg.norm(direction) / np.sqrt(16)  # a pixel's slope is direction / 16, and there are 16 of each
    assert output["discriminator_wasserstein"] == pytest.approx(distance, rel=1e-5)
    assert output["gradient_penalty"] == pytest.approx((norm - 1) ** 2, rel=1e-5)
    assert output["loss"] == pytest.approx(distance + 10 * (norm - 1) ** 2 + 0.5 * (scores**2).mean(), rel=1e-5)
    slope = fake - real.mean(0) + 10 * 2 * (norm - 1) * direction / np.linalg.norm(direction) / 4
    slope += 0.5 * 2 * (scores[:, None] * real).mean(0)
    moved = direction - slope
    np.testing.assert_allclose(step.discriminator.direction.detach(), moved, rtol=1e-4)
    assert output["generator_wasserstein"] == pytest.approx(-fake @ moved, rel=1e-4)
    assert step.generator.weight.item() == pytest.approx(0.1 + moved[0], rel=1e-4)


def test_growth_follows_the_iteration():
    step = make_step([0.3, -0.4])
    shown = [step(engine(n), batch()) for n in range(1, 7)]
    assert [(row["resolution"], row["alpha"]) for row in shown] == [(4, 1), (4, 1), (8, 0), (8, 0.5), (8, 1), (8, 1)]
    assert step.generator.seen == [(row["resolution"], row["alpha"]) for row in shown]  # once per iteration


def test_optimisers_start_afresh_at_each_resolution_and_only_there():
    step = make_step([0.3, -0.4])
    cleared = []
    for n in range(1, 7):
        before = len(step.generator_optimizer.state)
        plain = step.generator_optimizer.step
        step.generator_optimizer.step = lambda plain=plain: (
            cleared.append(len(step.generator_optimizer.state)),
            plain(),
        )
        step(engine(n), batch())
        step.generator_optimizer.step = plain
        assert len(step.generator_optimizer.state) == 1
        assert before == (n > 1)
    assert cleared == [0, 1, 0, 1, 1, 1]


def run_real(precision: torch.dtype) -> dict[str, Any]:
    torch.manual_seed(0)
    sizes = {"image_size": 8, "feature_base": 64, "feature_max": 8}
    networks = PGGANGenerator(2, latent_dim=8, **sizes), PGGANDiscriminator(2, **sizes)
    optimizers = [torch.optim.Adam(network.parameters(), lr=1e-3, betas=(0.0, 0.99)) for network in networks]
    step = PGGANStep(
        *networks,
        *optimizers,
        schedule=SCHEDULE,
        annotation=AnnotationChannels(1),
        latent_dim=8,
        precision=precision,
    )
    for n in range(1, 7):
        output = step(engine(n), batch())
    return output


def test_bfloat16_runs_on_a_cpu_and_agrees_with_float32():
    full, half = run_real(torch.float32), run_real(torch.bfloat16)
    assert half == pytest.approx(full, rel=0.1, abs=0.1)
    assert np.isfinite(list(half.values())).all()


def test_the_annotations_levels_are_moved_and_never_coloured():
    step, seen = make_step([0.3, -0.4]), []
    step.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    step.augmentation.probability = 0.75
    torch.manual_seed(0)
    step(engine(5), batch())
    levels = {round(level, 4) for level in step.annotation.levels.tolist()}
    assert {round(value, 4) for value in seen[0][:, 1].unique().tolist()} <= {*levels, 0.0}  # 0 in a hole
    assert seen[0][:, 0].unique().tolist() != [-0.5, 0.25]


def test_slices_are_made_anew_with_their_annotation():
    step = make_step([0.3, -0.4])
    real, made = step.remake(step.generator, batch(), [0, 1], torch.device("cpu"))
    assert torch.equal(real, step.read(batch(), torch.device("cpu"))[0])
    assert made.shape == (2, 2, 8, 8)
    assert step.generator.seen == [(8, 1.0)]
