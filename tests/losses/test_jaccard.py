from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import jaccard_score, log_loss

from scripts.losses.jaccard import SigmoidJaccardBCELoss


def test_uninformed_prediction_in_closed_form() -> None:
    label = torch.zeros(1, 1, 4, 4)
    label[..., :2, :] = 1  # 8 of 16 pixels; p = 0.5 everywhere: overlap 4, union 8 + 8 - 4
    loss = SigmoidJaccardBCELoss()(torch.zeros(1, 1, 4, 4), label)
    assert loss.item() == pytest.approx(math.log(2) + 1 - 4 / 12, rel=1e-6)


def test_certain_predictions_agree_with_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    label, guess = rng.integers(0, 4, (2, 2, 1, 8, 8))
    target = np.concatenate([label == k for k in (1, 2, 3)], axis=1)
    predicted = np.concatenate([guess == k for k in (1, 2, 3)], axis=1)
    logits = torch.from_numpy(np.where(predicted, 30.0, -30.0))
    expected = 1 - jaccard_score(target.ravel(), predicted.ravel())
    expected += log_loss(target.ravel(), torch.sigmoid(logits).numpy().ravel())
    assert SigmoidJaccardBCELoss()(logits, torch.from_numpy(label)).item() == pytest.approx(expected, rel=1e-3)


def test_perfect_prediction_costs_nothing() -> None:
    label = torch.tensor([[[[0, 1, 2, 2]]]])
    logits = torch.tensor([[[[-50.0, 50, -50, -50]], [[-50.0, -50, 50, 50]]]])
    assert SigmoidJaccardBCELoss()(logits, label).item() == pytest.approx(0.0, abs=1e-6)


def test_empty_label_gives_finite_loss_and_gradient_towards_background() -> None:
    logits = torch.zeros(1, 2, 4, 4, requires_grad=True)
    loss = SigmoidJaccardBCELoss()(logits, torch.zeros(1, 1, 4, 4))
    loss.backward()
    assert math.isfinite(loss.item())
    assert (logits.grad > 0).all()


def test_smooth_makes_an_empty_and_certain_prediction_perfect() -> None:
    loss = SigmoidJaccardBCELoss(smooth=1.0)(torch.full((1, 1, 4, 4), -60.0), torch.zeros(1, 1, 4, 4))
    assert loss.item() == pytest.approx(0.0, abs=1e-6)


def test_the_authors_add_1_above_and_below() -> None:
    label = torch.zeros(1, 1, 4, 4)
    label[..., :2, :] = 1
    loss = SigmoidJaccardBCELoss(smooth=1.0)(torch.zeros(1, 1, 4, 4), label)
    assert loss.item() == pytest.approx(math.log(2) + 1 - (4 + 1) / (12 + 1), rel=1e-6)


def test_one_hot_label_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 4, 4\).*\(1, 1, 4, 4\)"):
        SigmoidJaccardBCELoss()(torch.zeros(1, 3, 4, 4), torch.zeros(1, 3, 4, 4))


def test_per_class_averages_over_the_classes_that_the_label_holds() -> None:
    rng = np.random.default_rng(1)
    label, guess = rng.integers(0, 3, (2, 2, 1, 8, 8))  # of three classes the third is absent
    predicted = np.concatenate([guess == k for k in (1, 2, 3)], axis=1)
    logits = torch.from_numpy(np.where(predicted, 30.0, -30.0))
    pooled, per_class = (SigmoidJaccardBCELoss(p)(logits, torch.from_numpy(label)).item() for p in (False, True))
    means = [jaccard_score((label == k).ravel(), (guess == k).ravel()) for k in (1, 2)]
    target = np.concatenate([label == k for k in (1, 2, 3)], axis=1)
    assert pooled - per_class == pytest.approx(
        np.mean(means) - jaccard_score(target.ravel(), predicted.ravel()), abs=1e-4
    )
