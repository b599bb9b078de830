from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from scripts.engines.detection import DetectionEvaluation, DetectionStep, build_optimizer
from scripts.inferers.detection import DetectionInferer
from scripts.losses.yolo import YOLOLoss
from scripts.networks.yolo import YOLOv3

ENGINE = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu")))


def make_batch() -> dict:
    """A bright square in each of two slices, and a slice without."""
    image = torch.full((3, 1, 64, 64), -1.0)
    image[0, :, 8:24, 16:40] = 1
    image[1, :, 30:60, 4:20] = 1
    boxes = torch.tensor([[[8.0, 16, 24, 40]], [[30.0, 4, 60, 20]], [[0.0, 0, 0, 0]]])
    named = {"patient": ["p0", "p1", "p2"], "source": ["a", "b", "c"]}
    return {"image": image, "boxes": boxes, "box_classes": torch.tensor([[0], [0], [-1]]), **named}


def test_a_detector_learns_its_batch_and_finds_the_boxes_again():
    torch.manual_seed(0)
    anchors = [[8, 8], [10, 16], [16, 12], [16, 16], [16, 24], [30, 16], [32, 32], [40, 40], [60, 60]]
    anchors = sorted(anchors, key=lambda size: size[0] * size[1])
    network = YOLOv3(1, 1, anchors=anchors, width_multiplier=0.125, objectness_prior=0.01, norm_momentum=0.1)
    loss = YOLOLoss(network.anchors, box_error="darknet")
    step = DetectionStep(network, torch.optim.Adam(network.parameters(), lr=3e-3), loss.parts)
    outputs = [step(ENGINE, make_batch()) for _ in range(60)]
    assert outputs[-1]["loss"] < 0.2 * outputs[0]["loss"]
    assert outputs[0]["loss"] == sum(outputs[0][name] for name in ("box_loss", "objectness_loss", "class_loss"))
    found = DetectionEvaluation(network, DetectionInferer(score_threshold=0.2))(ENGINE, make_batch())
    assert not network.training
    assert [entry["source"] for entry in ENGINE.state.batch] == ["a", "b", "c"]
    for entry in found[:2]:
        torch.testing.assert_close(entry["pred_boxes"][0], entry["boxes"][0], atol=6.0, rtol=0)
    assert len(found[2]["pred_boxes"]) == 0


def test_momentum_makes_it_gradient_descent_and_weights_alone_decay():
    network = nn.Conv2d(1, 1, 1)
    nn.init.constant_(network.weight, 2.0)
    nn.init.constant_(network.bias, 2.0)
    optimizer = build_optimizer(network, learning_rate=0.1, momentum=0.5, weight_decay=0.25)
    for _ in range(2):
        optimizer.zero_grad()
        (3 * network.weight.sum() + 3 * network.bias.sum()).backward()
        optimizer.step()
    # the bias: 2 - .1 * 3 - .1 * (.5 * 3 + 3); the weight's gradients are 3.5 and 3 + .25 * 1.65
    assert network.bias.item() == pytest.approx(1.25)
    assert network.weight.item() == pytest.approx(1.65 - 0.1 * (0.5 * 3.5 + 3.4125))
    assert isinstance(build_optimizer(network, learning_rate=0.1), torch.optim.Adam)


def test_gradients_are_left_as_they_are_without_a_norm():
    """Plain gradient descent on a sum: each weight moves by the rate times its input, scaled down or not."""
    moved = []
    for norm in (1.0, None):
        network = nn.Conv2d(1, 1, 1, bias=False)
        before = network.weight.item()

        def loss(maps, boxes, classes):
            return 10 * maps.sum(), torch.zeros(()), torch.zeros(())

        step = DetectionStep(network, torch.optim.SGD(network.parameters(), lr=1.0), loss, gradient_norm=norm)
        step(ENGINE, {"image": torch.full((1, 1, 2, 2), 0.5), "boxes": None, "box_classes": None})
        moved.append(before - network.weight.item())
    assert moved == pytest.approx([1.0, 20.0], rel=1e-4)
