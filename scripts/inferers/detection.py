"""From YOLOv3's raw maps to boxes, scores and classes (Redmon and Farhadi, YOLOv3, 2018, section 2.1).

Boxes are (N, 4): x0, y0, x1, y1 in pixels, half-open. Arrays are (C, X, Y), so a box of whole numbers holds the pixels
``array[:, x0:x1, y0:y1]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import torch
from monai.inferers import Inferer
from torch import nn

from scripts.networks.wrapping import unwrap
from scripts.networks.yolo import ANCHORS_PER_SCALE, STRIDES

BLOCK = 256  # candidates that are compared with one another at a time


class Detections(TypedDict):
    """What was found in an image, the highest score first; the names are those `BoxScores` expects."""

    pred_boxes: torch.Tensor  # (N, 4) fp32, x0, y0, x1, y1 in pixels, inside the image
    pred_scores: torch.Tensor  # (N,) fp32 in [0, 1]
    pred_classes: torch.Tensor  # (N,) int64 in 0..K-1


@dataclass(eq=False, kw_only=True)
class DetectionInferer(Inferer):
    """Calls a detector and returns the boxes found in each image, in pixels of the network's input.

    Score = objectness x class probability, one candidate per box and class, as in the authors' code. Candidates
    over the threshold are clipped to the image, thinned by `suppress_overlaps` within their class, and the
    `max_detections` highest of all classes are returned.

    Attributes:
        score_threshold: least score, in [0, 1]; 0.1% in CPGGAN, section 3.4.
        iou_threshold: of the suppression; .45 in the authors' code.
        max_detections: most boxes per image; 100 as in COCO.

    Raises:
        ValueError: an argument out of range.
    """

    score_threshold: float = 0.001
    iou_threshold: float = 0.45
    max_detections: int = 100

    def __post_init__(self) -> None:
        for name in ("score_threshold", "iou_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, expected a number in [0, 1].")
        if self.max_detections < 1:
            raise ValueError(f"max_detections is {self.max_detections}, expected 1 or more.")

    @torch.no_grad()
    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> list[Detections]:
        """Images (B, C, X, Y) and a network as `YOLOv3`, with its `anchors`, to one entry per image."""
        maps = network(inputs, *args, **kwargs)
        boxes, scores = decode_maps(maps, unwrap(network).anchors)  # type: ignore[arg-type]
        return [self._select(*image, size=inputs.shape[-2:]) for image in zip(boxes, scores, strict=True)]

    def _select(self, boxes: torch.Tensor, scores: torch.Tensor, *, size: Sequence[int]) -> Detections:
        """Boxes (M, 4) and scores (M, K) of an image to its detections."""
        boxes, solid = clip_boxes(boxes, (size[0], size[1]))
        scores = scores[solid]
        candidate, index = (scores > self.score_threshold).nonzero(as_tuple=True)  # (N,)
        boxes, scores = boxes[candidate], scores[candidate, index]
        kept = torch.cat([self._suppress(boxes, scores, index == value) for value in index.unique()] or [index])
        kept = kept[scores[kept].argsort(descending=True, stable=True)][: self.max_detections]
        return {"pred_boxes": boxes[kept], "pred_scores": scores[kept], "pred_classes": index[kept]}

    def _suppress(self, boxes: torch.Tensor, scores: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
        """Indices of the boxes to keep among the `chosen` (N,)."""
        index = chosen.nonzero(as_tuple=True)[0]
        limits: dict[str, Any] = {"iou_threshold": self.iou_threshold, "max_detections": self.max_detections}
        return index[suppress_overlaps(boxes[index], scores[index], **limits)]


@dataclass(eq=False)
class SliceDetectionInferer(Inferer):
    """Calls a `DetectionInferer` on plane images, or on each slice of volumes along Z.

    Attributes:
        inferer: what finds boxes in images (B, C, S, S).
        slice_batch: slices per forward pass, which bounds the memory; 1 or more, else a ValueError.
    """

    inferer: DetectionInferer
    slice_batch: int = 16

    def __post_init__(self) -> None:
        if self.slice_batch < 1:
            raise ValueError(f"slice_batch is {self.slice_batch}, expected 1 or more.")

    def __call__(  # type: ignore[override]
        self, inputs: torch.Tensor, network: nn.Module, *args: Any, **kwargs: Any
    ) -> list[Detections]:
        """Images (B, C, S, S) or volumes (B, C, S, S, Z) to one entry per image or slice, those of a volume in turn."""
        plain = inputs.as_tensor() if hasattr(inputs, "as_tensor") else inputs
        slices = plain if plain.ndim == 4 else plain.movedim(-1, 1).flatten(0, 1)  # (B * Z, C, S, S)
        found: list[Detections] = []
        for part in slices.split(self.slice_batch):
            part = part.contiguous(memory_format=torch.channels_last)
            found += self.inferer(part, network, *args, **kwargs)
        return found


def clip_boxes(boxes: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The parts (M, 4) of boxes (N, 4) inside an image of `size` (X, Y) pixels, and which of the boxes have one, (N,).

    MONAI's `ClipBoxToImaged` also drops boxes thinner than a pixel, or keeps empty ones.
    """
    clipped = boxes.clamp(min=0).minimum(boxes.new_tensor([*size, *size]))
    kept = (clipped[:, :2] < clipped[:, 2:]).all(dim=1)
    return clipped[kept], kept


