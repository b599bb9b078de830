from __future__ import annotations

import pytest
import torch
from monai.apps.detection.transforms.dictionary import RandFlipBoxd

from scripts.transforms.boxes import clip_boxes


def find_box(image: torch.Tensor) -> list[int]:
    """The half-open box of the bright pixels of (1, X, Y)."""
    x, y = (image[0] > 0).nonzero(as_tuple=True)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


def draw_image(width: int, height: int, box: list[int]) -> torch.Tensor:
    image = torch.full((1, width, height), -1.0)
    image[:, box[0] : box[2], box[1] : box[3]] = 1
    return image


def test_clipping_by_hand() -> None:
    boxes = torch.tensor([[-5.0, 2, 4, 9], [90, 60, 120, 70], [96, 0, 99, 5], [0.2, 0.2, 0.7, 64], [3, 70, 9, 80]])
    clipped, kept = clip_boxes(boxes, (96, 64))
    torch.testing.assert_close(clipped, torch.tensor([[0.0, 2, 4, 9], [90, 60, 96, 64], [0.2, 0.2, 0.7, 64]]))
    assert kept.tolist() == [True, True, False, True, False]
    assert clip_boxes(torch.zeros(0, 4), (5, 5))[0].shape == (0, 4)


@pytest.mark.parametrize("axis", [0, 1])
def test_monais_flip_takes_boxes_with_the_image(axis: int) -> None:
    box = [3, 1, 8, 2]
    flip = RandFlipBoxd("image", "boxes", "image", prob=1.0, spatial_axis=axis)
    flipped = flip({"image": draw_image(20, 10, box), "boxes": torch.tensor([box]).float()})
    assert flipped["boxes"].tolist() == [[float(v) for v in find_box(flipped["image"])]]
    assert flipped["boxes"].tolist() == ([[12, 1, 17, 2]] if axis == 0 else [[3, 8, 8, 9]])
    assert flip({"image": torch.zeros(1, 4, 4), "boxes": torch.zeros(0, 4)})["boxes"].shape == (0, 4)
