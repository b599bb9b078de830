from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scripts.engines.redgan import RedGANStep
from scripts.networks.multiscale_discriminator import MultiScaleDiscriminator
from scripts.networks.resnet_unet import ResNetUNet
from scripts.networks.spade import SPADEGenerator
from scripts.transforms import differentiable

ENGINE = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu")))


class LinearGenerator(nn.Module):
    """image = weight * lesion mask + bias[class]"""

    def __init__(self, weight: float = 0.5) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.bias = nn.Parameter(torch.tensor([0.1, 0.2]))

    def forward(self, mask: torch.Tensor, class_index: torch.Tensor | None = None) -> torch.Tensor:
        bias = self.bias[class_index][:, None, None, None] if class_index is not None else 0
        return self.weight * mask[:, 1:2] + bias


class LinearDiscriminator(nn.Module):
    """One scale: a feature 2 * view, and the logit sum(view * direction) over channels."""

    def __init__(self, direction: list[float]) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.tensor(direction))
        self.classes: list[Any] = []

    def forward(self, view: torch.Tensor, class_index: torch.Tensor | None = None) -> list[list[torch.Tensor]]:
        self.classes.append(class_index)
        return [[2 * view, (view * self.direction[:, None, None]).sum(1, keepdim=True)]]


class Square(nn.Module):
    """A segmenter: maps = gain * image^2"""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(3.0))
        self.seen: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.seen.append(image.detach().clone())
        return self.gain * image**2


def batch() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.rand(2, 1, 4, 4, generator=generator) * 2 - 1,
        "label": torch.randint(0, 2, (2, 1, 4, 4), generator=generator),
        "class_index": torch.tensor([0, 1]),
    }


def make_step(direction: list[float], *, generator: nn.Module | None = None, **options) -> RedGANStep:
    generator, discriminator = generator or LinearGenerator(), LinearDiscriminator(direction)
    optimizers = [torch.optim.SGD(network.parameters(), lr=1.0) for network in (generator, discriminator)]
    return RedGANStep(generator, discriminator, *optimizers, **{"mask_channels": 2, **options})


def views(data: dict[str, torch.Tensor], weight: float = 0.5) -> tuple[np.ndarray, np.ndarray]:
    """By NumPy: real and fake view (B, mask 2 + image 1 + maps 1, S, S)."""
    lesion = data["label"].numpy().astype(float)
    fake = weight * lesion + np.array([0.1, 0.2])[:, None, None, None]
    mask = np.concatenate([1 - lesion, lesion], axis=1)
    real = data["image"].numpy()
    return tuple(np.concatenate([mask, image, 3 * image**2], axis=1) for image in (real, fake))


def test_losses_by_hand():
    data, direction = batch(), np.array([0.3, -0.2, 0.7, 0.4])
    real, fake = views(data)
    real_logits, fake_logits = (np.einsum("bcxy,c->bxy", view, direction) for view in (real, fake))
    expected = {
        "generator_hinge": -fake_logits.mean(),
        "feature_matching": np.abs(2 * (real - fake)).mean(),
        "discriminator_hinge": np.maximum(0, 1 - real_logits).mean() + np.maximum(0, 1 + fake_logits).mean(),
    }
    expected["loss"] = expected["generator_hinge"] + 5 * expected["feature_matching"]
    output = make_step(direction.tolist(), segmenter=Square(), feature_matching_weight=5.0)(ENGINE, data)
    assert output == pytest.approx(expected, rel=1e-5)


