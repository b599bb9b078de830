from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scripts.engines.lcgan import LcGANStep
from scripts.inferers.mask_to_image import NoisyMaskToImageInferer
from scripts.networks.pix2pix import Pix2PixDiscriminator, Pix2PixGenerator
from scripts.transforms import differentiable

ENGINE = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu")))


class LinearGenerator(nn.Module):
    """image = weight * lesion mask"""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.calls = 0

    def forward(self, mask: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.weight * mask[:, 1:2]


class LinearDiscriminator(nn.Module):
    """logit = sum(view * direction) over channels: background, lesion, image"""

    def __init__(self, direction: list[float]) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.tensor(direction))

    def forward(self, view: torch.Tensor) -> torch.Tensor:
        return (view * self.direction[:, None, None]).sum(1, keepdim=True)


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.rand(2, 1, 4, 4, generator=generator) * 2 - 1,
        "label": torch.randint(0, 2, (2, 1, 4, 4), generator=generator),
    }


def make_step(direction: list[float], **options: Any) -> LcGANStep:
    networks = LinearGenerator(), LinearDiscriminator(direction)
    optimizers = [torch.optim.SGD(network.parameters(), lr=1.0) for network in networks]
    return LcGANStep(*networks, *optimizers, mask_channels=2, **options)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def test_losses_and_updates_by_hand():
    """Binary cross-entropy by its definition; one SGD step of length 1 moves each weight by its gradient."""
    data, direction = batch(), np.array([0.3, -0.2, 0.7])
    lesion, real = data["label"].numpy().astype(float), data["image"].numpy().astype(float)
    views = [np.concatenate([1 - lesion, lesion, image], axis=1) for image in (real, 0.5 * lesion)]
    real_logits, fake_logits = (np.einsum("bcxy,c->bxy", view, direction) for view in views)
    step = make_step(direction.tolist(), l1_weight=10.0)
    output = step(ENGINE, data)

    expected = -np.log(sigmoid(real_logits)).mean() - np.log(1 - sigmoid(fake_logits)).mean()
    assert output["discriminator_bce"] == pytest.approx(expected, rel=1e-5)
    slope = (-(1 - sigmoid(real_logits))[:, None] * views[0] + sigmoid(fake_logits)[:, None] * views[1]).sum((0, 2, 3))
    moved = direction - slope / lesion.size
    np.testing.assert_allclose(step.discriminator.direction.detach(), moved, rtol=1e-5)

    fake_logits = np.einsum("bcxy,c->bxy", views[1], moved)  # the generator hears the updated discriminator
    assert output["generator_bce"] == pytest.approx(-np.log(sigmoid(fake_logits)).mean(), rel=1e-5)
    assert output["l1"] == pytest.approx(np.abs(real - 0.5 * lesion).mean(), rel=1e-5)
    assert output["loss"] == pytest.approx(output["generator_bce"] + 10 * output["l1"], rel=1e-5)
    pull = -(1 - sigmoid(fake_logits))[:, None] * moved[2] + 10 * np.sign(0.5 * lesion - real)
    assert step.generator.weight.item() == pytest.approx(0.5 - (pull * lesion).sum() / lesion.size, rel=1e-4)


def test_the_generator_runs_once_and_the_discriminator_gets_no_gradient_from_its_update():
    step = make_step([0.3, 0.3, 0.3])
    found = []
    plain = step.generator_optimizer.step
    step.generator_optimizer.step = lambda: (found.append(step.discriminator.direction.grad.clone()), plain())
    step(ENGINE, batch())
    assert step.generator.calls == 1
    assert torch.equal(step.discriminator.direction.grad, found[0])
    assert step.discriminator.direction.requires_grad


def test_the_real_networks_learn_a_fixed_batch_in_bfloat16_too():
    maker = torch.Generator().manual_seed(1)
    label = torch.randint(0, 3, (1, 1, 32, 32), generator=maker)
    data = {"image": label / 2 - 0.5, "label": label}
    for precision in (torch.float32, torch.bfloat16):
        torch.manual_seed(0)
        networks = Pix2PixGenerator(3, 1, image_size=32, width=8), Pix2PixDiscriminator(4, width=8)
        optimizers = [torch.optim.Adam(n.parameters(), lr=2e-3, betas=(0.5, 0.999)) for n in networks]
        step = LcGANStep(*networks, *optimizers, mask_channels=3, precision=precision)
        losses = [step(ENGINE, data)["l1"] for _ in range(25)]
        assert losses[-1] < 0.6 * losses[0]


def test_masks_and_images_are_augmented_together_for_both_players(monkeypatch):
    """Of an image that is its lesion mask, both stay equal where colours stay."""
    monkeypatch.setattr(differentiable, "GAIN_DEVIATION", 0)
    monkeypatch.setattr(differentiable, "OFFSET_DEVIATION", 0)
    data, seen = batch(), []
    data["image"] = data["label"].float()
    step = make_step([0.3, -0.2, 0.7])
    step.augmentation.probability = 0.75
    step.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    torch.manual_seed(1)
    step(ENGINE, data)
    judged, by_generator = seen
    assert not torch.equal(judged[:2, 1], data["label"][:, 0].float())
    assert torch.equal(judged[:2, 1], judged[:2, 2])
    assert torch.equal(judged[2:, :2], judged[:2, :2])  # the same masks beside real and generated images
    assert torch.equal(judged[2:], by_generator)
    assert torch.equal(judged[2:, 2], 0.5 * judged[2:, 1])


def test_slices_are_made_anew_under_their_masks_from_seeds():
    torch.manual_seed(0)
    generator = Pix2PixGenerator(2, 1, image_size=32, width=2).eval()
    label = torch.randint(0, 2, (2, 1, 32, 32))
    data = {"image": torch.rand(2, 1, 32, 32), "label": label}
    real, made = make_step([0.0, 0.0, 0.0]).remake(generator, data, [3, 5], torch.device("cpu"))
    assert torch.equal(real, data["image"])
    assert torch.equal(made, NoisyMaskToImageInferer(2)(label, generator, torch.tensor([3, 5])))
