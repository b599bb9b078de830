"""Made-up results folders and studies, with differences between arms that the tests choose."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.metrics.box_matching import SliceBoxes, check_slice, match_slices
from scripts.metrics.classification import ClassScores
from scripts.scores.box_tables import IOUS, write_box_tables
from scripts.scores.class_tables import write_scores

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


STUDY_ARMS = (
    ("original", "Original", "baseline"),
    ("gan", "GAN", "gan"),
    ("classical", "Classical augmentation", "alternative"),
    ("gan_classical", "GAN + classical", "gan"),
)
PUBLISHED = {
    "dice": {"original": {"0.025": 0.244, "0.1": 0.478, "0.25": 0.565, "1": 0.628}, "gan_classical": {"0.1": 0.538}},
    "precision": {"original": {"0.025": 0.408}},
    "recall": {"original": {"0.025": 0.36}},
    "dice_by_label": {"IPH": {"original": {"0.025": 0.772}}, "EDH": {"original": {"0.025": 0.424}}},
}


def write_study(
    folder: Path,
    *,
    added: dict[float, float] | None = None,
    patients: int = 14,
    noise: float = 0.02,
    extras: bool = True,
    seeds: int = 1,
    full_arms: tuple[str, ...] = ("original", "classical", "gan", "gan_classical"),
) -> Path:
    """Write a study in which the GAN adds `added[fraction]` Dice on top of classical augmentation."""
    added = {0.025: 0.06, 0.1: 0.03, 0.25: 0.0, 1.0: 0.0} if added is None else added
    rng = np.random.default_rng(1)
    fractions = []
    for share, gain in added.items():
        arms = [arm for arm in STUDY_ARMS if share < 1 or arm[0] in full_arms]
        level = 0.35 + 0.18 * np.log10(share / 0.025)
        gains = {"original": 0.0, "gan": 0.05 * (1 - share), "classical": 0.08 * (1 - share)}
        gains["gan_classical"] = gains["classical"] + gain
        name = f"fraction_{share:g}"
        _write_fraction(folder / name, arms, level, gains, patients=patients, noise=noise, seeds=seeds, rng=rng)
        entry = {
            "fraction": share,
            "folder": name,
            "patients": max(1, round(40 * share)),
            "slices": round(1600 * share),
        }
        fractions.append(entry)
        if extras and share < 1:
            _write_fraction_extras(folder / name, arms, level, rng, patients=patients, seeds=seeds)
    study = {
        "title": "What does LcGAN add to classical augmentation?",
        "fractions": fractions,
        "gan": "gan_classical",
        "alternative": "classical",
        "command": "snakemake --snakefile scripts/experiments/lcgan.smk --cores 2",
        "commit": "5d3c1aa",
        "hardware": "2 CPU cores (AMX), 16 GB",
        "seconds": {"2.5% lcgan_train": 1210.0, "10% lcgan_train": 4210.0, "10% segmenter original": 812.4},
        "versions": {"python": "3.11.9", "torch": "2.13.0"},
        "published": PUBLISHED if extras else {},
    }
    (folder / "study.json").write_text(json.dumps(study))
    return folder


def _write_fraction(
    folder: Path,
    arms: list[tuple[str, str, str]],
    level: float,
    gains: dict[str, float],
    *,
    patients: int,
    noise: float,
    seeds: int,
    rng: np.random.Generator,
) -> None:
    experiment = {
        "title": "One fraction",
        "dataset": {"name": "CT of <five> types", "path": "ct", "patients": 60, "slices": 2200},
        "arms": [{"name": name, "title": title, "kind": kind} for name, title, kind in arms],
        "baseline": "original",
        "folds": [None],
        "seeds": list(range(seeds)),
        "image_size": 256,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(experiment))
    spread = rng.normal(0, 0.1, patients)
    for name, _, _ in arms:
        for seed in range(seeds):
            path = folder / "arms" / name / f"foldNone_seed{seed}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(["patient", "class", "label", "dice", "iou", "hd95_mm", "volume_error_ml"])
                for number in range(patients):
                    for label, offset in (("IPH", 0.2), ("IVH", 0.0)):
                        if label == "IVH" and number % 3 == 0:
                            writer.writerow([f"p{number:02d}", "", label, "nan", "nan", "nan", 0])
                            continue
                        dice = np.clip(level + offset + gains[name] + spread[number] + rng.normal(0, noise), 0, 0.99)
                        writer.writerow([f"p{number:02d}", "", label, dice, dice / (2 - dice), 9.0, 0.4])


def _write_fraction_extras(
    folder: Path,
    arms: list[tuple[str, str, str]],
    level: float,
    rng: np.random.Generator,
    *,
    patients: int,
    seeds: int,
) -> None:
    columns = ["patient", "image", "label", "outcome", "dice", "predicted_pixels", "reference_pixels"]
    for rank, (name, _, _) in enumerate(arms):
        chances = np.array([level + 0.05 * rank + 0.1, 0.35, 0.2, 0.1])
        for seed in range(seeds):
            path = folder / "detections" / name / f"foldNone_seed{seed}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", newline="") as stream:
                writer = csv.writer(stream)
                writer.writerow(columns)
                for row in range(patients * 12):
                    outcome = rng.choice(
                        ["true_positive", "missed", "false_positive", "ignored"], p=chances / chances.sum()
                    )
                    label = ("IPH", "IVH")[row % 2]
                    writer.writerow([f"p{row % patients:02d}", f"i{row}", label, outcome, 0.5, 300, 300])
    (folder / "pictures").mkdir(exist_ok=True)
    Image.fromarray(_draw_grid(rng)).save(folder / "pictures" / "chosen_generator.png")
    numbers = {
        "images": 40,
        "laplacian_variance": 0.0123,
        "fourier_mean": 0.0561,
        "called_real": 0.35,
        "nearest_training": 0.121,
    }
    score = {"value": 0.61, "low": 0.55, "high": 0.68}
    candidates = [
        {"name": f"epoch_{epoch:04d}", **numbers, "fcn_score": score, "mean_rank": 2.0, "chosen": epoch == 50}
        for epoch in (10, 50, 100, 200)
    ]
    candidates[0] |= {"called_real": None, "fcn_score": {"value": 0.4, "low": None, "high": None}}
    selection = {
        "system": "lcgan",
        "criterion": "the lowest mean rank over FCN score, variance of the Laplacian and share called real",
        "scorer": "trained on the same patients",
        "notes": ["The classifier saw 40 real images."],
        "rules": {"minimum_fcn_score": 0.25, "minimum_sharpness": 0.5, "minimum_realness": 0.1},
        "candidates": candidates,
        "real": {"training": {**numbers, "fcn_score": score}, "held_out": {**numbers, "fcn_score": score}},
        "filters": {"images": 40, "kept": 31, "rejected": {"fcn_score": 3, "sharpness": 4, "realness": 6}},
    }
    (folder / "selection.json").write_text(json.dumps(selection))


@pytest.fixture
def make_study(tmp_path: Path) -> Callable[..., Path]:
    """Writes a study's folder under the test's own folder; arguments as `write_study`."""
    return lambda **choices: write_study(tmp_path / "study", **choices)


@pytest.fixture
def make_results(tmp_path: Path) -> Callable[..., Path]:
    """Writes a results folder under the test's own folder; arguments as `write_results`."""
    return lambda **choices: write_results(tmp_path / "results", **choices)