def test_updates_by_hand():
    """One SGD step of length 1 moves each weight by its gradient."""
    data, direction = batch(), np.array([0.3, -0.2, 0.7, 0.4])
    real, fake = views(data)
    step = make_step(direction.tolist(), segmenter=Square(), feature_matching_weight=0.0)
    step(ENGINE, data)

    lesion, image = data["label"].numpy().astype(float), fake[:, 2:3]
    slope = -(0.7 + 0.4 * 3 * 2 * image) / lesion.size  # of the generator's hinge in each pixel of its image
    assert step.generator.weight.item() == pytest.approx(0.5 - (slope * lesion).sum(), rel=1e-5)
    np.testing.assert_allclose(
        step.generator.bias.detach(), np.array([0.1, 0.2]) - slope.sum(axis=(1, 2, 3)), rtol=1e-5
    )

    real_logits, fake_logits = (np.einsum("bcxy,c->bxy", view, direction) for view in (real, fake))
    raised = -np.where(real_logits < 1, 1, 0)[:, None] * real + np.where(fake_logits > -1, 1, 0)[:, None] * fake
    np.testing.assert_allclose(
        step.discriminator.direction.detach(), direction - raised.sum(axis=(0, 2, 3)) / lesion.size, rtol=1e-5
    )


@pytest.mark.parametrize("weight", [0.0, 10.0])
def test_feature_matching_alone_drives_the_generator_by_its_weight(weight):
    data = batch()
    step = make_step([0.0, 0.0, 0.0], feature_matching_weight=weight)
    real, fake = (view[:, :3] for view in views(data))
    slope = (2 * np.sign(fake - real)[:, 2:3] * data["label"].numpy()).sum() / fake.size
    step(ENGINE, data)
    assert step.generator.weight.item() == pytest.approx(0.5 - weight * slope, rel=1e-5)


@pytest.mark.parametrize(("clamp", "weight", "moves"), [(False, 0.5, True), (False, 5.0, True), (True, 5.0, False)])
def test_gradient_through_the_frozen_segmenter(clamp, weight, moves):
    """The discriminator looks at the segmenter's maps alone; beyond [-1, 1] the clamp stops all of it."""
    generator = LinearGenerator(weight)
    generator.bias.data += weight - 0.5  # all of the image is out of range where the lesion is
    segmenter = Square()
    step = make_step(
        [0.0, 0.0, 0.0, 1.0],
        generator=generator,
        segmenter=segmenter,
        feature_matching_weight=0.0,
        clamp_segmenter_input=clamp,
    )
    step(ENGINE, batch())
    assert (generator.weight.item() != weight) is moves
    assert segmenter.gain.item() == 3.0
    assert segmenter.gain.grad is None
    assert not segmenter.training


def test_the_clamp_bounds_what_the_segmenter_sees_and_nothing_else():
    data = {**batch(), "image": 3 * torch.ones(2, 1, 4, 4)}
    segmenter = Square()
    step = make_step([0.0, 0.0, 0.0, 0.0], segmenter=segmenter, clamp_segmenter_input=True)
    output = step(ENGINE, data)
    assert segmenter.seen[0].unique().tolist() == [1.0]
    fake = views(data)[1][:, 2:3]  # within the range
    assert output["feature_matching"] == pytest.approx(2 * (np.abs(3 - fake) + np.abs(3 - 3 * fake**2)).mean() / 4)


def test_each_network_runs_as_often_as_promised():
    segmenter = Square()
    step = make_step([0.1, 0.1, 0.1, 0.1], segmenter=segmenter)
    calls = []
    step.generator.register_forward_hook(lambda *_: calls.append("generator"))
    step(ENGINE, batch())
    assert calls == ["generator"]
    assert len(segmenter.seen) == 2
    assert len(step.discriminator.classes) == 2  # once for each of the two updates, fake and real together
    assert [c.tolist() for c in step.discriminator.classes] == [[0, 1, 0, 1]] * 2


def test_the_discriminator_gets_no_gradient_while_the_generator_learns():
    step = make_step([0.3, 0.3, 0.3])
    found = []
    plain = step.generator_optimizer.step
    step.generator_optimizer.step = lambda: (found.append(step.discriminator.direction.grad), plain())
    step(ENGINE, batch())
    assert found == [None]
    assert step.discriminator.direction.grad is not None
    assert step.discriminator.direction.requires_grad


