from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scripts.handlers.image_quality import ImageQuality, intensity_statistics
from scripts.networks.feature_extractor import open_extractor
from scripts.networks.resnet_unet import ResNetUNet

MEANS = {"A": -0.5, "B": 0.5}  # what tells the classes apart


def element(part: str, name: str, patient: int, rng: np.random.Generator) -> dict:
    image = np.clip(rng.normal(MEANS[name], 0.1, (1, 32, 32)), -0.94, 1).astype(np.float32)
    source = f"{part}{patient}"
    return {"part": part, "image": torch.from_numpy(image), "class_index": "AB".index(name), "source_patient": source}


def run(tmp_path, synthetic_looks: str, extractor_file=None) -> dict:
    """Quality of synthetic images that were asked to be A and B in turn and look like `synthetic_looks` in turn."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    segmenter = ResNetUNet(1, 1, encoder_widths=[4, 4, 4, 4], decoder_widths=[4, 4, 4, 4, 4])
    batch = [element(part, "AB"[n % 2], n, rng) for part in ("training", "held_out") for n in range(8)]
    for n in range(8):
        batch.append({**element("synthetic", synthetic_looks[n % 2], n, rng), "class_index": n % 2})
    label = torch.zeros(1, 32, 32)
    label[:, :8] = 1
    half = label.clone()
    half[:, 4:] = 0  # 4 of 8 rows found: Dice 2 * 4 / (4 + 8)
    state = SimpleNamespace(
        batch=batch, output=[{"pred": half, "label": label}] * len(batch), device=torch.device("cpu")
    )
    file = tmp_path / "quality.json"
    size = {"device": torch.device("cpu"), "image_channels": 1, "image_size": 32}
    extractor = open_extractor(extractor_file, segmenter.train(), **size)
    handler = ImageQuality(extractor, foreground_count=1, classes=["A", "B"], file=file, system="redgan")
    assert segmenter.training == bool(extractor_file)  # its features must not depend on the batch
    engine = SimpleNamespace(state=state)
    for step in (handler.start, handler.add, handler.finish):
        step(engine)
    return json.loads(file.read_text())["redgan"]


def test_images_that_look_as_asked_are_as_good_as_real_ones(tmp_path):
    quality = run(tmp_path, "AB")
    assert quality["specificity"]["balanced_accuracy"] == quality["specificity"]["ceiling"] == 1
    assert quality["mask_dice"]["value"] == pytest.approx(2 / 3)
    assert quality["frechet"]["low"] <= quality["frechet"]["floor"]
    assert quality["neighbourhoods"].keys() == {"precision", "recall", "density", "coverage"}
    assert (quality["nearest"], quality["extractor"]) == (5, "ResNetUNet.encode")


def test_images_that_all_look_alike_are_right_half_the_time_and_lie_farther_away(tmp_path):
    quality = run(tmp_path, "AA")
    assert quality["specificity"]["balanced_accuracy"] == pytest.approx(0.5)
    assert quality["frechet"]["value"] > quality["frechet"]["floor"]
    assert quality["kid"] is None  # of standardised features it would be dominated by a few rare ones


def test_features_of_a_users_network_are_compared_as_they_are(tmp_path):
    pooled = torch.nn.Sequential(torch.nn.AvgPool2d(16), torch.nn.Flatten())
    torch.jit.save(torch.jit.script(pooled), tmp_path / "pooled.ts")
    quality = run(tmp_path, "AA", tmp_path / "pooled.ts")
    assert quality["kid"]["value"] > quality["kid"]["floor"]
    assert 0 < quality["frechet"]["value"] < 4 * 4  # of four means in [-1, 1]; in standard deviations it is larger


def test_intensity_statistics_are_deciles_above_the_background_and_the_gradient():
    ramp = np.linspace(-1, 1, 101, dtype=np.float32)[None, :, None].repeat(3, axis=2)
    deciles, gradient = intensity_statistics(ramp)[:9], intensity_statistics(ramp)[9]
    bright = ramp[ramp > -0.95]
    np.testing.assert_allclose(deciles, np.quantile(bright, np.arange(1, 10) / 10), atol=1e-6)
    assert gradient == pytest.approx(0.02, rel=1e-4)
    np.testing.assert_array_equal(intensity_statistics(np.full((1, 4, 4), -1.0)), [-1] * 9 + [0])
