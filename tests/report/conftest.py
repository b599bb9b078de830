"""A made-up results folder, with differences between arms that the tests choose."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

ARMS = (
    ("real", "Real only", "baseline", 0.0),
    ("classical", "Classical augmentation", "alternative", 0.02),
    ("oversampling", "Oversampling", "alternative", 0.025),
    ("gan", "GAN", "gan", 0.035),
    ("both", "GAN + classical", "gan", 0.045),
    ("synthetic", "Synthetic only", "gan", -0.12),
)
CLASSES = {"CS": 11, "DU": 7, "FG": 3, "HT": 6, "EZ": 1}


def write_results(
    folder: Path,
    *,
    gains: dict[str, float] | None = None,
    classes: dict[str, int] | None = None,
    noise: float = 0.03,
    folds: int = 2,
    extras: bool = True,
) -> Path:
    """Write a results folder whose arms gain `gains[arm]` Dice over the baseline, with patient-level noise."""
    rng = np.random.default_rng(0)
    classes = CLASSES if classes is None else classes
    slices = {name: 14 * count + 3 for name, count in classes.items()}
    balanced = {name: max(slices.values()) - count for name, count in slices.items()}
    arms = [arm for arm in ARMS if gains is None or arm[0] in gains or arm[2] == "baseline"]
    experiment = {
        "title": "Do Red-GAN images help segment low-grade gliomas?",
        "dataset": {
            "name": "TCGA-LGG, FLAIR and T1 \u2014 <five centres>",
            "path": "lgg_mri",
            "patients": sum(classes.values()),
            "slices": sum(slices.values()),
            "classes": {name: {"patients": classes[name], "slices": slices[name]} for name in classes},
        },
        "arms": [
            {"name": name, "title": title, "kind": kind, "synthetic": balanced if kind == "gan" else {}}
            for name, title, kind, _ in arms
        ],
        "baseline": "real",
        "folds": list(range(folds)),
        "seeds": [0],
        "image_size": 64,
        "command": "snakemake --snakefile scripts/experiments/redgan.smk --cores 2 --config dataset_dir=lgg_mri",
        "commit": "3f2a9c1",
        "hardware": "2 CPU cores (AMX), 16 GB",
        "seconds": {"redgan_train fold 0": 4210.0, "segmenter real fold 0": 812.4, "synthesise fold 0": 41.0},
        "versions": {"python": "3.11.9", "torch": "2.13.0", "monai": "1.6.1"},
        "published": [{"what": "Synthetic only, SPADE to + third player", "published": ".648 to .660", "ours": 0.51}],
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(experiment))
    patients = [(f"{name}_{index:03d}", name) for name, count in classes.items() for index in range(count)]
    level = {patient: rng.beta(9, 3) * 0.9 for patient, _ in patients}
    for name, _, _, gain in arms:
        gain = gain if gains is None else gains.get(name, 0.0)
        for fold in range(folds):
            path = folder / "arms" / name / f"fold{fold}_seed0.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(["patient", "class", "label", "dice", "iou", "hd95_mm", "volume_error_ml"])
                for number, (patient, class_name) in enumerate(patients):
                    if number % folds != fold:
                        continue
                    dice = float(np.clip(level[patient] + gain + rng.normal(0, noise), 0, 0.99))
                    row = [dice, dice / (2 - dice), 30 * (1 - dice), rng.normal(0, 6)]
                    writer.writerow([patient, class_name, "tumour", *row])
    if extras:
        _write_extras(folder, rng)
    return folder


def _write_extras(folder: Path, rng: np.random.Generator) -> None:
    (folder / "curves").mkdir(exist_ok=True)
    for name, columns in (
        ("redgan_fold0", ("generator_hinge", "feature_matching", "discriminator_real", "discriminator_fake")),
        ("segmenter_real_fold0", ("train_loss", "validation_loss")),
        ("segmenter_gan_fold0", ("train_loss", "validation_loss")),
    ):
        steps = np.arange(1, 1201 if name.startswith("redgan") else 61)
        decay = [1.5 * np.exp(-steps / len(steps) * (2 + k)) + 0.3 * k + 0.2 for k in range(len(columns))]
        with (folder / "curves" / f"{name}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["iteration" if name.startswith("redgan") else "epoch", *columns])
            for index, step in enumerate(steps):
                writer.writerow([step, *(d[index] + rng.normal(0, 0.04) for d in decay)])
    (folder / "pictures").mkdir(exist_ok=True)
    for name in ("CS", "DU"):
        Image.fromarray(_draw_grid(rng)).save(folder / "pictures" / f"{name}.png")
    distance = {"value": 48.2, "low": 41.0, "high": 55.4, "floor": 11.3, "floor_low": 9.8, "floor_high": 12.8, "n": 120}
    kernel = {"value": 0.0121, "low": 0.009, "high": 0.015, "floor": 0.0002, "floor_low": -0.001, "floor_high": 0.0014}
    specificity = {"balanced_accuracy": 0.61, "ceiling": 0.83, "chance": 0.2, "recall": {"CS": 0.9, "DU": 0.32}}
    quality: dict[str, Any] = {
        "Red-GAN": {
            "frechet": distance,
            "kernel": {**kernel, "n": 120},
            "specificity": specificity,
            "mask_dice": {"value": 0.742, "low": 0.71, "high": 0.77},
        },
        "SPADE, without third player": {"frechet": {**distance, "value": 52.9, "low": 45.0, "high": 60.1}},
    }
    (folder / "quality.json").write_text(json.dumps(quality))


def _draw_grid(rng: np.random.Generator, *, columns: int = 8, size: int = 64) -> np.ndarray:
    """Three rows of ellipses: image, mask, image."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    grid = np.zeros((3 * (size + 2), columns * (size + 2)), np.uint8)
    for column in range(columns):
        a, b = rng.uniform(-0.3, 0.3, 2)
        brain, lesion = (x**2 / 0.6 + y**2 / 0.85) < 1, ((x - a) ** 2 + (y - b) ** 2) < 0.06
        picture = brain * (90 + 30 * np.cos(7 * x + a) * np.cos(5 * y + b)) + lesion * brain * 80
        cells = [picture + brain * rng.normal(0, s, picture.shape) for s in (4, 12)]
        for row, cell in enumerate((cells[0], lesion * 255.0, cells[1])):
            top, left = row * (size + 2), column * (size + 2)
            grid[top : top + size, left : left + size] = np.clip(cell, 0, 255)
    return grid


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Writes a results folder under the test's own folder; arguments as `write_results`."""
    return lambda **choices: write_results(tmp_path / "results", **choices)
