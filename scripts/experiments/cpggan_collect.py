"""Gathers what CPGGAN's workflow left behind into the folder that the report reads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import fire
import numpy as np
from PIL import Image

from scripts.data.contract import read_dataset, write_json
from scripts.data.splits import select_items
from scripts.experiments.arms import Arm
from scripts.experiments.cpggan_arms import make_arms
from scripts.experiments.record import copy_curves, describe_dataset, describe_run, read_config, sum_seconds
from scripts.pictures.grids import write_grid

EVALUATIONS = ("presence", "placement", "nearest")
CAPTIONS = {
    "growth": "What the GAN made of the same latents and boxes at the end of each resolution.",
    "placement": "Synthetic images with the boxes asked for and the lesion that the segmenter sees.",
    "dropped": "Synthetic images that were dropped, and some that were kept.",
    "tsne_pixels": "Real and synthetic images by t-SNE of their pixels.",
    "tsne_features": "Real and synthetic images by t-SNE of the detector's features.",
}
CELL = 240  # pixels of a slice with its detections


def collect(*configs: str) -> None:
    """Writes experiment.json, curves and pictures into the experiment's results folder.

    What is said of the images, curves and pictures are those of the first fold.

    Args:
        configs: the workflow's config files (JSON), later ones win.
    """
    config = read_config(configs)
    results = Path(config["results_dir"])
    dataset = read_dataset(config.get("dataset_dir") or config["phantom"]["folder"])
    arms = make_arms(config["arms"])
    first = results / "jobs" / f"fold{config['folds'][0]}"
    evaluation = {name: _read(first / "evaluation" / f"{name}.json") for name in EVALUATIONS}
    detection = _read(next((results / "arms" / "real").iterdir()) / "detection.json") or {}
    seconds = sum_seconds(results / "jobs", [f"fold{fold}" for fold in config["folds"]])

    shutil.rmtree(results / "curves", ignore_errors=True)
    curves = {"generator": first / "generator" / "run" / "curves.csv"}
    curves |= {
        f"detector_{arm}": first / f"detector_{arm}_seed{config['seeds'][0]}" / "run" / "curves.csv" for arm in arms
    }
    copy_curves({name: file for name, file in curves.items() if file.exists()}, results / "curves")
    captions = _copy_pictures(first, results / "pictures")
    captions |= _join_detections(arms, results)

    kept = (evaluation["presence"] or {}).get("kept")
    experiment = {
        "title": config["title"],
        "dataset": describe_dataset(dataset, select_items(dataset, "training", config["folds"][0])),
        "arms": [
            {"name": name, "title": arm.title, "kind": arm.kind, "synthetic": {"": kept} if arm.generator else {}}
            for name, arm in arms.items()
        ],
        "baseline": "real",
        "folds": config["folds"],
        "seeds": config["seeds"],
        "image_size": config["image_size_pixels"],
        **describe_run("cpggan.smk", configs),
        "seconds": seconds,
        "captions": captions,
        "detectors": {
            "classes": detection["classes"],
            "detection_threshold": detection["detection_threshold"],
            "published": config.get("published", {}),
            **evaluation,
        },
    }
    write_json(results / "experiment.json", experiment)


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _copy_pictures(first: Path, folder: Path) -> dict[str, str]:
    """Pictures of the GAN and its images; captions by their names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    captions = {}
    for name, caption in CAPTIONS.items():
        file = first / "evaluation" / f"{name}.png" if name != "growth" else first / "generator/run/pictures/growth.png"
        if file.exists():
            shutil.copyfile(file, folder / file.name)
            captions[name] = caption
    return captions


def _join_detections(arms: dict[str, Arm], results: Path) -> dict[str, str]:
    """The same test images with what several arms detect, an arm to a row, as in the paper's Fig. 2."""
    rows = {name: results / "detections" / name / "pictures" for name in arms}
    rows = {name: folder for name, folder in rows.items() if folder.is_dir()}
    if not rows:
        return {}
    shared = set.intersection(*({file.name for file in folder.glob("*.png")} for folder in rows.values()))
    columns = [[np.asarray(Image.open(folder / name)) for folder in rows.values()] for name in sorted(shared)]
    if not columns:
        return {}
    write_grid(columns, results / "pictures" / "detections.png", row_titles=list(rows), cell_size=CELL)
    titles = "; ".join(f"{name}: {arms[name].title.lower()}" for name in rows)
    return {"detections": f"Test images, true boxes dashed, with what one detector of each arm finds. {titles}."}


if __name__ == "__main__":
    fire.Fire(collect)
