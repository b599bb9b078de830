"""The loss of YOLOv3 (Redmon and Farhadi, YOLOv3: An Incremental Improvement, 2018, sections 2.1 and 2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, get_args

import torch
import torch.nn.functional as F
from torch import nn

from scripts.data.boxes import PADDING_CLASS
from scripts.networks.yolo import ANCHOR_COUNT, ANCHORS_PER_SCALE, STRIDES

BoxError = Literal["squared", "darknet"]


class YOLOLossParts(NamedTuple):
    """Scalars >= 0, each a sum over cells, anchors and boxes, divided by the number of images."""

    box: torch.Tensor
    objectness: torch.Tensor
    classes: torch.Tensor


class _Truths(NamedTuple):
    """All boxes of a batch, N in number."""

    image: torch.Tensor  # (N,) int64, which image
    centre: torch.Tensor  # (N, 2) in pixels
    size: torch.Tensor  # (N, 2) in pixels
    class_index: torch.Tensor  # (N,) int64, 0..K-1
    best: torch.Tensor  # (N,) int64, the anchor with the highest IoU
    similar: torch.Tensor  # (N, 9) bool, anchors with an IoU over the threshold


class YOLOLoss(nn.Module):
    """Box, objectness and class errors of the anchors that answer for the true boxes, summed, per image.

    Assignment (section 2.1). Each true box belongs to the one anchor of the nine whose shape overlaps it most, both
    centred on one point, at the cell of that anchor's stride in which the box's centre lies. Other anchors of the
    cells that hold the centre, at any scale, whose IoU with the box exceeds `ignore_iou` have no objectness error.
    All others have objectness 0, and no other error. Two boxes at one anchor and cell both count. The authors'
    code differs: it ignores what *predicts* a box with an IoU over .7 with any truth.

    Box error, per true box with centre (c_x, c_y), size (w, h), anchor (p_w, p_h) and cell (i, j) of stride s:
    targets are t_w = log(w / p_w), t_h = log(h / p_h), and c_x / s - i, c_y / s - j for the sigmoids of t_x, t_y.

    - "squared": half the sum of the four squared errors. The paper: "sum of squared error loss", whose "gradient is the
      ground truth value minus our prediction", on t-values. The true t_x of a centre on a cell's border is infinite, so
      the error of the centre is taken after the sigmoid, as customary.
    - "darknet": has the gradient of the authors' code instead, also for t_x, t_y: target minus sigmoid, which is that
      of binary cross-entropy; and all four times 2 - w h / (X Y), so that small boxes count up to twice.

    Objectness and classes: binary cross-entropy of the logits, one per class (section 2.2). Computes in fp32.

    Args:
        anchors: (9, 2) width and height in pixels, the network's `anchors`.
        box_error: see above.
        ignore_iou: in [0, 1]; .5 as published.

    Raises:
        ValueError: an unknown box error; maps, boxes or classes of another number, shape or range.
    """

    anchors: torch.Tensor

    def __init__(self, anchors: torch.Tensor, *, box_error: BoxError = "squared", ignore_iou: float = 0.5) -> None:
        super().__init__()
        if box_error not in get_args(BoxError):
            raise ValueError(f"box_error is {box_error!r}, expected one of {', '.join(get_args(BoxError))}.")
        self.register_buffer("anchors", torch.as_tensor(anchors, dtype=torch.float32).reshape(ANCHOR_COUNT, 2).clone())
        self.box_error = box_error
        self.ignore_iou = ignore_iou

    def forward(self, maps: Sequence[torch.Tensor], boxes: torch.Tensor, box_classes: torch.Tensor) -> torch.Tensor:
        """The sum of the three parts, a scalar; arguments as in `parts`."""
        return torch.stack(self.parts(maps, boxes, box_classes)).sum()

    def parts(self, maps: Sequence[torch.Tensor], boxes: torch.Tensor, box_classes: torch.Tensor) -> YOLOLossParts:
        """The three parts of the loss.

        Args:
            maps: what `YOLOv3` returns: per stride (B, 3, 5 + K, X/stride, Y/stride).
            boxes: (B, M, 4), x0, y0, x1, y1 in pixels of the network's input, half-open; M may be 0.
            box_classes: (B, M) integers 0..K-1; boxes of class -1 are padding.
        """
        with torch.autocast(maps[0].device.type, enabled=False):
            image_size = _check_maps(maps)
            truths = self._gather_truths(boxes, box_classes, maps[0], image_size)
            scales = [
                self._compare(raw.float(), truths, scale=scale, image_size=image_size) for scale, raw in enumerate(maps)
            ]
            box, objectness, classes = (torch.stack(part).sum() / len(boxes) for part in zip(*scales, strict=True))
        return YOLOLossParts(box, objectness, classes)

    def _gather_truths(
        self, boxes: torch.Tensor, box_classes: torch.Tensor, raw: torch.Tensor, image_size: tuple[int, int]
    ) -> _Truths:
        if boxes.shape != (len(raw), *box_classes.shape[1:], 4) or box_classes.ndim != 2:
            raise ValueError(
                f"The boxes have shape {tuple(boxes.shape)} and their classes {tuple(box_classes.shape)}, expected "
                f"({len(raw)}, M, 4) and ({len(raw)}, M). Fill up shorter lists with boxes of class {PADDING_CLASS}."
            )
        image, place = (box_classes != PADDING_CLASS).nonzero(as_tuple=True)  # (N,) each
        corners, index = boxes[image, place].float(), box_classes[image, place].long()
        _check_truths(image, corners, index, image_size=image_size, class_count=raw.shape[2] - 5)
        image, corners, index = image.to(raw.device), corners.to(raw.device), index.to(raw.device)
        size = corners[:, 2:] - corners[:, :2]
        overlap = shape_iou(size, self.anchors.to(raw.device))  # (N, 9)
        centre = (corners[:, :2] + corners[:, 2:]) / 2
        return _Truths(image, centre, size, index, overlap.argmax(dim=1), overlap > self.ignore_iou)

    def _compare(
        self, raw: torch.Tensor, truths: _Truths, *, scale: int, image_size: tuple[int, int]
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Box, objectness and class errors of one scale's map (B, 3, 5 + K, X', Y'), summed."""
        stride, first = STRIDES[scale], scale * ANCHORS_PER_SCALE
        last_cell = torch.tensor(raw.shape[3:], device=raw.device) - 1  # (2,)
        cell = (truths.centre / stride).long().minimum(last_cell)  # (N, 2)

        wanted = torch.zeros_like(raw[:, :, 4])  # (B, 3, X', Y')
        counted = torch.ones_like(wanted)
        row, similar = truths.similar[:, first : first + ANCHORS_PER_SCALE].nonzero(as_tuple=True)
        counted[truths.image[row], similar, cell[row, 0], cell[row, 1]] = 0
        own = (truths.best // ANCHORS_PER_SCALE == scale).nonzero(as_tuple=True)[0]  # (M,) truths of this scale
        image, anchor, cell = truths.image[own], truths.best[own] - first, cell[own]
        place = (image, anchor, cell[:, 0], cell[:, 1])
        wanted[place], counted[place] = 1, 1
        objectness = F.binary_cross_entropy_with_logits(raw[:, :, 4], wanted, weight=counted, reduction="sum")

        predicted = raw.movedim(2, -1)[place]  # (M, 5 + K)
        named = F.one_hot(truths.class_index[own], raw.shape[2] - 5).to(raw)  # (M, K)
        classes = F.binary_cross_entropy_with_logits(predicted[:, 5:], named, reduction="sum")

        size = truths.size[own]
        centre = truths.centre[own] / stride - cell  # (M, 2) in [0, 1]
        log_size = (size / self.anchors.to(raw.device)[truths.best[own]]).log()
        size_error = (predicted[:, 2:4] - log_size).square() / 2
        if self.box_error == "squared":
            box_error = (predicted[:, :2].sigmoid() - centre).square() / 2 + size_error  # (M, 2)
        else:
            centre_error = F.binary_cross_entropy_with_logits(predicted[:, :2], centre, reduction="none")
            weight = 2 - size.prod(dim=1, keepdim=True) / (image_size[0] * image_size[1])  # (M, 1)
            box_error = weight * (centre_error + size_error)
        return box_error.sum(), objectness, classes


def shape_iou(sizes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """IoU of boxes on one centre: sizes (N, 2) and (A, 2), all positive, to (N, A)."""
    shared = torch.minimum(sizes[:, None], others).prod(dim=2)  # (N, A)
    return shared / (sizes.prod(dim=1)[:, None] + others.prod(dim=1) - shared)


def _check_maps(maps: Sequence[torch.Tensor]) -> tuple[int, int]:
    """The image's size (X, Y) in pixels."""
    shapes = [tuple(raw.shape) for raw in maps]
    sizes = {(raw.shape[-2] * stride, raw.shape[-1] * stride) for raw, stride in zip(maps, STRIDES, strict=False)}
    if (
        len(maps) != len(STRIDES)
        or any(raw.ndim != 5 or raw.shape[1] != ANCHORS_PER_SCALE for raw in maps)
        or len(sizes) > 1
    ):
        raise ValueError(
            f"The maps have shapes {shapes}, expected (B, {ANCHORS_PER_SCALE}, 5 + K, X/stride, Y/stride) for strides "
            f"{STRIDES}. Pass what YOLOv3 returns."
        )
    return sizes.pop()


def _check_truths(
    image: torch.Tensor,
    corners: torch.Tensor,
    index: torch.Tensor,
    *,
    image_size: tuple[int, int],
    class_count: int,
) -> None:
    centre = (corners[:, :2] + corners[:, 2:]) / 2  # (N, 2)
    inside = (centre >= 0) & (centre <= centre.new_tensor(image_size))
    sound = ((corners[:, :2] < corners[:, 2:]) & inside).all(dim=1)  # (N,); false for NaN
    if not bool(sound.all()):
        wrong = int((~sound).nonzero()[0])
        raise ValueError(
            f"Image {int(image[wrong])} of the batch has the box {corners[wrong].tolist()}, expected x0 < x1, y0 < y1 "
            f"and its centre in an image of {image_size[0]} x {image_size[1]} pixels. Clip boxes to the image and "
            "leave out empty ones."
        )
    known = (index >= 0) & (index < class_count)
    if not bool(known.all()):
        wrong = int((~known).nonzero()[0])
        raise ValueError(
            f"Image {int(image[wrong])} of the batch has a box of class {int(index[wrong])}, expected "
            f"0..{class_count - 1}. Correct it, or build the network with more classes."
        )