DETECTOR_TITLES = {"real": "Real only", "gan": "Real + <synthetic>", "plain": "Real + synthetic, these not augmented"}


def make_slices(skill: float, seed: int, *, patients: int) -> list[SliceBoxes]:
    """Three slices of each patient, with the same truths whatever the skill, the chance with which each is found."""
    truth, luck = np.random.default_rng(0), np.random.default_rng([seed, 1])
    slices = []
    for number in range(3 * patients):
        corner, side = truth.uniform(0, 40, (truth.integers(0, 4), 2)), truth.uniform(6, 22)
        true = np.concatenate([corner, corner + side], axis=1)
        found = true[luck.random(len(true)) < skill] + luck.uniform(-side / 8, side / 8)
        strays = np.concatenate([far := luck.uniform(64, 90, (luck.poisson(2 + skill), 2)), far + 8], axis=1)
        scores = np.concatenate([luck.beta(4, 2, len(found)), luck.beta(2, 3, len(strays))])
        slices.append(
            check_slice(
                f"p{number // 3:02d}",
                f"s{number:03d}",
                class_count=1,
                boxes=np.concatenate([found, strays]),
                scores=scores,
                classes=np.zeros(len(scores)),
                true_boxes=true,
                true_classes=np.zeros(len(true)),
            )
        )
    return slices


