from __future__ import annotations

import numpy as np
import pytest
import torch

from scripts.transforms.aspect import RandAspectd

SIZE = 64


def element() -> dict[str, torch.Tensor]:
    """A bright rectangle, its label and its box."""
    image, label = torch.full((1, SIZE, SIZE), -0.5), torch.zeros(1, SIZE, SIZE, dtype=torch.int64)
    image[0, 10:30, 24:56], label[0, 10:30, 24:56] = 1, 2
    return {"image": image, "label": label, "boxes": torch.tensor([[10.0, 24, 30, 56]])}


def extent(inside: torch.Tensor) -> list[int]:
    """The box of the pixels inside, (S, S) bool."""
    x, y = (torch.nonzero(inside.any(dim=axis)).flatten() for axis in (1, 0))
    return [int(x[0]), int(y[0]), int(x[-1]) + 1, int(y[-1]) + 1]


def test_one_axis_shrinks_by_the_drawn_ratio_and_boxes_go_along() -> None:
    transform, axes = RandAspectd(["image", "label"], box_key="boxes", jitter=0.3), set()
    for seed in range(40):
        moved = transform.set_random_state(seed)(element())
        slice_box = extent(moved["image"][0] > -1)  # all but the filling
        sides = [slice_box[2] - slice_box[0], slice_box[3] - slice_box[1]]
        assert max(sides) == SIZE
        assert min(sides) / SIZE == pytest.approx(min(transform.ratio, 1 / transform.ratio), abs=0.5 / SIZE)
        assert 0.7 / 1.3 - 0.01 < min(sides) / SIZE <= 1
        axes.add(int(np.argmin(sides)))
        assert moved["image"].shape == (1, SIZE, SIZE)
        assert extent(moved["label"][0] == 2) == pytest.approx(moved["boxes"][0].tolist(), abs=1)
        assert moved["label"].dtype == torch.int64
    assert axes == {0, 1}


def test_no_jitter_changes_nothing() -> None:
    moved, given = RandAspectd(["image", "label"], box_key="boxes", jitter=0)(element()), element()
    assert all(torch.equal(moved[key], given[key]) for key in given)


def test_a_slice_without_boxes_stays_one() -> None:
    moved = RandAspectd(["image"], box_key="boxes")({**element(), "boxes": torch.zeros(0, 4)})
    assert moved["boxes"].shape == (0, 4)


def test_a_jitter_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"aspect_jitter is 1\.2, expected a share from 0 to below 1"):
        RandAspectd(["image"], box_key="boxes", jitter=1.2)
