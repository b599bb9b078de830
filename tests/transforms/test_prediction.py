from __future__ import annotations

import pytest
import torch
from monai.data import MetaTensor

from scripts.transforms.prediction import ShapeForLabelServerd, ToLabelMapd, to_label_map


def test_the_highest_logit_wins_where_it_is_positive():
    logits = torch.tensor([[-1.0, 2.0, 0.5, 0.0], [-2.0, 1.0, 0.7, -1.0]]).reshape(2, 4, 1)  # two labels, four pixels
    labels = to_label_map(logits)
    assert labels.dtype == torch.uint8
    assert labels.flatten().tolist() == [0, 1, 2, 0]


def test_one_label_is_a_threshold_at_probability_one_half():
    logits = torch.randn(1, 5, 6, 7)
    assert torch.equal(to_label_map(logits), (logits.sigmoid() > 0.5).to(torch.uint8))


def test_only_the_named_key_is_mapped_and_meta_data_stay():
    logits = MetaTensor(torch.randn(3, 4, 4), affine=2 * torch.eye(4))
    mapped = ToLabelMapd("pred")({"pred": logits, "image": logits})
    assert mapped["image"] is logits
    assert mapped["pred"].shape == (1, 4, 4)
    assert mapped["pred"].affine[0, 0] == 2


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("slide.png", (1, 5, 7), (5, 7)),
        ("slice.nii.gz", (1, 5, 7), (1, 5, 7, 1)),
        ("volume.nii.gz", (1, 5, 7, 3), (1, 5, 7, 3)),
    ],
)
def test_label_maps_get_the_shape_that_a_server_can_write(file, before, after):
    image = MetaTensor(torch.zeros(2, *before[1:]), meta={"filename_or_obj": file, "spatial_shape": list(before[1:])})
    shaped = ShapeForLabelServerd()({"pred": torch.zeros(before), "image": image})
    assert shaped["pred"].shape == after
    assert list(image.meta["spatial_shape"]) == list(after[-len(after) if len(after) == 2 else -3 :])