def write_detectors(
    folder: Path, runs: dict[str, list[list[SliceBoxes]]], *, folds: int = 1, captions: Any = None, **described: Any
) -> Path:
    """Write the results of a detection experiment from the slices of every arm and seed; real is the baseline."""
    settings = {"classes": ["lesion"], "detection_threshold": 0.001}
    experiment = {
        "title": "Do CPGGAN's <images> help?",
        "dataset": {"name": "Metastases", "path": "lgg", "patients": 40, "slices": 900},
        "arms": [
            {
                "name": name,
                "title": DETECTOR_TITLES.get(name, name),
                "kind": "baseline" if name == "real" else "gan",
                "synthetic": {} if name == "real" else {"": 4000},
            }
            for name in runs
        ],
        "baseline": "real",
        "folds": list(range(folds)),
        "seeds": list(range(len(runs["real"]))),
        "captions": captions,
        "command": "snakemake -s scripts/experiments/cpggan.smk --cores 2",
        "seconds": {"generator": 5000.0},
        "detectors": {**settings, **described},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(experiment))
    for name, trainings in runs.items():
        for seed, slices in enumerate(trainings):
            place = {patient: n % folds for n, patient in enumerate(dict.fromkeys(each.patient for each in slices))}
            for fold in range(folds):
                mine = [each for each in slices if place[each.patient] == fold]
                run = folder / "arms" / name / f"fold{fold}_seed{seed}"
                matches = {iou: match_slices(mine, 1, iou_threshold=iou) for iou in IOUS}
                write_box_tables(run, mine, matches, settings["classes"], threshold=0.001)  # type: ignore[arg-type]
                (run / "detection.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def make_detectors(tmp_path: Path) -> Callable[..., Path]:
    """Writes results of detectors: `skills` of the arms, or `runs`, the slices of every arm and seed themselves."""

    def make(
        *, skills: dict[str, float] | None = None, seeds: int = 2, patients: int = 12, runs: Any = None, **choices: Any
    ) -> Path:
        made = {
            name: [make_slices(skill, 10 * seed + place, patients=patients) for seed in range(seeds)]
            for place, (name, skill) in enumerate((skills or {"real": 0.5, "gan": 0.9}).items())
        }
        return write_detectors(tmp_path / "detectors", runs or made, **choices)

    return make


GRADING_ARMS = {  # title, kind, synthetic features
    "real": ("Real features only", "baseline", 0),
    "class_weights": ("Real only, <class weights>", "alternative", 0),
    "smote": ("Real only, SMOTE", "alternative", 0),
    "features_600": ("Real + 600 generated features", "gan", 600),
    "features_1200": ("Real + 1,200 generated features", "gan", 1200),
    "images_1200": ("Real + 1,200 features of generated images", "gan", 1200),
}


def make_class_scores(skill: float, seed: int, *, patients: int) -> ClassScores:
    """Five slices of each patient, 3 in 5 HGG, whose logits lie `skill` towards the true class."""
    luck, spread = np.random.default_rng([seed, 1]), np.random.default_rng(2).normal(0, 0.7, patients)
    truths = np.array([0 if number % 5 < 3 else 1 for number in range(patients)])
    owners = np.repeat(np.arange(patients), 5)
    logits = skill * (2 * truths[owners] - 1) + spread[owners] + luck.normal(0, 1, len(owners)) - 0.3
    probability = 1 / (1 + np.exp(-logits))
    sources = [f"s{number:03d}" for number in range(len(owners))]
    names = [f"p{owner:02d}" for owner in owners]
    return ClassScores(["HGG", "LGG"], sources, names, truths[owners], np.stack([1 - probability, probability], axis=1))


def write_grading(
    folder: Path, runs: dict[str, list[ClassScores]], *, folds: int = 1, captions: Any = None, **described: Any
) -> Path:
    """Write the results of a grading experiment from the probabilities of every arm and seed; real is the baseline."""
    classes = runs["real"][0].classes
    arms = {name: GRADING_ARMS[name] for name in runs}
    experiment = {
        "title": "Do synthetic <features> help to grade tumours?",
        "dataset": {"name": "TCGA-LGG, grades", "path": "lgg_mri", "patients": 40, "slices": 900},
        "arms": [
            {"name": name, "title": title, "kind": kind, "synthetic": {"": count} if count else {}}
            for name, (title, kind, count) in arms.items()
        ],
        "baseline": "real",
        "folds": list(range(folds)),
        "seeds": list(range(len(runs["real"]))),
        "captions": captions,
        "command": "snakemake -s scripts/experiments/feature_acgan.smk --cores 2",
        "seconds": {"gan fold 0": 5000.0},
        "grading": {"classes": classes, "level": "bottleneck", "feature_shape": [1024, 15, 15], **described},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "experiment.json").write_text(json.dumps(experiment))
    for name, trainings in runs.items():
        for seed, scores in enumerate(trainings):
            place = {patient: n % folds for n, patient in enumerate(dict.fromkeys(scores.patients))}
            for fold in range(folds):
                rows = [n for n, patient in enumerate(scores.patients) if place[patient] == fold]
                sources, patients = ([names[n] for n in rows] for names in (scores.sources, scores.patients))
                mine = ClassScores(classes, sources, patients, scores.truths[rows], scores.probabilities[rows])
                run = folder / "arms" / name / f"fold{fold}_seed{seed}"
                write_scores(run / "scores.csv", mine)
                (run / "classification.json").write_text(json.dumps({"classes": classes, "vote": "mean"}))
    return folder


@pytest.fixture
def make_grading(tmp_path: Path) -> Callable[..., Path]:
    """Writes results of grading: `skills` of the arms, or `runs`, the probabilities of every arm and seed."""

    def make(
        *, skills: dict[str, float] | None = None, seeds: int = 2, patients: int = 20, runs: Any = None, **choices: Any
    ) -> Path:
        made = {
            name: [make_class_scores(skill, 10 * seed + place, patients=patients) for seed in range(seeds)]
            for place, (name, skill) in enumerate((skills or {"real": 0.2, "features_1200": 2.0}).items())
        }
        return write_grading(tmp_path / "grading", runs or made, **choices)

    return make
