from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from scripts.losses.yolo import YOLOLoss, shape_iou

ANCHORS = torch.tensor([[4, 4], [8, 4], [4, 12], [16, 16], [32, 16], [16, 40], [60, 60], [120, 60], [60, 150]]).float()
NO_BOXES, NO_CLASSES = torch.zeros(1, 0, 4), torch.zeros(1, 0, dtype=torch.int64)


def draw_maps(*, batch: int = 1, classes: int = 2, size: tuple[int, int] = (96, 64), seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    shapes = [(batch, 3, 5 + classes, size[0] // stride, size[1] // stride) for stride in (8, 16, 32)]
    return [torch.randn(shape, generator=generator) for shape in shapes]


def sigmoid(t: float) -> float:
    return 1 / (1 + math.exp(-t))


def cross_entropy(t: float, wanted: float) -> float:
    return -wanted * math.log(sigmoid(t)) - (1 - wanted) * math.log(1 - sigmoid(t))


def compute_by_loops(maps: Any, boxes: Any, classes: Any, box_error: str) -> tuple[float, float, float]:
    """The loss cell by cell in plain Python, in fp64."""
    width, height = maps[0].shape[3] * 8, maps[0].shape[4] * 8
    box_part = objectness_part = class_part = 0.0
    for image in range(len(maps[0])):
        truths = [(b, c) for b, c in zip(boxes[image].tolist(), classes[image].tolist(), strict=True) if c >= 0]
        wanted: dict[tuple[int, ...], int] = {}
        for (x0, y0, x1, y1), index in truths:
            w, h = x1 - x0, y1 - y0
            ious = []
            for a, b in ANCHORS.tolist():
                shared = min(w, a) * min(h, b)
                ious.append(shared / (w * h + a * b - shared))
            best = ious.index(max(ious))
            for n, iou in enumerate(ious):
                stride = 8 * 2 ** (n // 3)
                i, j = int((x0 + x1) / 2 // stride), int((y0 + y1) / 2 // stride)
                if n != best:
                    if iou > 0.5:
                        wanted.setdefault((n // 3, n % 3, i, j), -1)
                    continue
                wanted[n // 3, n % 3, i, j] = 1
                t = maps[n // 3][image, n % 3, :, i, j].tolist()
                at = [(x0 + x1) / 2 / stride - i, (y0 + y1) / 2 / stride - j]
                logs = [math.log(w / ANCHORS[n, 0].item()), math.log(h / ANCHORS[n, 1].item())]
                error = sum((t[2 + k] - logs[k]) ** 2 / 2 for k in range(2))
                if box_error == "squared":
                    box_part += error + sum((sigmoid(t[k]) - at[k]) ** 2 / 2 for k in range(2))
                else:
                    error += sum(cross_entropy(t[k], at[k]) for k in range(2))
                    box_part += error * (2 - w * h / (width * height))
                class_part += sum(cross_entropy(v, float(k == index)) for k, v in enumerate(t[5:]))
        for scale, raw in enumerate(maps):
            for a, i, j in torch.cartesian_prod(*(torch.arange(n) for n in (3, *raw.shape[3:]))).tolist():
                target = wanted.get((scale, a, i, j), 0)
                if target >= 0:
                    objectness_part += cross_entropy(raw[image, a, 4, i, j].item(), target)
    return box_part / len(maps[0]), objectness_part / len(maps[0]), class_part / len(maps[0])


@pytest.mark.parametrize("box_error", ["squared", "darknet"])
def test_agrees_with_loops_over_cells(box_error: Any) -> None:
    maps = draw_maps(batch=3)
    boxes = torch.tensor(
        [
            [[3, 5, 7, 8], [50, 2, 66, 17], [10.5, 1, 70, 61.25]],
            [[80, 40, 95, 63], [0, 0, 0, 0], [81, 41, 94, 62]],  # two in one cell, padding between them
            [[0, 0, 0, 0]] * 3,
        ]
    )
    classes = torch.tensor([[0, 1, 1], [0, -1, 1], [-1, -1, -1]])
    expected = compute_by_loops(maps, boxes, classes, box_error)
    parts = YOLOLoss(ANCHORS, box_error=box_error).parts(maps, boxes, classes)
    assert [part.item() for part in parts] == pytest.approx(expected, rel=1e-5)


def test_a_perfect_prediction_costs_nothing_in_a_wide_image() -> None:
    """The box's centre lies at x = 90, y = 20: cell (11, 2) of stride 8, offsets 1/4 and 1/2; the anchor is 8 x 4."""
    maps = [torch.full_like(m, -30.0) for m in draw_maps()]
    maps[0][0, 1, :, 11, 2] = torch.tensor([math.log(1 / 3), 0, 0, 0, 30, -30, 30])
    boxes = torch.tensor([[[86.0, 18, 94, 22]]])
    assert YOLOLoss(ANCHORS)(maps, boxes, torch.tensor([[1]])).item() < 1e-9
    for wrong in ((18.0, 54, 22, 62), (86.0, 34, 94, 38)):
        assert YOLOLoss(ANCHORS)(maps, torch.tensor([[wrong]]), torch.tensor([[1]])).item() > 30


def test_without_boxes_only_objectness_counts() -> None:
    maps = draw_maps()
    parts = YOLOLoss(ANCHORS).parts(maps, NO_BOXES, NO_CLASSES)
    expected = sum(torch.nn.functional.softplus(m[:, :, 4]).sum() for m in maps)
    torch.testing.assert_close(parts.objectness, expected)
    assert parts.box == parts.classes == 0


def test_only_cells_that_answer_for_a_box_have_box_and_class_gradients() -> None:
    maps = [m.requires_grad_() for m in draw_maps()]
    YOLOLoss(ANCHORS)(maps, torch.tensor([[[40.0, 8, 56, 24]]]), torch.tensor([[0]])).backward()
    moved = [m.grad[:, :, [0, 1, 2, 3, 5, 6]].abs().sum(dim=2).nonzero().tolist() for m in maps]
    assert moved == [[], [[0, 0, 3, 1]], []]  # 16 x 16 is the first anchor of stride 16, the centre (48, 16)


def test_similar_anchors_at_the_centre_are_ignored() -> None:
    """17 x 16 fits the anchor 16 x 16 best; 32 x 16 has an IoU of 17/32 and no objectness error, 4 x 12 does have."""
    maps = [m.requires_grad_() for m in draw_maps()]
    YOLOLoss(ANCHORS)(maps, torch.tensor([[[40.0, 8, 57, 24]]]), torch.tensor([[0]])).backward()
    objectness = [m.grad[0, :, 4] for m in maps]
    assert objectness[1][0, 3, 1] < 0  # raise it
    assert objectness[1][1, 3, 1] == 0
    assert objectness[0][2, 6, 2] > 0
    assert sum(int((o == 0).sum()) for o in objectness) == 1


def test_darknet_gradient_is_that_of_the_authors_code() -> None:
    """(2 - w h) (sigmoid(t_x) - truth) and (2 - w h) (t_w - truth): src/yolo_layer.c, delta_yolo_box."""
    maps = [m.requires_grad_() for m in draw_maps()]
    loss = YOLOLoss(ANCHORS, box_error="darknet")
    loss(maps, torch.tensor([[[42.0, 6, 58, 30]]]), torch.tensor([[0]])).backward()
    weight = 2 - 16 * 24 / (96 * 64)
    t = maps[1][0, 0, :4, 3, 1].detach()
    expected = [sigmoid(t[0]) - 2 / 16, sigmoid(t[1]) - 2 / 16, t[2].item(), t[3].item() - math.log(1.5)]
    torch.testing.assert_close(maps[1].grad[0, 0, :4, 3, 1], weight * torch.tensor(expected))


def test_a_centre_on_the_far_border_is_in_the_last_cell() -> None:
    maps = [m.requires_grad_() for m in draw_maps()]
    YOLOLoss(ANCHORS)(maps, torch.tensor([[[94.0, 62, 98, 66]]]), torch.tensor([[0]])).backward()
    assert maps[0].grad[0, 0, 5, 11, 7] != 0


def test_shape_iou_by_hand() -> None:
    iou = shape_iou(torch.tensor([[2.0, 4]]), torch.tensor([[4.0, 2], [2, 4], [1, 1]]))
    torch.testing.assert_close(iou, torch.tensor([[4 / 12, 1, 1 / 8]]))


def test_autocast_computes_in_fp32() -> None:
    maps, loss = [m.bfloat16() for m in draw_maps()], YOLOLoss(ANCHORS)
    boxes, classes = torch.tensor([[[42.0, 6, 58, 30]]]), torch.tensor([[1]])
    with torch.autocast("cpu", torch.bfloat16):
        cast = loss(maps, boxes, classes)
    assert cast.dtype == torch.float32
    assert torch.equal(cast, loss([m.float() for m in maps], boxes, classes))


@pytest.mark.parametrize(
    ("boxes", "classes", "message"),
    [
        ([[5, 5, 5, 9]], [0], r"Image 0 of the batch has the box \[5.0, 5.0, 5.0, 9.0\], expected x0 < x1"),
        ([[90, 5, 110, 9]], [0], "its centre in an image of 96 x 64 pixels. Clip boxes"),
        ([[5, 60, 9, math.nan]], [0], "expected x0 < x1"),
        ([[5, 5, 9, 9]], [2], r"a box of class 2, expected 0..1"),
        ([[5, 5, 9, 9]], [-2], r"a box of class -2, expected 0..1"),
        ([[5, 5, 9, 9]], [0, 0], r"shape \(1, 1, 4\) and their classes \(1, 2\)"),
    ],
)
def test_wrong_truths(boxes: list[list[float]], classes: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        YOLOLoss(ANCHORS)(draw_maps(), torch.tensor([boxes]).float(), torch.tensor([classes]))


def test_wrong_maps_and_options() -> None:
    with pytest.raises(ValueError, match="Pass what YOLOv3 returns"):
        YOLOLoss(ANCHORS)(draw_maps()[::-1], NO_BOXES, NO_CLASSES)
    with pytest.raises(ValueError, match="box_error is 'l1', expected one of squared, darknet"):
        YOLOLoss(ANCHORS, box_error="l1")  # type: ignore[arg-type]