def decode_maps(maps: Sequence[torch.Tensor], anchors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Boxes and class scores of every cell and anchor (section 2.1, figure 2).

    With cell (i, j) of stride s and anchor (p_w, p_h): centre ``s (sigmoid(t_x) + i), s (sigmoid(t_y) + j)``, size
    ``p_w exp(t_w), p_h exp(t_h)``. Scores are ``sigmoid(objectness) sigmoid(class)``. Computes in fp32.

    Shapes: per stride a raw map (B, 3, 5 + K, X/stride, Y/stride), and anchors (9, 2) in pixels, those of the finest
    stride first -> boxes (B, M, 4), x0, y0, x1, y1 in pixels, not clipped, and scores (B, M, K).
    """
    boxes, scores = [], []
    with torch.autocast(maps[0].device.type, enabled=False):
        scales = anchors.to(maps[0].device, torch.float32).split(ANCHORS_PER_SCALE)
        for raw, stride, sizes in zip(maps, STRIDES, scales, strict=True):
            values = raw.float().movedim(2, -1)  # (B, 3, X', Y', 5 + K)
            cells = [torch.arange(count, device=raw.device, dtype=torch.float32) for count in raw.shape[3:]]
            corner = torch.stack(torch.meshgrid(*cells, indexing="ij"), dim=-1)  # (X', Y', 2)
            centre = stride * (values[..., :2].sigmoid() + corner)  # (B, 3, X', Y', 2)
            half = sizes[:, None, None] * values[..., 2:4].exp() / 2
            boxes.append(torch.cat([centre - half, centre + half], dim=-1).flatten(1, 3))
            scores.append((values[..., 4:5].sigmoid() * values[..., 5:].sigmoid()).flatten(1, 3))
        return torch.cat(boxes, dim=1), torch.cat(scores, dim=1)


def suppress_overlaps(
    boxes: torch.Tensor, scores: torch.Tensor, *, iou_threshold: float, max_detections: int
) -> torch.Tensor:
    """Greedy non-maximum suppression: the same boxes as MONAI's `non_max_suppression`, in the same order, but fast.

    In the order of falling scores a box is kept unless its IoU with one kept before exceeds the threshold. MONAI's
    loop takes seconds for 10,000 boxes, since it compares each kept box with all that follow. Here a block of boxes
    is compared with those kept before and then within itself, and the search ends when `max_detections` are kept.
    Equal scores keep their order.

    Shapes: boxes (N, 4), scores (N,) -> indices of the kept boxes, (at most max_detections,) int64.
    """
    order = scores.argsort(descending=True, stable=True)
    boxes = boxes[order].float()
    kept = order.new_empty(0)  # places in the order
    for start in range(0, len(boxes), BLOCK):
        block = torch.arange(start, min(start + BLOCK, len(boxes)), device=boxes.device)
        block = block[~(_iou(boxes[kept], boxes[block]) > iou_threshold).any(dim=0)]
        above = (_iou(boxes[block], boxes[block]) > iou_threshold).triu(diagonal=1).float()  # (n, n), row over column
        kept = torch.cat([kept, block[_keep_greedily(above)]])
        if len(kept) >= max_detections:
            break
    return order[kept[:max_detections]]


def _keep_greedily(above: torch.Tensor) -> torch.Tensor:
    """Which of n boxes (n,) are kept, from who would suppress whom (n, n), 1 in row i and column j > i, or 0.

    Box j is settled once all before it are: each round settles at least one more, and a round without change ends it.
    """
    kept = torch.ones(len(above), dtype=torch.bool, device=above.device)
    while True:
        again = kept.float() @ above == 0  # (n,) not suppressed by one that is kept
        if torch.equal(again, kept):
            return kept
        kept = again


def _iou(boxes: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """IoU (N, M) of boxes (N, 4) and (M, 4), rounded as `monai.data.box_utils.box_iou` does, but without its checks."""
    x0, y0, x1, y1 = boxes[:, :, None].unbind(1)  # (N, 1) each
    u0, v0, u1, v1 = others.unbind(1)  # (M,) each
    width = (torch.minimum(x1, u1) - torch.maximum(x0, u0)).clamp(min=0)  # (N, M)
    height = (torch.minimum(y1, v1) - torch.maximum(y0, v0)).clamp(min=0)
    shared = width * height
    union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared
    return shared / (union + torch.finfo(torch.float32).eps)
