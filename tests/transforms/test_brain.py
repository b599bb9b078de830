"""Skull stripping on heads of discs and rings, on stripped and blank images, and on real ones."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Orientation
from PIL import Image

from scripts.data.cache import VolumeCache
from scripts.data.contract import Dataset
from scripts.transforms.brain import StripSkulld, find_brain
from scripts.transforms.geometry import CanonicalOrientationd
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import read_image
from scripts.transforms.preprocessing import slice_preprocessing

SIDE = 96  # pixels of 2.5 mm
BRAIN, BONE, SCALP = 70.0, 78.0, 85.0  # mm, outer radii


def make_head(*, dimensions: int = 2, skull: bool = True, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A noisy image (1, X, Y[, Z]) in [-1, 1] of an ellipse in two rings; where its brain and its scalp are."""
    sides = (SIDE, SIDE, 40)[:dimensions]
    axes = [(np.arange(side) - (side - 1) / 2) * size for side, size in zip(sides, (2.5, 2.5, 5), strict=False)]
    grid = np.meshgrid(*axes, indexing="ij")
    radius = np.sqrt(sum((x / scale) ** 2 for x, scale in zip(grid, (1, 1.2, 1), strict=False)))
    brain, scalp = radius < BRAIN, (radius > BONE) & (radius < SCALP)
    levels = np.where(brain, 0.5, np.where(scalp & skull, 0.9, 0.05))
    levels[grid[0] ** 2 + grid[1] ** 2 < 15**2] = 0.15  # a ventricle
    levels += np.random.default_rng(seed).normal(0, 0.02, levels.shape) * (skull | brain)
    if not skull:
        levels[~brain] = 0
    return np.clip(levels * 2 - 1, -1, 1)[None].astype(np.float32), brain, scalp


def strip(image: np.ndarray, **item: Any) -> np.ndarray:
    affine = torch.diag(torch.tensor([2.5, 2.5, 5.0, 1.0]))
    return StripSkulld("image")({"image": MetaTensor(image.copy(), affine=affine), **item})["image"].numpy()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_scalp_goes_and_brain_stays(dimensions: int) -> None:
    image, brain, scalp = make_head(dimensions=dimensions)
    stripped = strip(image)
    kept = stripped == image
    assert kept[0][brain].mean() > 0.98
    assert (stripped[0][scalp] == -1).mean() > 0.95


@pytest.mark.parametrize("dimensions", [2, 3])
def test_stripped_images_stay_as_they_are(dimensions: int) -> None:
    image = make_head(dimensions=dimensions, skull=False)[0]
    image[0, 20:32, 40:56] = -0.9  # a dark lesion at the brain's border
    np.testing.assert_array_equal(strip(image), image)


def test_stripping_twice_is_stripping_once() -> None:
    once = strip(make_head()[0])
    np.testing.assert_array_equal(strip(once), once)


@pytest.mark.parametrize("image", [np.full((2, 20, 20), -1.0), np.full((1, 8, 8, 4), 0.5), np.ones((1, 1, 1))])
def test_blank_images_stay_as_they_are(image: np.ndarray) -> None:
    assert find_brain(image, [1.0] * (image.ndim - 1)).all()


def test_a_lesion_at_the_rim_stays_bright_or_dark() -> None:
    image, brain, _ = make_head()
    lesion = np.zeros_like(brain)
    lesion[22:32, 44:54] = brain[22:32, 44:54]
    for level in (0.95, -0.6):
        image[0][lesion] = level
        assert find_brain(image, (2.5, 2.5))[lesion].mean() > 0.95


def test_all_48_orientations_of_a_head_give_the_same_brain() -> None:
    axes = ("RL", "AP", "IS")
    affine = torch.diag(torch.tensor([-2.5, -2.5, 5.0, 1.0]))
    head = MetaTensor(make_head(dimensions=3)[0][..., 17:21], affine=affine)
    process = Compose([CanonicalOrientationd("image"), StripSkulld("image")])
    expected = process({"image": head})["image"]
    assert not torch.equal(expected, head)
    for order in itertools.permutations(axes):
        for letters in itertools.product(*order):
            turned = Orientation("".join(letters), labels=(("L", "R"), ("P", "A"), ("I", "S")))(head)
            assert torch.equal(process({"image": turned})["image"], expected)


