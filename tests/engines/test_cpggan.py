from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scripts.data.boxes import draw_boxes
from scripts.data.growth import GrowthSchedule
from scripts.engines.adaptive_augmentation import AdaptiveAugmentation
from scripts.engines.cpggan import CPGGANStep, spread_conditions
from scripts.inferers.noise import BoxesToImageInferer
from scripts.networks.pggan import PGGANDiscriminator, PGGANGenerator
from scripts.transforms import differentiable

SCHEDULE = GrowthSchedule(image_size=8, images_per_phase=4, total_images=None, batch_sizes={4: 2, 8: 2})
BOXES = torch.tensor([[[1.0, 2, 4, 5], [0, 0, 0, 0]], [[0.0, 0, 8, 1], [6, 6, 8, 8]]])
CLASSES = torch.tensor([[0, -1], [1, 0]])


def make_step() -> CPGGANStep:
    torch.manual_seed(0)
    sizes = {"image_size": 8, "feature_base": 32, "feature_max": 4, "condition_channels": 2}
    networks = PGGANGenerator(1, latent_dim=3, **sizes), PGGANDiscriminator(1, **sizes)
    optimizers = [torch.optim.Adam(network.parameters(), lr=0.01) for network in networks]
    return CPGGANStep(*networks, *optimizers, schedule=SCHEDULE, latent_dim=3, class_count=2)


def test_the_condition_is_the_image_of_the_boxes():
    batch = {"image": torch.zeros(2, 1, 8, 8), "boxes": BOXES, "box_classes": CLASSES}
    image, condition = make_step().read(batch, torch.device("cpu"))
    expected = torch.zeros(2, 2, 8, 8)
    expected[0, 0, 1:4, 2:5] = expected[1, 1, :, :1] = expected[1, 0, 6:, 6:] = 1
    assert torch.equal(condition, expected)
    assert torch.equal(image, batch["image"])


def test_both_networks_learn_at_every_resolution():
    step = make_step()
    batch = {"image": torch.rand(2, 1, 8, 8), "boxes": BOXES, "box_classes": CLASSES}
    for iteration in (1, 3, 5):  # 4 px, fading 8 px, 8 px
        before = [parameter.clone() for parameter in step.generator.parameters()]
        state = SimpleNamespace(device=torch.device("cpu"), iteration=iteration)
        output = step(SimpleNamespace(state=state), batch)
        assert np.isfinite(output["loss"])
        after = step.generator.parameters()
        assert any(not torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_conditions_spread_over_a_data_set():
    boxes = [np.array([[n, 0, n + 1, 2]], dtype=np.float32) for n in range(5)]

    class Slices:
        class_count = 1

        def __len__(self) -> int:
            return 5

        def boxes_of(self, n: int) -> tuple[np.ndarray, np.ndarray]:
            return boxes[n], np.array([0])

        def image_of(self, n: int) -> np.ndarray:
            return np.zeros((1, 8, 8))

    drawn = spread_conditions(Slices(), 3)
    assert drawn.shape == (3, 1, 8, 8)
    assert [int(each[0].nonzero()[0, 0]) for each in drawn] == [0, 2, 4]


class Blank(nn.Module):
    """A generator of images of one learnt value, 0 at first."""

    def __init__(self) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(()))

    def forward(self, z: torch.Tensor, *, resolution: int, alpha: float, condition: torch.Tensor) -> torch.Tensor:
        return self.value.expand(len(z), 1, resolution, resolution)


class Critic(nn.Module):
    """score = image * mean of the image + boxes * mean of the boxes + both * mean of their product"""

    def __init__(self, *, image: float = 0.0, boxes: float = 0.0, both: float = 0.0) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.tensor([image, boxes, both]))
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor, *, resolution: int, alpha: float, condition: torch.Tensor) -> torch.Tensor:
        self.seen.append(condition.detach())
        parts = (images, condition, images * condition)
        return (torch.stack([part.mean(dim=(1, 2, 3)) for part in parts], dim=1) @ self.weights)[:, None]  # (B, 1)


def judge(critic: Critic, mismatch_weight: float, *, penalised: bool = False, **options: Any) -> dict[str, Any]:
    """One iteration on three slices that are 1 in a box of 4, 8 or 16 pixels, 0 elsewhere; no box overlaps another."""
    boxes = torch.tensor([[[0.0, 0, 2, 2]], [[4, 0, 6, 4]], [[0, 4, 4, 8]]])
    classes = torch.zeros(3, 1, dtype=torch.int64)
    image = draw_boxes(boxes, classes, 8)
    generator = Blank()
    step = CPGGANStep(
        generator,
        critic,
        *(torch.optim.SGD(network.parameters(), lr=1.0) for network in (generator, critic)),
        schedule=GrowthSchedule(image_size=8, batch_sizes={8: 3}, first_resolution=8),
        gradient_penalty_weight=1.0 if penalised else 0.0,
        drift_weight=0.0,
        mismatch_weight=mismatch_weight,
        class_count=1,
        **options,
    )
    batch = {"image": image, "boxes": boxes, "box_classes": classes}
    return step(SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu"), iteration=1)), batch)


AREA = (4 + 8 + 16) / 3 / 64  # mean share of the boxes


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5])
def test_a_discriminator_that_ignores_boxes_gains_nothing_from_mismatches(weight: float):
    """Its mismatched scores are its real ones: of the distance between real and generated, 1 - weight is left."""
    output = judge(Critic(image=1.0), weight)
    assert output["discriminator_wasserstein"] == pytest.approx(-(1 - weight) * AREA)


