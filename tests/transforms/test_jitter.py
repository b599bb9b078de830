from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from scripts.transforms.jitter import RandJitterd

SIZE = 16  # 286/256 of it are 17.875, so 18


def element() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(2, SIZE, SIZE, generator=generator) * 2 - 1
    return {"image": image, "label": torch.randint(0, 4, (1, SIZE, SIZE), generator=generator)}


def test_the_jitter_cuts_one_window_of_the_enlarged_image_and_label() -> None:
    given = element()
    image = functional.interpolate(given["image"][None], [18, 18], mode="bilinear")[0]
    label = functional.interpolate(given["label"][None].float(), [18, 18], mode="nearest-exact")[0].long()
    windows = [(slice(x, x + SIZE), slice(y, y + SIZE)) for x in range(3) for y in range(3)]
    transform, seen = RandJitterd(["image", "label"], jitter=True, flip_probability=(0, 0)), set()
    for seed in range(60):
        moved = transform.set_random_state(seed)(element())
        same = [n for n, (x, y) in enumerate(windows) if torch.allclose(moved["image"], image[:, x, y])]
        assert len(same) == 1
        x, y = windows[same[0]]
        assert torch.equal(moved["label"], label[:, x, y])
        seen |= set(same)
    assert seen == set(range(9))


@pytest.mark.parametrize(("chances", "flipped"), [((1, 0), [1]), ((0, 1), [2]), ((1, 1), [1, 2]), ((0, 0), [])])
def test_flips_mirror_image_and_label_along_the_axes_asked_for(chances: tuple[int, int], flipped: list[int]) -> None:
    moved, given = RandJitterd(["image", "label"], flip_probability=chances)(element()), element()
    for key in ("image", "label"):
        assert torch.equal(moved[key], given[key].flip(flipped))
        assert moved[key].dtype == given[key].dtype


def test_half_the_slices_are_mirrored() -> None:
    transform, given = RandJitterd(["image", "label"]).set_random_state(0), element()
    mirrored = np.mean([not torch.equal(transform(element())["image"], given["image"]) for _ in range(400)])
    assert mirrored == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("chances", [[0.5], [0.5, 1.5], [-0.1, 0]])
def test_other_chances_are_refused(chances: list[float]) -> None:
    with pytest.raises(ValueError, match=r"flip_probability is \[.*\], expected the chances along x and y"):
        RandJitterd(["image", "label"], flip_probability=chances)