def test_a_plane_image_without_pixel_size_is_taken_for_240_mm_wide() -> None:
    image, brain, _ = make_head()  # 96 pixels of 2.5 mm are 240 mm
    plain = StripSkulld("image")({"image": MetaTensor(image.copy())})["image"].numpy()
    np.testing.assert_array_equal(plain, strip(image))
    assert (plain[0][brain] > -1).mean() > 0.98


def test_labels_and_synthetic_items_are_left_alone() -> None:
    image = make_head()[0]
    np.testing.assert_array_equal(strip(image, synthetic={"system": "cpggan"}), image)
    label = MetaTensor(torch.ones(1, SIDE, SIDE))
    item = StripSkulld("image")({"image": MetaTensor(image), "label": label})
    assert item["label"] is label


@pytest.mark.parametrize(("place", "warnings"), [(slice(40, 50), 0), (slice(0, 5), 1)])
def test_a_lesion_outside_the_brain_is_told(place: slice, warnings: int, caplog: pytest.LogCaptureFixture) -> None:
    label = torch.zeros(1, SIDE, SIDE)
    label[0, place, 40:50] = 1
    with caplog.at_level(logging.WARNING):
        strip(make_head()[0], label=label)
    assert len(caplog.records) == warnings
    assert all("100% of the lesion lies outside the brain" in record.message for record in caplog.records)


CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_option_strips_what_networks_see(tmp_path: Path) -> None:
    """The preprocessing of all configs; the cache's key follows."""
    image, brain, scalp = make_head()
    Image.fromarray(((image[0].T + 1) * 127.5).astype(np.uint8)).save(tmp_path / "image.png")
    Image.fromarray(np.zeros((SIDE, SIDE), dtype=np.uint8)).save(tmp_path / "label.png")
    item = {"image": str(tmp_path / "image.png"), "label": str(tmp_path / "label.png")}
    description = Dataset(tmp_path, "head", ["MR"], ["background", "lesion"])
    plain, stripping = (
        slice_preprocessing(description=description, image_size=SIDE, strip_skull=asked) for asked in (False, True)
    )
    assert (plain(item)["image"].numpy()[0][scalp] > 0.5).all()
    stripped = stripping(item)["image"].numpy()[0]
    assert (stripped[scalp] == -1).mean() > 0.95
    assert (stripped[brain] > -1).mean() > 0.98
    assert VolumeCache(tmp_path, plain)._key(item) != VolumeCache(tmp_path, stripping)._key(item)


@pytest.mark.parametrize("name", ["train", "inference", "detector_train", "detector_inference"])
def test_every_config_of_the_system_passes_the_option_on(name: str) -> None:
    config = json.loads((CONFIGS / f"cpggan_{name}.json").read_text(encoding="utf-8"))
    assert "strip_skull" in config["preprocessing"]["strip_skull"]
    assert "strip_skull" in config


@pytest.mark.realdata
def test_a_real_head_loses_its_scalp(real_data: Path) -> None:
    """One slice of TCGA-LGG."""
    folder = real_data / "lgg_mri" / "TCGA_DU_7010_19860307"
    file = sorted(file for file in folder.glob("*.png") if "mask" not in file.name)[4]
    image = ToSignedRanged("image", [0, 160])({"image": read_image(str(file))})["image"]
    brain = find_brain(image.numpy(), (240 / 256,) * 2)
    assert 0.15 < brain.mean() < 0.5


@pytest.mark.realdata
def test_a_stripped_volume_stays_whole_in_all_orientations(real_data: Path) -> None:
    files = sorted((real_data / "volumes" / "orientations").glob("*.nii.gz"))[::12]
    for file in files:
        item = CanonicalOrientationd("image")({"image": read_image(str(file))})
        ranged = ToSignedRanged("image")(item)
        assert torch.equal(StripSkulld("image")(ranged)["image"], ranged["image"])
