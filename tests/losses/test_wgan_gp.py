from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from scripts.losses.wgan_gp import drift, gradient_penalty, wasserstein_discriminator, wasserstein_generator

IMAGES = (3, 2, 4, 4)


def linear_critic(norm: float) -> torch.Tensor:
    """Weights (2, 4, 4) of a linear critic whose gradient has that norm everywhere."""
    weight = torch.randn(IMAGES[1:], generator=torch.Generator().manual_seed(0))
    return (weight * norm / weight.norm()).requires_grad_()


def score(weight: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return (weight * x).sum(dim=(1, 2, 3))


def penalise(weight: torch.Tensor, **options: float) -> torch.Tensor:
    return gradient_penalty(
        lambda x: score(weight, x), torch.randn(IMAGES), torch.randn(IMAGES), mixing=torch.rand(3, 1, 1, 1), **options
    )


def test_wasserstein_losses_by_hand() -> None:
    real, fake = torch.tensor([1.0, 4.0]), torch.tensor([[-3.0], [2.0]])
    assert wasserstein_discriminator(real, fake).item() == -3.0  # -0.5 - 2.5
    assert wasserstein_generator(fake).item() == 0.5
    assert drift(real).item() == 8.5  # (1 + 16) / 2


def test_losses_are_computed_in_fp32() -> None:
    scores = torch.tensor([256.0, 1.0], dtype=torch.bfloat16)
    assert wasserstein_generator(scores).item() == -128.5  # no bf16 number
    assert wasserstein_discriminator(scores, torch.zeros(2)).item() == -128.5
    assert drift(scores).item() == (65536 + 1) / 2


def test_gradients_of_wasserstein_losses_do_not_depend_on_the_scores() -> None:
    real, fake = (1e4 * torch.randn(4)).requires_grad_(), (-1e4 * torch.rand(4)).requires_grad_()
    wasserstein_discriminator(real, fake).backward()
    assert real.grad is not None
    assert fake.grad is not None
    assert real.grad.tolist() == [-0.25] * 4
    assert fake.grad.tolist() == [0.25] * 4


@pytest.mark.parametrize("norm", [0.5, 1.0, 3.0])
def test_penalty_of_a_linear_critic(norm: float) -> None:
    weight = linear_critic(norm)
    penalty = penalise(weight)
    assert penalty.item() == pytest.approx((norm - 1) ** 2, abs=1e-6)
    penalty.backward()
    expected = 2 * (norm - 1) * weight.detach() / norm
    torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-6)


def test_penalty_of_a_constant_critic_has_finite_gradients() -> None:
    weight = torch.zeros(IMAGES[1:], requires_grad=True)
    penalty = penalise(weight)
    penalty.backward()
    assert penalty.item() == 1.0
    assert weight.grad is not None
    assert weight.grad.isfinite().all()


def test_mixing_runs_from_fake_to_real_and_the_norm_is_per_image() -> None:
    """The critic |x|^2 / 2 has the gradient x, so each image's norm is that of the mixed image."""
    real, fake = torch.zeros(IMAGES), torch.zeros(IMAGES)
    real[:, 0, 0, 0], fake[:, 1, 2, 3] = 3.0, 4.0
    mixing = torch.tensor([1.0, 0.25, 0.5]).view(3, 1, 1, 1)
    penalty = gradient_penalty(lambda x: x.square().sum(dim=(1, 2, 3)) / 2, real, fake, mixing=mixing)
    norms = (3.0, math.hypot(0.75, 3.0), math.hypot(1.5, 2.0))
    assert penalty.item() == pytest.approx(sum((norm - 1) ** 2 for norm in norms) / 3)


def test_no_gradient_reaches_the_images() -> None:
    real, fake = torch.randn(IMAGES, requires_grad=True), torch.randn(IMAGES, requires_grad=True)
    critic = nn.Sequential(nn.Conv2d(2, 3, 4), nn.Tanh(), nn.Flatten(), nn.Linear(3, 1))
    gradient_penalty(critic, real, fake, mixing=torch.rand(3, 1, 1, 1)).backward()
    assert real.grad is None
    assert fake.grad is None
    assert all(p.grad is not None for name, p in critic.named_parameters() if name != "3.bias")


def test_gradient_of_the_penalty_against_finite_differences() -> None:
    torch.manual_seed(0)
    critic = nn.Sequential(nn.Flatten(), nn.Linear(32, 4), nn.Tanh(), nn.Linear(4, 1))
    images = [torch.randn(IMAGES), torch.randn(IMAGES), torch.rand(3, 1, 1, 1)]
    weight = critic[1].weight
    gradient_penalty(critic, images[0], images[1], mixing=images[2]).backward()
    assert weight.grad is not None
    direction = weight.grad / weight.grad.norm()
    values = []
    for step in (1e-2, -1e-2):
        with torch.no_grad():
            weight += step * direction
        values.append(gradient_penalty(critic, images[0], images[1], mixing=images[2]).item())
        with torch.no_grad():
            weight -= step * direction
    assert (values[0] - values[1]) / 2e-2 == pytest.approx(weight.grad.norm().item(), rel=1e-2)


def test_penalty_is_fp32_under_autocast() -> None:
    weight = linear_critic(2.0)
    with torch.autocast("cpu", torch.bfloat16):
        penalty = gradient_penalty(
            lambda x: x.flatten(1) @ weight.flatten()[:, None],
            torch.randn(IMAGES),
            torch.randn(IMAGES),
            mixing=torch.rand(3, 1, 1, 1),
        )
    penalty.backward()
    assert penalty.dtype == torch.float32
    assert penalty.item() == pytest.approx(1.0, abs=0.02)
    assert weight.grad is not None
    torch.testing.assert_close(weight.grad, weight.detach(), rtol=0.03, atol=0.01)  # 2 (2 - 1) w / 2
