from __future__ import annotations

from types import SimpleNamespace

import torch

from scripts.engines.detection import DetectionEvaluation, DetectionStep
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
