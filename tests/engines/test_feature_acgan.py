from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scripts.engines.feature_acgan import FeatureACGANStep, draw_classes
from scripts.networks.feature_gan import FeatureDiscriminator, FeatureGenerator


def engine_at(iteration: int) -> SimpleNamespace:
    return SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu"), iteration=iteration))


ENGINE = engine_at(1)
SHAPE = (2, 1, 1)


class LinearGenerator(nn.Module):
    """feature = weight * (latent + class)"""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.inputs: list[tuple[torch.Tensor, torch.Tensor]] = []

    def forward(self, latent: torch.Tensor, class_index: torch.Tensor) -> torch.Tensor:
        self.inputs.append((latent, class_index))
        return (self.weight * (latent + class_index[:, None]))[:, :, None, None]


class LinearDiscriminator(nn.Module):
    """source logit = feature . direction, class logits = feature @ planes"""

    def __init__(self) -> None:
        super().__init__()
        self.direction = nn.Parameter(torch.tensor([0.3, -0.2]))
        self.planes = nn.Parameter(torch.tensor([[0.5, -0.4], [0.1, 0.6]]))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.flatten(1)
        return x @ self.direction, x @ self.planes


def batch(count: int = 5) -> dict[str, torch.Tensor]:
    maker = torch.Generator().manual_seed(0)
    return {
        "feature": torch.randn(count, *SHAPE, generator=maker),
        "class": torch.randint(2, (count,), generator=maker),
    }


def make_step(**options: Any) -> FeatureACGANStep:
    networks = LinearGenerator(), LinearDiscriminator()
    optimizers = [torch.optim.SGD(network.parameters(), lr=1.0) for network in networks]
    return FeatureACGANStep(*networks, *optimizers, **{"class_count": 2, "latent_dim": 2, **options})


def softmax(x: np.ndarray) -> np.ndarray:
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("adversarial", ["bce", "wgan_gp"])
def test_losses_and_updates_by_hand(adversarial: str) -> None:
    """One SGD step of length 1 moves each weight by its gradient, which is written out in NumPy."""
    data, weight = batch(), 0.25
    step = make_step(adversarial=adversarial, class_weight=weight, gradient_penalty_weight=3.0)
    direction, planes = (p.detach().numpy().astype(float) for p in step.discriminator.parameters())
    output = step(ENGINE, data)
    latent, asked = (t.numpy().astype(float) for t in step.generator.inputs[0])
    real, fake = data["feature"].numpy()[:, :, 0, 0].astype(float), 0.5 * (latent + asked[:, None])
    one_hot = {"real": np.eye(2)[data["class"].numpy()], "fake": np.eye(2)[asked.astype(int)]}
    count = len(real)

    probabilities = {"real": softmax(real @ planes), "fake": softmax(fake @ planes)}
    classified = -sum(np.log((probabilities[k] * one_hot[k]).sum(1)).mean() for k in probabilities)
    assert output["discriminator_class"] == pytest.approx(classified, rel=1e-5)
    errors = {k: probabilities[k] - one_hot[k] for k in probabilities}
    moved_planes = planes - (real.T @ errors["real"] + fake.T @ errors["fake"]) / count
    length = np.linalg.norm(direction)  # the gradient of a linear score, everywhere
    if adversarial == "bce":
        source = -np.log(sigmoid(real @ direction)).mean() - np.log(1 - sigmoid(fake @ direction)).mean()
        slope = (sigmoid(fake @ direction) @ fake - (1 - sigmoid(real @ direction)) @ real) / count
        penalty = 0.0
    else:
        source = (fake @ direction).mean() - (real @ direction).mean()
        slope = fake.mean(0) - real.mean(0) + 3.0 * 2 * (length - 1) * direction / length
        penalty = (length - 1) ** 2
    moved = direction - slope
    assert output["discriminator_source"] == pytest.approx(source, rel=1e-4)
    assert output["gradient_penalty"] == pytest.approx(penalty, rel=1e-4)
    np.testing.assert_allclose(step.discriminator.direction.detach(), moved, rtol=1e-4)
    np.testing.assert_allclose(step.discriminator.planes.detach(), moved_planes, rtol=1e-4)

    scores, certain = fake @ moved, softmax(fake @ moved_planes)  # the generator hears the updated discriminator
    fooling = -np.log(sigmoid(scores)).mean() if adversarial == "bce" else -scores.mean()
    wrong = -np.log((certain * one_hot["fake"]).sum(1)).mean()
    assert output["generator_source"] == pytest.approx(fooling, rel=1e-4)
    assert output["generator_class"] == pytest.approx(wrong, rel=1e-4)
    assert output["loss"] == pytest.approx(fooling + weight * wrong, rel=1e-4)
    pull = -(1 - sigmoid(scores))[:, None] * moved if adversarial == "bce" else -np.tile(moved, (count, 1))
    pull = pull + weight * (certain - one_hot["fake"]) @ moved_planes.T
    expected = 0.5 - (pull * (latent + asked[:, None])).sum() / count
    assert step.generator.weight.item() == pytest.approx(expected, rel=1e-4)


