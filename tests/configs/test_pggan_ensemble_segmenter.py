"""The PGGAN ensemble's segmenter augments as the paper's section 3.2 says: each transform as the config sets it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from scipy.ndimage import center_of_mass
from scipy.stats import binomtest, kstest

from scripts.transforms.augmentation import Augmentation, RandChange

FOLDER = Path(__file__).parents[2] / "configs"
NAMES = ["RandNoise", "RandBlur", "RandLowResolution", "RandGamma"]
PARTS = ("imports", "augment", "standardise", "train")
CENTRE = 31.5
DRAWS = 300


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / f"pggan_ensemble_segmenter_{name}.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def parser() -> ConfigParser:
    return ConfigParser({key: read("train")[key] for key in PARTS})


@pytest.fixture(scope="module")
def transforms(parser: ConfigParser) -> dict[str, Any]:
    augmentation = parser.get_parsed_content("train#augmentation")
    assert [type(step).__name__ for step in augmentation.moves] == ["RandAffine", "RandAffine"]
    assert [type(step).__name__ for step in augmentation.changes] == NAMES
    return dict(zip(["turn", "scale", *NAMES], [*augmentation.moves, *augmentation.changes], strict=True))


def blob(x: float, y: float) -> torch.Tensor:
    """A round blob of radius about 6 in a black image (1, 64, 64)."""
    grid = torch.arange(64.0)
    square = (grid[:, None] - CENTRE - x) ** 2 + (grid[None] - CENTRE - y) ** 2
    return torch.exp(-square / 18)[None]


def draw(step: Any, image: torch.Tensor, label: torch.Tensor | None = None) -> list[dict[str, np.ndarray]]:
    """What became of the image in the draws that changed it."""
    label = torch.zeros_like(image) if label is None else label
    alone = {"changes" if isinstance(step, RandChange) else "moves": [step]}
    copies = [plane.expand(DRAWS, *plane.shape) for plane in (image, label[:1])]
    made = Augmentation(**alone)(*copies, [np.random.default_rng(seed) for seed in range(DRAWS)])
    changed = (made[0] - image).abs().flatten(1).amax(1) > 1e-4
    pairs = zip(*(planes[changed].numpy() for planes in made), strict=True)
    return [{"image": moved, "label": moved_label} for moved, moved_label in pairs]


def has_share(changed: list[Any], share: float) -> bool:
    return binomtest(len(changed), DRAWS, share).pvalue > 1e-3


def centroid(image: np.ndarray) -> np.ndarray:
    return np.array(center_of_mass(image[0])) - CENTRE


def test_rotation_of_three_quarters_by_up_to_30_degrees(transforms: dict[str, Any]) -> None:
    image = blob(16.0, 0.0)
    turned = draw(transforms["turn"], image, (image > 0.3).float())
    centres = np.array([centroid(made["image"]) for made in turned])
    angles = np.degrees(np.arctan2(centres[:, 1], centres[:, 0]))
    assert has_share(turned, 0.75)
    assert np.abs(angles).max() <= 30.1
    assert kstest(angles, "uniform", (-30, 60)).pvalue > 1e-3
    np.testing.assert_allclose(np.hypot(*centres.T), 16, atol=0.1)
    for made in turned:  # the label map turns with its image and keeps its values
        assert np.abs(centroid(made["label"]) - centroid(made["image"])).max() < 0.5
        assert set(np.unique(made["label"])) == {0, 1}


def test_scaling_of_three_quarters_in_width_and_height_apart(transforms: dict[str, Any]) -> None:
    image = blob(16.0, -12.0)
    scaled = draw(transforms["scale"], image, (image > 0.3).float())
    factors = np.array([centroid(made["image"]) for made in scaled]) / [16, -12]
    assert has_share(scaled, 0.75)
    assert 0.897 < factors.min() < 0.91
    assert 1.09 < factors.max() < 1.103
    assert abs(np.corrcoef(factors.T)[0, 1]) < 0.2
    assert abs(factors.mean() - 1) < 0.015
    for made in scaled:
        assert np.abs(centroid(made["label"]) - centroid(made["image"])).max() < 0.5


def test_noise_of_half_with_uniform_spread_in_units_of_the_full_range(transforms: dict[str, Any]) -> None:
    noisy = draw(transforms["RandNoise"], torch.full((4, 64, 64), 0.5))
    spreads = np.array([made["image"].std() / 2 for made in noisy])  # the full range is 2
    assert has_share(noisy, 0.5)
    assert spreads.max() < 0.0505
    assert kstest(spreads, "uniform", (0, 0.05)).pvalue > 1e-3
    assert abs(np.mean([made["image"].mean() for made in noisy]) - 0.5) < 1e-3


def test_blur_of_a_fifth_with_sigma_of_half_to_one_pixel(transforms: dict[str, Any]) -> None:
    point = torch.full((1, 63, 63), -1.0)
    point[0, 31, 31] = 0
    blurred = draw(transforms["RandBlur"], point)
    grid = np.arange(63.0) - 31
    sides = [(made["image"][0] + 1).sum(axis=axis) for made in blurred for axis in (0, 1)]
    variances = np.array([(side * grid**2).sum() / side.sum() for side in sides])
    sigmas = np.sqrt(variances - 1 / 12)  # the kernel integrates over pixels
    assert has_share(blurred, 0.2)
    assert 0.49 < sigmas.min() < 0.55
    assert 0.95 < sigmas.max() < 1.01


def test_lower_resolution_of_a_quarter_shifts_nothing(transforms: dict[str, Any]) -> None:
    step = transforms["RandLowResolution"]
    coarse = draw(step, blob(9.0, -5.0))
    assert has_share(coarse, 0.25)
    assert all(np.abs(centroid(made["image"]) - [9, -5]).max() < 0.05 for made in coarse)
    grain = torch.rand(1, 64, 64, generator=torch.Generator().manual_seed(0))
    smoothed = [made["image"].var() / grain.var().item() for made in draw(step, grain)]
    assert max(smoothed) < 0.95
    assert (step.low, step.high) == (0.75, 1.0)


def test_gamma_of_three_tenths_between_four_and_six_fifths(transforms: dict[str, Any]) -> None:
    image = torch.linspace(0, 1, 64 * 64).reshape(1, 64, 64)
    bent = draw(transforms["RandGamma"], image)
    gammas = np.array([math.log(made["image"][0, 32, 0]) / math.log(image[0, 32, 0]) for made in bent])
    assert has_share(bent, 0.3)
    assert 0.8 <= gammas.min() < 0.83
    assert 1.17 < gammas.max() <= 1.2001
    assert all(abs(made["image"].max() - 1) < 1e-5 and made["image"].min() == 0 for made in bent)


def test_training_and_validation_end_in_the_same_units(parser: ConfigParser) -> None:
    image = torch.cat([blob(10, 0), blob(-5, 8)]) * 2 - 1
    element = {"image": image, "label": (image[:1] > 0).long()}
    plain = parser.get_parsed_content("standardise")(element)["image"]
    for seed in range(20):
        augment = parser.get_parsed_content("train#augmentation")
        augmented = augment(image[None], element["label"][None], [np.random.default_rng(seed)])[0][0]
        made = parser.get_parsed_content("standardise")({"image": augmented})
        assert type(made["image"]) is torch.Tensor
        for channels in (made["image"], plain):
            torch.testing.assert_close(channels.mean(dim=(1, 2)), torch.zeros(2), atol=1e-5, rtol=0)
            torch.testing.assert_close(channels.std(dim=(1, 2), unbiased=False), torch.ones(2))


def test_augmentation_can_be_left_out() -> None:
    parser = ConfigParser({**{key: read("train")[key] for key in PARTS}, "augment": False})
    assert parser.get_parsed_content("train#augmentation") is None
    assert read("train")["train"]["preprocessing"] == "@standardise"


def test_evaluation_loads_and_builds_as_training_does() -> None:
    train, evaluation = read("train"), read("evaluate")
    assert evaluation["preprocessing"] == {
        **train["preprocessing"],
        "image_size": "$@settings['image_size_pixels']",  # that of the weights
        "label": "whole",
        "standardise": True,
    }
    assert train["standardise"] == {"_target_": "scripts.transforms.intensity.StandardiseSlicesd", "keys": "image"}
    assert train["knowledge"]["settings"] == {"image_size_pixels": "@image_size_pixels"}
    assert train["network_def"]["_target_"] == evaluation["weights"]["network"]
    for key in ("model_file", "output_dir", "description"):
        assert train[key] == evaluation[key], key
    assert train["validate"]["dataset"]["transform"] == "@validate#preprocessing"
    assert train["validate"]["preprocessing"] == "@standardise"
