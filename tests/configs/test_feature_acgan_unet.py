"""The U-Net's loss, labels and Table 1 augmentation as the config has them, against numbers from the paper."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import Compose, RandAffined, RandFlipd

from scripts.transforms.elastic import RandElasticd

FILE = Path(__file__).parents[2] / "configs" / "feature_acgan_unet_train.json"
SIZE = 120


def parser(**options: Any) -> ConfigParser:
    return ConfigParser({**json.loads(FILE.read_text(encoding="utf-8")), "image_size_pixels": SIZE, **options})


def transforms() -> list[Any]:
    """The random transforms, in order."""
    augment = parser().get_parsed_content("train#preprocessing#transforms#2")
    assert isinstance(augment, Compose)
    return list(augment.transforms)


def at(*places: tuple[int, int]) -> torch.Tensor:
    """A plane (1, S, S) of zeros with a spot of 3 x 3 ones around each of the places."""
    plane = torch.zeros(1, SIZE, SIZE)
    for x, y in places:
        plane[0, x - 1 : x + 2, y - 1 : y + 2] = 1
    return plane


def centre_of(plane: torch.Tensor) -> tuple[float, float]:
    """Mean place of the spot, in pixels from the plane's centre."""
    weights = plane[0] / plane.sum()
    away = torch.arange(SIZE) - (SIZE - 1) / 2
    return float((weights.sum(1) * away).sum()), float((weights.sum(0) * away).sum())


class Highest:
    """In place of NumPy's random state: draws the upper end of each range, or the lower one."""

    def __init__(self, lower: bool = False) -> None:
        self.lower = lower

    def uniform(self, low: float, high: float) -> float:
        return low if self.lower else high


def drawn(affine: RandAffined, *, lower: bool = False) -> dict[str, list[float]]:
    grid = affine.rand_affine.rand_affine_grid
    grid.R = Highest(lower)  # type: ignore[assignment]
    grid.randomize()
    return {
        "rotate": grid.rotate_params,
        "shear": grid.shear_params,
        "translate": grid.translate_params,
        "scale": grid.scale_params,
    }


def test_the_order_is_that_of_table_1() -> None:
    flip_x, flip_y, elastic, affine = transforms()
    assert isinstance(flip_x, RandFlipd)
    assert [flip.flipper.spatial_axis for flip in (flip_x, flip_y)] == [0, 1]
    assert [flip.prob for flip in (flip_x, flip_y)] == [0.5, 0.5]
    assert isinstance(elastic, RandElasticd)
    assert (elastic.alpha, elastic.sigma) == (720, 24)
    assert isinstance(affine, RandAffined)
    assert affine.prob == 1


def test_ranges_are_the_published_ones() -> None:
    affine = transforms()[-1]
    highest, lowest = drawn(affine), drawn(affine, lower=True)
    assert highest["rotate"] == [pytest.approx(math.radians(20))]
    assert highest["shear"] == [pytest.approx(0.05), 0]
    assert highest["translate"] == [pytest.approx(12)] * 2  # a tenth of 120 pixels, along both axes
    assert highest["scale"] == [pytest.approx(1.1)] * 2
    assert lowest["scale"] == [pytest.approx(0.9)] * 2
    for name in ("rotate", "shear", "translate"):
        assert lowest[name] == [-value for value in highest[name]]


def move(place: tuple[int, int], **alone: list[float]) -> tuple[float, float]:
    """Where RandAffined puts a spot when it draws these numbers and leaves the other parameters at nothing."""
    affine = transforms()[-1]
    grid = affine.rand_affine.rand_affine_grid
    nothing = {"rotate": [0.0], "shear": [0.0, 0.0], "translate": [0.0, 0.0], "scale": [1.0, 1.0]}

    def draw(data: Any = None) -> None:
        for name, values in {**nothing, **alone}.items():
            setattr(grid, f"{name}_params", values)

    grid.randomize = draw
    spot = at(place)
    moved = affine({"image": spot, "label": spot.long()})
    assert set(torch.unique(moved["label"]).tolist()) == {0, 1}
    x, y = centre_of(moved["label"].float())
    for ours, theirs in zip(centre_of(moved["image"]), (x, y), strict=True):
        assert ours == pytest.approx(theirs, abs=0.5)
    return centre_of(moved["image"])


X, Y = 89, 69  # 29.5 and 9.5 pixels from the centre


def test_rotation_is_in_radians() -> None:
    x, y = move((X, Y), rotate=[math.radians(20)])
    assert math.hypot(x, y) == pytest.approx(math.hypot(29.5, 9.5), abs=0.1)
    assert abs(math.atan2(y, x) - math.atan2(9.5, 29.5)) == pytest.approx(math.radians(20), abs=0.005)


def test_translation_is_in_pixels_of_both_axes() -> None:
    x, y = move((X, Y), translate=[12.0, -6.0])
    assert (abs(x - 29.5), abs(y - 9.5)) == (pytest.approx(12, abs=0.01), pytest.approx(6, abs=0.01))


def test_scale_is_a_factor_of_both_axes() -> None:
    x, y = move((X, Y), scale=[1.1, 0.9])  # of the grid that is read from
    assert (x, y) == (pytest.approx(29.5 / 1.1, abs=0.1), pytest.approx(9.5 / 0.9, abs=0.1))


def test_shear_is_a_tangent_and_horizontal() -> None:
    x, y = move((X, Y), shear=[0.05, 0.0])
    assert y == pytest.approx(9.5, abs=0.01)
    assert abs(x - 29.5) == pytest.approx(0.05 * 9.5, abs=0.01)


def test_what_comes_from_outside_is_the_edge() -> None:
    affine = transforms()[-1]
    image = torch.full((1, SIZE, SIZE), -1.0)
    moved = affine.set_random_state(1)({"image": image, "label": torch.zeros(1, SIZE, SIZE)})
    assert moved["image"].min() == moved["image"].max() == -1


def test_any_lesion_is_the_lesion() -> None:
    label = torch.tensor([[[0, 1], [2, 3]]])
    whole = parser().get_parsed_content("whole_lesion")({"label": label})["label"]
    assert whole.tolist() == [[[0, 1], [1, 1]]]


def test_loss_is_equation_3() -> None:
    loss = parser().get_parsed_content("loss")
    probability = torch.tensor([0.8, 0.4, 0.1, 0.3]).reshape(2, 1, 1, 2)
    target = torch.tensor([1.0, 1.0, 0.0, 0.0]).reshape(2, 1, 1, 2)  # no lesion in the second slice
    # true positives 1.2, predicted 1.6, reference 2
    expected = 1 - (2 * 1.2 + 1e-5) / (1.6 + 2 + 1e-5)
    assert loss(probability.logit(), target).item() == pytest.approx(expected, abs=1e-6)
    nothing = loss(torch.full((1, 1, 4, 4), -100.0), torch.zeros(1, 1, 4, 4))
    assert nothing.item() == pytest.approx(0, abs=1e-6)


def test_augmentation_can_be_left_out() -> None:
    label = torch.arange(4).reshape(1, 2, 2)
    plain = parser(augment=False, image_channel_names=["FLAIR"], channel_names=["FLAIR"])
    plain["select_channels"]["modality"] = ["T1", "FLAIR"]
    made = plain.get_parsed_content("train#preprocessing")({"image": torch.tensor([[[0.0]], [[1.0]]]), "label": label})
    assert made["image"].tolist() == [[[1.0]]]
    assert made["label"].tolist() == [[[0, 1], [1, 1]]]
    assert type(made["image"]) is torch.Tensor