def test_the_discriminators_update_leaves_the_generators_gradient_alone():
    step = make_step([0.3, 0.3, 0.3])
    found = []
    plain = step.generator_optimizer.step
    step.generator_optimizer.step = lambda: (found.append(step.generator.weight.grad.clone()), plain())
    step(ENGINE, batch())
    assert torch.equal(step.generator.weight.grad, found[0])


def test_without_class_the_batch_needs_none():
    data = batch()
    del data["class_index"]
    step = make_step([0.1, 0.1, 0.1], use_class=False)
    step(ENGINE, data)
    assert step.discriminator.classes == [None, None]
    assert step.generator.bias.grad is None


def real_networks() -> tuple[nn.Module, nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = SPADEGenerator(
        mask_channels=2, image_channels=1, class_count=2, image_size=32, width=2, embedding_dim=4
    )
    segmenter = ResNetUNet(
        in_channels=1, out_channels=1, encoder_widths=[8, 8, 16, 16], decoder_widths=[16, 8, 8, 8, 8]
    )
    return generator, MultiScaleDiscriminator(4, width=4), segmenter


def run_real(precision: torch.dtype, steps: int = 1) -> dict[str, Any]:
    generator, discriminator, segmenter = real_networks()
    optimizers = [torch.optim.Adam(n.parameters(), lr=1e-3, betas=(0.0, 0.9)) for n in (generator, discriminator)]
    step = RedGANStep(generator, discriminator, *optimizers, mask_channels=2, segmenter=segmenter, precision=precision)
    maker = torch.Generator().manual_seed(1)
    data = {
        "image": torch.rand(2, 1, 32, 32, generator=maker) * 2 - 1,
        "label": torch.randint(0, 2, (2, 1, 32, 32), generator=maker),
        "class_index": torch.tensor([1, 0]),
    }
    for _ in range(steps):
        output = step(ENGINE, data)
    return output


def test_bfloat16_runs_on_a_cpu_and_agrees_with_float32():
    assert run_real(torch.bfloat16) == pytest.approx(run_real(torch.float32), rel=0.03, abs=0.01)


def test_the_discriminator_learns_to_tell_a_fixed_batch():
    assert run_real(torch.float32, steps=15)["discriminator_hinge"] < run_real(torch.float32)["discriminator_hinge"]


def test_mask_image_and_maps_are_augmented_together_and_pairs_alike(monkeypatch):
    """Where colours stay, maps of 3 image^2 stay those of the image, and a pair has one mask."""
    monkeypatch.setattr(differentiable, "GAIN_DEVIATION", 0)
    monkeypatch.setattr(differentiable, "OFFSET_DEVIATION", 0)
    step, seen = make_step([0.3, -0.2, 0.7, 0.4], segmenter=Square()), []
    step.augmentation.probability = 0.75
    step.discriminator.register_forward_pre_hook(lambda _, given: seen.append(given[0].detach()))
    torch.manual_seed(1)
    step(ENGINE, batch())
    for fake, real in (view.chunk(2) for view in seen):
        assert not torch.equal(real[:, 2:3], batch()["image"])
        assert torch.equal(fake[:, :2], real[:, :2])
        for view in (fake, real):
            torch.testing.assert_close(view[:, 3], 3 * view[:, 2] ** 2)
    assert torch.equal(seen[0], seen[1])


def test_slices_are_made_anew_under_mask_and_class():
    step = make_step([0.0, 0.0, 0.0], generator=LinearGenerator(1.0))
    real, made = step.remake(step.generator, batch(), [0, 0], torch.device("cpu"))
    assert torch.equal(real, batch()["image"])
    np.testing.assert_allclose(made.detach(), views(batch(), 1.0)[1][:, 2:3].clip(-1, 1), rtol=1e-6)