@pytest.mark.parametrize("weight", [0.0, 0.25, 0.5])
def test_a_discriminator_that_knows_boxes_learns_from_mismatches(weight: float):
    """Lesions fill their own boxes, of area a, and none of their neighbour's; generated ones are 0 everywhere."""
    critic = Critic(both=1.0)
    output = judge(critic, weight)
    assert output["discriminator_wasserstein"] == pytest.approx(-AREA)
    gradient = [-(1 - weight) * AREA, 0.0, -AREA]  # image alone: of fake - real; boxes: same on both sides
    torch.testing.assert_close(critic.weights.detach(), torch.tensor([0.0, 0.0, 1.0]) - torch.tensor(gradient))


def test_every_image_gets_the_boxes_of_another_and_only_if_asked():
    critic = Critic(both=1.0)
    judge(critic, 0.0)
    own, *others = critic.seen
    assert len(others) == 3  # generated, between both, generated for the generator
    assert all(torch.equal(each, own) for each in others)
    critic.seen.clear()
    judge(critic, 0.5)
    assert len(critic.seen) == 5
    swapped = critic.seen[2]
    assert sorted(swapped.sum(dim=(1, 2, 3)).tolist()) == [4, 8, 16]
    assert not any(torch.equal(new, old) for new, old in zip(swapped, own, strict=True))
    assert all(torch.equal(critic.seen[n], own) for n in (0, 1, 4))


@pytest.mark.parametrize(("weight", "slopes"), [(0.0, [3.0]), (0.5, [3.0, 4.0])])
def test_the_gradient_penalty_counts_boxes_only_with_mismatches(weight: float, slopes: list[float]):
    """The score is linear, with the slopes 3 / 64 and 4 / 64 at each of 64 pixels: the norm is a closed form."""
    norm = np.linalg.norm(slopes) / 8
    critic = Critic(image=3.0, boxes=4.0)
    assert judge(critic, weight, penalised=True)["gradient_penalty"] == pytest.approx((norm - 1) ** 2)


def test_the_penalty_of_pairs_reaches_the_discriminator():
    plain, penalised = Critic(boxes=4.0), Critic(boxes=4.0)
    judge(plain, 0.5)
    judge(penalised, 0.5, penalised=True)
    moved = (penalised.weights - plain.weights)[1].item()
    assert moved == pytest.approx((1 - 4 / 8) / 4)  # -d/db (b / 8 - 1)^2 at b = 4


def test_the_networks_learn_with_mismatches():
    step = make_step()
    step.mismatch_weight = 0.5
    batch = {"image": torch.rand(2, 1, 8, 8), "boxes": BOXES, "box_classes": CLASSES}
    for iteration in (1, 3, 5):
        output = step(SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu"), iteration=iteration)), batch)
        assert np.isfinite(output["loss"])
        assert all(p.grad is None or p.grad.isfinite().all() for p in step.discriminator.parameters())


@pytest.mark.parametrize("weight", [-0.1, 1.0])
def test_a_mismatch_weight_out_of_range_is_refused(weight: float):
    with pytest.raises(ValueError, match=rf"mismatch_weight is {weight}, expected a number from 0 to below 1"):
        judge(Critic(), weight)


def test_mismatches_need_two_images():
    networks = Blank(), Critic()
    schedule = GrowthSchedule(image_size=4, batch_sizes={4: 1})
    optimizers = [torch.optim.SGD(network.parameters()) for network in networks]
    with pytest.raises(ValueError, match=r"mismatch_weight is 0\.5 and a minibatch has 1 image: expected 2 or more"):
        CPGGANStep(*networks, *optimizers, schedule=schedule, class_count=1, mismatch_weight=0.5)


class WatchingCritic(Critic):
    """A critic that keeps its images, too."""

    def forward(self, images: torch.Tensor, **options: Any) -> torch.Tensor:
        self.images = [*getattr(self, "images", []), images]
        return super().forward(images, **options)


@pytest.mark.parametrize("weight", [0.0, 0.5])
def test_images_and_boxes_are_augmented_together_and_reach_the_generator(monkeypatch, weight):
    """Where colours stay, an image of boxes stays the image of its boxes; wrong pairs move like the right ones."""
    monkeypatch.setattr(differentiable, "GAIN_DEVIATION", 0)
    monkeypatch.setattr(differentiable, "OFFSET_DEVIATION", 0)
    augmentation = AdaptiveAugmentation(0.6, training_images=3)
    augmentation.probability = 0.75
    torch.manual_seed(1)
    critic = WatchingCritic(image=1.0, both=1.0)
    output = judge(critic, weight, augmentation=augmentation)
    boxes = draw_boxes(torch.tensor([[[0.0, 0, 2, 2]], [[4, 0, 6, 4]], [[0, 4, 4, 8]]]), torch.zeros(3, 1).long(), 8)
    assert not torch.equal(critic.images[0], boxes)
    assert torch.equal(critic.images[0], critic.seen[0])
    assert torch.equal(critic.images[1], critic.images[-1].detach())  # the discriminator's fakes are the generator's
    assert critic.images[-1].requires_grad
    if weight:
        assert torch.equal(critic.images[2], critic.images[0])
        assert not torch.equal(critic.seen[2], critic.seen[0])
    assert output["augmentation_probability"] == augmentation.probability != 0.75


def test_slices_are_made_anew_under_their_boxes_from_seeds():
    step = make_step()
    batch = {"image": torch.rand(2, 1, 8, 8), "boxes": BOXES, "box_classes": CLASSES}
    real, made = step.remake(step.generator, batch, [3, 5], torch.device("cpu"))
    inferer = BoxesToImageInferer(3, 8, 2)
    assert torch.equal(real, batch["image"])
    assert torch.equal(made, inferer(torch.tensor([3, 5]), step.generator, BOXES, CLASSES))
