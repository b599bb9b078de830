from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.apps.detection.transforms.dictionary import RandFlipBoxd
from monai.data import MetaTensor
from monai.transforms import Compose

from scripts.transforms.boxes import Letterbox, Letterboxd, clip_boxes, to_boxes


def find_box(image: torch.Tensor, above: float = 0.0) -> list[int]:
    """The half-open box of the bright pixels of (1, X, Y)."""
    x, y = (image[0] > above).nonzero(as_tuple=True)
    return [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1]


def draw_image(width: int, height: int, box: list[int]) -> torch.Tensor:
    image = torch.full((1, width, height), -1.0)
    image[:, box[0] : box[2], box[1] : box[3]] = 1
    return image


@pytest.mark.parametrize(
    ("width", "height", "resized", "before"),
    [
        (64, 32, (64, 32), (0, 16)),
        (20, 40, (32, 64), (16, 0)),
        (128, 37, (64, 18), (0, 23)),
        (1, 640, (1, 64), (31, 0)),
    ],
)
def test_geometry_by_hand(width: int, height: int, resized: tuple[int, int], before: tuple[int, int]) -> None:
    letterbox = Letterbox(width, height, 64)
    assert letterbox.resized == resized
    assert letterbox.before == before


@pytest.mark.parametrize(("width", "height", "factor"), [(64, 48, 1.0), (32, 24, 2.0), (128, 64, 0.5)])
def test_boxes_stay_on_what_they_enclose(width: int, height: int, factor: float) -> None:
    box = [16, 4, 24, 20]
    data = {"image": draw_image(width, height, box), "boxes": [box]}
    placed = Letterboxd(64)(data)
    assert placed["image"].shape == (1, 64, 64)
    assert placed["boxes"].tolist() == [[float(v) for v in find_box(placed["image"], above=-0.01)]]
    sides = placed["boxes"][0, 2:] - placed["boxes"][0, :2]
    assert sides.tolist() == [8 * factor, 16 * factor]


def test_the_padding_is_background() -> None:
    placed = Letterboxd(8, background=-0.5)({"image": torch.ones(2, 8, 3)})
    assert (placed["image"][:, :, 2:5] == 1).all()
    assert (placed["image"][:, :, [0, 1, 5, 6, 7]] == -0.5).all()
    assert placed["letterbox"].tolist() == [8, 3, 8]
    assert "boxes" not in placed


@pytest.mark.parametrize("shape", [(7, 640), (513, 511), (100, 100), (3, 5), (1000, 1)])
def test_boxes_return_exactly(shape: tuple[int, int]) -> None:
    corners = np.random.default_rng(0).uniform(0, 1, (50, 2, 2)) * shape
    boxes = torch.from_numpy(np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1))  # fp64
    letterbox = Letterbox(*shape, 416)
    torch.testing.assert_close(letterbox.restore_boxes(letterbox.place_boxes(boxes)), boxes, atol=1e-6, rtol=0)
    placed = letterbox.place_boxes(boxes.float())
    assert placed.dtype == torch.float32
    torch.testing.assert_close(letterbox.restore_boxes(placed), boxes.float(), atol=1e-6 * 4 * max(shape), rtol=0)


def test_all_placed_boxes_lie_in_the_square_beside_the_padding() -> None:
    letterbox = Letterbox(50, 30, 64)
    whole = letterbox.place_boxes(torch.tensor([[0.0, 0, 50, 30]]))
    assert whole.tolist() == [[0, 13, 64, 51]]  # 30 * 64 / 50 = 38.4, so 38 pixels
    assert find_box(letterbox.place_image(torch.ones(1, 50, 30), -1.0)) == [0, 13, 64, 51]


def test_the_inverse_restores_image_and_boxes() -> None:
    image, boxes = draw_image(16, 24, [3, 5, 9, 6]), torch.tensor([[3.0, 5, 9, 6], [0, 0, 16, 24]])
    letterbox = Compose([Letterboxd(32)])
    for data in ({"image": image, "boxes": boxes}, {"image": MetaTensor(image), "boxes": boxes}):
        restored = letterbox.inverse(letterbox(data))
        assert set(restored) == {"image", "boxes"}
        torch.testing.assert_close(restored["boxes"], boxes)
        assert restored["image"].shape == image.shape
    same = Letterboxd(24)
    assert torch.equal(same.inverse(same({"image": image}))["image"], image)  # only padded


def test_found_boxes_return_to_the_image_by_the_key() -> None:
    placed = Letterboxd(64)({"image": torch.zeros(1, 32, 16), "boxes": []})
    assert placed["boxes"].shape == (0, 4)
    found = torch.tensor([[10.0, 26, 20, 36]])  # padding of 16 along Y, scale 2
    restored = Letterbox(*placed["letterbox"].tolist()).restore_boxes(found)
    assert restored.tolist() == [[5, 5, 10, 10]]


def test_shrinking_averages_over_area() -> None:
    image = torch.arange(32.0).reshape(1, 8, 4)
    placed = Letterbox(8, 4, 4).place_image(image, -1.0)
    torch.testing.assert_close(placed[:, :, 1:3], image.reshape(1, 4, 2, 2, 2).mean(dim=(2, 4)))


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


def test_boxes_of_many_kinds_become_tensors() -> None:
    assert to_boxes([[1, 2, 3, 4]]).dtype == to_boxes(np.ones((2, 4), dtype=np.int16)).dtype == torch.float32
    assert to_boxes(np.ones((2, 4))).dtype == torch.float64
    assert to_boxes(None).shape == to_boxes([]).shape == (0, 4)
    with pytest.raises(ValueError, match=r"shape \(4,\), expected \(N, 4\)"):
        to_boxes([1, 2, 3, 4])


def test_wrong_sizes() -> None:
    with pytest.raises(ValueError, match="image_size is 0, expected a positive number"):
        Letterboxd(0)
    with pytest.raises(ValueError, match="a side under 1 pixel"):
        Letterbox(3, 0, 32)
    with pytest.raises(ValueError, match=r"'image' has shape \(1, 4, 4, 2\), expected a slice"):
        Letterboxd(32)({"image": torch.zeros(1, 4, 4, 2)})
