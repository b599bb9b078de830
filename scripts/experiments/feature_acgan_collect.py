"""Gathers what the Feature AC-GAN's workflow left behind into the folder that the report reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import fire

from scripts.data.contract import read_dataset, write_json
from scripts.data.features import FeatureSet
from scripts.data.splits import select_items
from scripts.experiments.arms import Arm
from scripts.experiments.feature_acgan_arms import make_arms
from scripts.experiments.record import copy_curves, describe_dataset, describe_run, read_config, sum_seconds

SPACES = {"features": "Generated features", "images": "Generated images"}
PICTURES = {"tsne_features": "t-SNE of real features and {what}.", "feature_maps": "Feature maps, real and of {what}."}
WHAT = {"features": "generated features", "images": "features of generated images"}


def collect(*configs: str) -> None:
    """Writes experiment.json, curves and pictures into the experiment's results folder.

    Curves, pictures and nearest distances are those of the first fold.

    Args:
        configs: the workflow's config files (JSON), later ones win.
    """
    config = read_config(configs)
    results = Path(config["results_dir"])
    dataset = read_dataset(config.get("dataset_dir") or config["phantom"]["folder"])
    arms = make_arms(config["arms"])
    spaces = [space for space in SPACES if any(arm.generator == space for arm in arms.values())]
    folds = {fold: results / "jobs" / f"fold{fold}" for fold in config["folds"]}
    first = next(iter(folds.values()))
    described = FeatureSet(first / "features" / "real").description

    shutil.rmtree(results / "curves", ignore_errors=True)
    curves = {"unet": first / "unet/run/curves.csv"}
    curves |= {f"gan_of_{space}": first / space / "gan/run/curves.csv" for space in spaces}
    curves |= {f"classifier_{arm}": first / f"classifier_{arm}_seed{config['seeds'][0]}/run/curves.csv" for arm in arms}
    copy_curves({name: file for name, file in curves.items() if file.exists()}, results / "curves")

    seconds = sum_seconds(results / "jobs", [folder.name for folder in folds.values()])
    if "pretraining" in config:
        seconds["pretraining"] = sum_seconds(results / "jobs", ["pretraining"])["run"]
    nearest = _join_nearest({space: first / space / "evaluation/nearest.json" for space in spaces})
    experiment = {
        "title": config["title"],
        "dataset": describe_dataset(dataset, select_items(dataset, "training", config["folds"][0])),
        "arms": [
            {"name": name, "title": arm.title, "kind": arm.kind, "synthetic": _count_synthetic(arm)}
            for name, arm in arms.items()
        ],
        "baseline": "real",
        "folds": config["folds"],
        "seeds": config["seeds"],
        "image_size": config["image_size_pixels"],
        **describe_run("feature_acgan.smk", configs),
        "seconds": seconds,
        "captions": _copy_pictures(first, spaces, results / "pictures"),
        "grading": {
            "classes": described.classes,
            "level": described.level,
            "feature_shape": list(described.feature_shape),
            "published": config.get("published", {}),
            "sweeps": {SPACES[s]: [name for name, arm in arms.items() if arm.generator == s] for s in spaces},
            "generated": {
                f"{SPACES[space]}, fold {fold}": _read_counts(folder / space / "synthetic_counts.json")
                for space in spaces
                for fold, folder in folds.items()
            },
            **({"nearest": nearest} if nearest else {}),
        },
    }
    write_json(results / "experiment.json", experiment)


def _count_synthetic(arm: Arm) -> dict[str, int]:
    return {"": arm.options["synthetic_count"]} if arm.generator else {}


def _read_counts(file: Path) -> dict[str, Any]:
    """What became of the features asked for: totals, and by class what was kept and at which rate."""
    by_class = json.loads(file.read_text(encoding="utf-8"))
    return {
        **{key: sum(count[key] for count in by_class.values()) for key in ("asked", "generated")},
        "kept": {name: count["kept"] for name, count in by_class.items()},
        "acceptance": {name: count["acceptance_rate"] for name, count in by_class.items()},
    }


def _join_nearest(files: dict[str, Path]) -> dict[str, Any]:
    """Distances of held-out real features, and of the synthetic ones of each space."""
    joined = {}
    for space, file in files.items():
        parts = json.loads(file.read_text(encoding="utf-8"))
        joined["held_out"] = parts["held_out"]
        joined[WHAT[space]] = parts["synthetic"]
    return joined


def _copy_pictures(first: Path, spaces: list[str], folder: Path) -> dict[str, str]:
    """Pictures of the first fold; captions by their names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    captions = {}
    for name, caption in PICTURES.items():
        for space in spaces:
            file = first / space / "evaluation" / f"{name}.png"
            if file.exists():
                shutil.copyfile(file, folder / f"{space}_{name}.png")
                captions[f"{space}_{name}"] = caption.format(what=WHAT[space])
    images = first / "images" / "synthetic_images.png"
    if images.exists():
        shutil.copyfile(images, folder / images.name)
        captions[images.stem] = "Images that the AC-GAN of images made, a row for each class."
    return captions


if __name__ == "__main__":
    fire.Fire(collect)
