"""The U-Net's loss, labels and Table 1 augmentation as the config has them, against numbers from the paper."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from scripts.transforms.augmentation import RandAffine, RandFlip
from scripts.transforms.elastic import RandElastic

FILE = Path(__file__).parents[2] / "configs" / "feature_acgan_unet_train.json"
SIZE = 120


def parser(**options: Any) -> ConfigParser:
    return ConfigParser({**json.loads(FILE.read_text(encoding="utf-8")), "image_size_pixels": SIZE, **options})


def test_augmentation_is_that_of_table_1_in_its_order() -> None:
    flip, elastic, affine = parser().get_parsed_content("train#augmentation").moves
    assert isinstance(flip, RandFlip)
    assert flip.probability.tolist() == [0.5, 0.5]
    assert isinstance(elastic, RandElastic)
    assert (elastic.alpha, elastic.sigma) == (720, 24)
    assert isinstance(affine, RandAffine)
    assert affine.probability == 1
    rotation, shear_x, shear_y, *rest = affine.high
    assert rotation == pytest.approx(math.radians(20))
    assert (shear_x, shear_y) == (0.05, 0)  # horizontal
    assert rest == [0.1, 0.1, 1.1, 1.1]  # a tenth of the side, along both axes; up to a tenth larger
    assert affine.low.tolist() == [-rotation, -0.05, 0, -0.1, -0.1, 0.9, 0.9]


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
    assert plain.get_parsed_content("train#augmentation") is None
    made = plain.get_parsed_content("validate#preprocessing")(
        {"image": torch.tensor([[[0.0]], [[1.0]]]), "label": label}
    )
    assert made["image"].tolist() == [[[1.0]]]
    assert made["label"].tolist() == [[[0, 1], [1, 1]]]
    assert type(made["image"]) is torch.Tensor
