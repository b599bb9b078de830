from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.losses.wgan_gp import gradient_penalty
from scripts.transforms import differentiable
from scripts.transforms.differentiable import draw_augmentation

SIZE, P, DRAWS = 8, 0.75, 20_000
ALL, NONE = slice(None), slice(0)


def views(count: int = DRAWS, channels: int = 1, size: int = SIZE) -> torch.Tensor:
    torch.manual_seed(0)
    return torch.rand(count, channels, size, size)


def test_nothing_changes_at_probability_0():
    view = views(8, 2)
    assert torch.equal(draw_augmentation(view, ALL, 0.0)(view), view)


def test_the_symmetries_form_a_mixture_whose_operator_has_eigenvalues_1_and_1_minus_p(monkeypatch):
    """Of the uniform distribution over a group the operator is a projection: 1 - p of the identity, p of it."""
    monkeypatch.setattr(differentiable, "LONGEST_SHIFT", 0)
    source = draw_augmentation(views(), NONE, P).source.view(-1, SIZE, SIZE)
    image = torch.arange(SIZE**2).view(SIZE, SIZE)
    group = [torch.rot90(image, k) for k in range(4)]
    group += [element.T for element in group]
    shares = [(source == element).all(dim=(1, 2)).float().mean().item() for element in group]
    assert shares == pytest.approx([1 - P + P / 8, *[P / 8] * 7], abs=0.015)


def test_the_shifts_operator_is_that_of_a_cosine_transform_without_zero(monkeypatch):
    monkeypatch.setattr(differentiable, "SYMMETRIES", 1)
    rows = draw_augmentation(views(), NONE, P).source.view(-1, SIZE, SIZE)[:, :, 0] // SIZE  # of output lines
    operator = torch.nn.functional.one_hot(rows, SIZE).double().mean(dim=0).numpy()  # (S, S)
    frequency, place = np.arange(SIZE)[:, None], np.arange(SIZE)
    eigenvalues = 1 - P + P * (1 + 2 * np.cos(np.pi * frequency[:, 0] / SIZE)) / 3  # shifts by -1, 0, 1
    basis = np.cos(np.pi * frequency * (place + 0.5) / SIZE)
    np.testing.assert_allclose(basis @ operator.T, eigenvalues[:, None] * basis, atol=0.03)


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
def test_no_shift_leaks_up_to_the_highest_probability(size):
    longest = round(size * differentiable.LONGEST_SHIFT)
    angles = np.pi * np.arange(size)[:, None] * np.arange(-longest, longest + 1) / size
    kernel = np.cos(angles).mean(axis=1)
    assert (1 - P + P * np.outer(kernel, kernel)).min() > 0


def test_the_hole_leaves_every_pixel_its_share():
    seen = draw_augmentation(views(), NONE, P).seen.double().mean(dim=(0, 1))
    covered = np.array([sum(0 <= line - centre + 2 < 4 for centre in range(SIZE)) for line in range(SIZE)]) / SIZE
    np.testing.assert_allclose(seen, 1 - P * np.outer(covered, covered), atol=0.02)


def test_colour_is_of_the_image_channels_alone():
    drawn = draw_augmentation(views(channels=3), slice(1, 2), P)
    logarithm, offset = (values[:, :, 0, 0] for values in (drawn.gain.log2(), drawn.offset))
    for values, deviation in ((logarithm, 0.5), (offset, 0.2)):
        assert values[:, [0, 2]].abs().max() == 0
        assert values[:, 1].mean().item() == pytest.approx(0, abs=0.02 * deviation * 2)
        assert values[:, 1].square().mean().item() == pytest.approx(P * deviation**2, rel=0.05)
        assert (values[:, 1] == 0).float().mean().item() == pytest.approx(1 - P, abs=0.02)


def test_image_and_condition_move_together_and_stay_whole():
    """A one-hot mask stays one-hot, or is empty in the hole; its channels lie where the image shows them."""
    mask = torch.nn.functional.one_hot(torch.randint(3, (50, SIZE, SIZE)), 3).movedim(3, 1).float()
    image = (mask * torch.tensor([1.0, 2, 3])[:, None, None]).sum(dim=1, keepdim=True)
    moved = draw_augmentation(torch.cat([mask, image], dim=1), NONE, P)(torch.cat([mask, image], dim=1))
    assert set(moved[:, :3].unique().tolist()) == {0.0, 1.0}
    assert set(moved[:, :3].sum(dim=1).unique().tolist()) == {0.0, 1.0}
    assert torch.equal((moved[:, :3] * torch.tensor([1.0, 2, 3])[:, None, None]).sum(dim=1), moved[:, 3])
    assert not torch.equal(moved[:, 3:], image)


def test_gradients_pass_twice():
    view = views(3, 2).double().requires_grad_()
    augment = draw_augmentation(view, ALL, P)
    assert torch.autograd.gradcheck(lambda v: augment(v) ** 3, view)
    assert torch.autograd.gradgradcheck(lambda v: augment(v) ** 3, view)


def test_the_second_derivative_of_the_penalty_survives(monkeypatch):
    """Of D(x) = <w, a(x)>, where a permutes pixels and has gain g: |grad| = g |w|, whose penalty has a closed form."""
    monkeypatch.setattr(differentiable, "LONGEST_SHIFT", 0)
    monkeypatch.setattr(differentiable, "HOLE", 0)
    view, weights = views(16), torch.nn.Parameter(torch.rand(1, SIZE, SIZE))
    augment = draw_augmentation(view, ALL, P)
    penalty = gradient_penalty(lambda x: (weights * augment(x)).sum(dim=(1, 2, 3)), view, view, mixing=torch.ones(1))
    penalty.backward()
    gain, norm = augment.gain.flatten(), weights.detach().norm()
    assert penalty.item() == pytest.approx((gain * norm - 1).square().mean().item(), rel=1e-4)
    expected = (2 * (gain * norm - 1) * gain).mean() * weights.detach() / norm
    torch.testing.assert_close(weights.grad, expected)
