from __future__ import annotations

import pytest
import torch

from scripts.inferers.detection import DetectionInferer, Detections
from scripts.inferers.slice_detection import SliceDetectionInferer


class Means(DetectionInferer):
    """Gives each image's mean as its only score, and remembers the batches it was called with."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, inputs: torch.Tensor, network: object) -> list[Detections]:  # type: ignore[override]
        self.shapes.append(tuple(inputs.shape))
        boxes, classes = torch.tensor([[0.0, 0, 1, 1]]), torch.zeros(1, dtype=torch.int64)
        return [{"pred_boxes": boxes, "pred_scores": image.mean()[None], "pred_classes": classes} for image in inputs]


def test_slices_of_volumes_come_in_turn() -> None:
    volumes = torch.arange(6.0).reshape(2, 1, 1, 1, 3).expand(2, 1, 4, 4, 3)  # slice z of volume b is 3 b + z
    inferer = Means()
    found = SliceDetectionInferer(inferer, slice_batch=4)(volumes, torch.nn.Identity())
    assert [each["pred_scores"].item() for each in found] == [0, 1, 2, 3, 4, 5]
    assert inferer.shapes == [(4, 1, 4, 4), (2, 1, 4, 4)]


def test_plane_images_are_found_as_they_are() -> None:
    found = SliceDetectionInferer(Means())(torch.full((2, 3, 4, 4), 0.5), torch.nn.Identity())
    assert [each["pred_scores"].item() for each in found] == [0.5, 0.5]


def test_no_slices_at_a_time_is_refused() -> None:
    with pytest.raises(ValueError, match="slice_batch is 0, expected 1 or more"):
        SliceDetectionInferer(DetectionInferer(), slice_batch=0)
