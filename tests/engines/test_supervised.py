from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from scripts.engines.supervised import SupervisedStep
from scripts.losses.jaccard import SigmoidJaccardBCELoss

ENGINE = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu")))


def data() -> dict[str, torch.Tensor]:
    """The lesion is where the image is bright."""
    image = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
    return {"image": image, "label": (image > 0).long()}


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_loss_falls(precision):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 8, 1), nn.ReLU(), nn.Conv2d(8, 1, 1))
    step = SupervisedStep(
        network, torch.optim.Adam(network.parameters(), lr=0.05), SigmoidJaccardBCELoss(), precision=precision
    )
    losses = [step(ENGINE, data())["loss"] for _ in range(40)]
    assert losses[-1] < 0.5 * losses[0]
    assert isinstance(losses[0], float)


def test_one_update_by_hand():
    """Squared error of weight * image: the gradient is 2 mean((weight * x - y) x)."""
    network = nn.Conv2d(1, 1, 1, bias=False)
    weight, batch = network.weight.item(), data()
    step = SupervisedStep(
        network, torch.optim.SGD(network.parameters(), lr=0.1), lambda logits, label: ((logits - label) ** 2).mean()
    )
    for _ in range(2):  # gradients of one step must not add to the next
        x, y = batch["image"].numpy(), batch["label"].numpy()
        expected = np.mean((weight * x - y) ** 2)
        weight -= 0.1 * 2 * np.mean((weight * x - y) * x)
        assert step(ENGINE, batch)["loss"] == pytest.approx(expected, rel=1e-5)
        assert network.weight.item() == pytest.approx(weight, rel=1e-5)


def test_the_network_trains_in_training_mode_even_after_a_validation():
    network = nn.BatchNorm2d(1).eval()
    step = SupervisedStep(network, torch.optim.SGD(network.parameters(), lr=0.1), SigmoidJaccardBCELoss())
    step(ENGINE, data())
    assert network.training
    assert network.num_batches_tracked == 1