def test_the_accuracies_are_those_before_the_update() -> None:
    step, data = make_step(), batch(40)
    planes = step.discriminator.planes.detach().clone()
    output = step(ENGINE, data)
    latent, asked = step.generator.inputs[0]
    fake = 0.5 * (latent + asked[:, None])
    for name, features, classes in (("real", data["feature"].flatten(1), data["class"]), ("fake", fake, asked)):
        right = ((features @ planes).argmax(1) == classes).float().mean().item()
        assert output[f"{name}_class_accuracy"] == pytest.approx(right)


@pytest.mark.parametrize("adversarial", ["bce", "wgan_gp"])
def test_the_generator_runs_once_and_its_update_gives_the_discriminator_no_gradient(adversarial: str) -> None:
    step, steps, found = make_step(adversarial=adversarial), [], []
    for name in ("generator", "discriminator"):
        optimizer = getattr(step, f"{name}_optimizer")
        optimizer.register_step_pre_hook(lambda *_, name=name: steps.append(name))
    parameters = list(step.discriminator.parameters())
    step.generator_optimizer.register_step_pre_hook(lambda *_: found.extend(p.grad.clone() for p in parameters))
    step.discriminator_optimizer.register_step_post_hook(lambda *_: found.extend(p.grad.clone() for p in parameters))
    step(ENGINE, batch())
    assert steps == ["discriminator", "generator"]
    assert len(step.generator.inputs) == 1
    assert all(torch.equal(a, b) for a, b in zip(found[:2], found[2:], strict=True))
    assert all(parameter.requires_grad for parameter in parameters)


def test_the_generator_waits_for_the_discriminator_s_updates() -> None:
    step = make_step(discriminator_updates=3)
    weights = []
    for iteration in range(1, 7):
        planes = step.discriminator.planes.detach().clone()
        output = step(engine_at(iteration), batch())
        assert np.isfinite(list(output.values())).all()
        assert not torch.equal(planes, step.discriminator.planes)
        weights.append(step.generator.weight.item())
    assert weights[0] == weights[1] == 0.5
    assert weights[2] == weights[3] == weights[4] != 0.5
    assert weights[5] != weights[4]


def test_asked_classes_are_balanced_however_many() -> None:
    for count, classes in ((16, 2), (17, 3), (2, 5), (1, 1)):
        drawn = [draw_classes(count, classes, torch.Generator().manual_seed(seed)) for seed in range(40)]
        for each in drawn:
            frequency = np.bincount(each.numpy(), minlength=classes)
            assert len(frequency) == classes
            assert frequency.max() - frequency.min() <= 1
        assert set(torch.cat(drawn).tolist()) == set(range(classes))  # no class is always the one that is left out


def test_rare_classes_of_the_batch_are_asked_as_often() -> None:
    step = make_step()
    step(ENGINE, {**batch(10), "class": torch.zeros(10, dtype=torch.long)})
    assert step.generator.inputs[0][1].bincount().tolist() == [5, 5]


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="adversarial is 'hinge'"):
        make_step(adversarial="hinge")
    with pytest.raises(ValueError, match="discriminator_updates is 0"):
        make_step(discriminator_updates=0)
    networks = FeatureGenerator((2, 4, 4), 2, width=4), FeatureDiscriminator((2, 4, 4), 2, width=4)
    optimizers = [torch.optim.SGD(network.parameters(), lr=1.0) for network in networks]
    with pytest.raises(ValueError, match=r"batch norm.*batch_norm=False"):
        FeatureACGANStep(*networks, *optimizers, class_count=2, adversarial="wgan_gp")


def test_batch_norm_sees_real_and_generated_features_in_one_batch() -> None:
    networks = FeatureGenerator(SHAPE, 2, latent_dim=4, width=4), FeatureDiscriminator(SHAPE, 2, width=4, dropout=0.0)
    optimizers = [torch.optim.SGD(network.parameters(), lr=0.0) for network in networks]
    step, seen = FeatureACGANStep(*networks, *optimizers, class_count=2, latent_dim=4), []
    norms = [m for m in networks[1].modules() if isinstance(m, nn.BatchNorm2d)]
    norms[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    step(ENGINE, batch(6))
    assert [len(x) for x in seen] == [12, 12]  # one pass for either update
    torch.testing.assert_close(seen[0], seen[1])


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_real_networks_learn_two_classes(precision: torch.dtype) -> None:
    torch.manual_seed(0)
    means = torch.tensor([[2.0, -1.0], [-2.0, 1.0]])
    networks = FeatureGenerator(SHAPE, 2, latent_dim=4, width=16), FeatureDiscriminator(SHAPE, 2, width=16)
    optimizers = [torch.optim.Adam(network.parameters(), lr=2e-3, betas=(0.5, 0.999)) for network in networks]
    step = FeatureACGANStep(*networks, *optimizers, class_count=2, latent_dim=4, precision=precision)
    for _ in range(150):
        classes = torch.randint(2, (16,))
        features = means[classes] + 0.3 * torch.randn(16, 2)
        step(ENGINE, {"feature": features[:, :, None, None], "class": classes})
    asked = torch.arange(100) % 2
    new = means[asked] + 0.3 * torch.randn(100, 2)
    assert (networks[1].eval()(new[:, :, None, None])[1].argmax(1) == asked).all()
    made = networks[0].eval()(torch.randn(100, 4), asked).detach().flatten(1)
    right = (made @ means[0] > 0) == (asked == 0)  # the side of the line between the means
    assert right.float().mean() > 0.9
