"""Gathers what the Red-GAN workflow's jobs left behind into the folder that the report reads."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import fire
import numpy as np

from scripts.data.contract import Dataset, read_dataset, write_json
from scripts.data.splits import select_items
from scripts.experiments.record import copy_curves, describe_dataset, describe_run, read_config, run_names, sum_seconds
from scripts.experiments.redgan_arms import ARMS
from scripts.pictures.grids import image_pictures, label_picture, picture_titles, write_grid
from scripts.pictures.single_slices import read_slice


def collect(*configs: str) -> None:
    """Writes experiment.json, quality.json, curves and pictures into the experiment's results folder.

    Args:
        configs: the workflow's config files (JSON), later ones win.
    """
    config = read_config(configs)
    results = Path(config["results_dir"])
    jobs = Path(config.get("jobs_dir", results / "jobs"))
    dataset = read_dataset(config.get("dataset_dir") or config["phantom"]["folder"])
    runs = run_names(config)
    first = jobs / runs[0]
    generators = list(dict.fromkeys(g for g in (ARMS[name].generator for name in config["arms"]) if g))

    quality: dict[str, Any] = {}
    for generator in generators:
        (entry,) = json.loads((first / generator / "quality.json").read_text(encoding="utf-8")).values()
        quality[generator] = entry
    if quality:
        write_json(results / "quality.json", quality)
    curves = {f"generator_{name}": first / name / "run" / "curves.csv" for name in generators}
    curves |= {f"segmenter_{name}": first / f"segmenter_{name}" / "curves.csv" for name in config["arms"][:1]}
    copy_curves(curves, results / "curves")
    for arm in (ARMS[name] for name in config["arms"]):
        if arm.generator:
            folder = first / arm.generator / f"synthetic_{arm.plan['strategy']}"
            _draw_pictures(dataset, folder, results / "pictures", config["folds"][0], config["image_size_pixels"])
            break
    write_json(results / "experiment.json", _describe(config, configs, dataset, jobs, runs))


def _describe(
    config: dict[str, Any], files: tuple[str, ...], dataset: Dataset, jobs: Path, runs: list[str]
) -> dict[str, Any]:
    arms = []
    baseline = config.get("baseline", "real")
    for name in config["arms"]:
        arm = ARMS[name]
        entry: dict[str, Any] = {"name": name, "title": arm.title, "kind": "baseline" if name == baseline else arm.kind}
        if arm.generator:
            plan = json.loads((jobs / runs[0] / arm.generator / f"plan_{arm.plan['strategy']}.json").read_text())
            entry["synthetic"] = dict(Counter(image["class"] for image in plan["images"]))
        arms.append(entry)
    return {
        "title": config["title"],
        "dataset": describe_dataset(dataset, select_items(dataset, "training", config["folds"][0])),
        "arms": arms,
        "baseline": baseline,
        "folds": config["folds"],
        "seeds": config["seeds"],
        "image_size": config["image_size_pixels"],
        **describe_run("redgan.smk", files),
        "seconds": sum_seconds(jobs, runs),
        "published": config.get("published", []),
    }


def _draw_pictures(
    dataset: Dataset, synthetic_dir: Path, folder: Path, fold: int, image_size: int, count: int = 8
) -> None:
    """One grid per class: real images of the class, the masks that were asked for, and what was made of them."""
    shutil.rmtree(folder, ignore_errors=True)
    synthetic = read_dataset(synthetic_dir)
    real = select_items(dataset, "training", fold)
    for name in dataset.classes:
        made = [item for item in synthetic.items if item["class"] == name]
        own = [item for item in real if item["class"] == name]
        if not made or not own:
            continue
        columns = []
        for n in np.linspace(0, len(made) - 1, min(count, len(made))).astype(int):
            image, label = read_slice(synthetic, made[n], image_size)
            shown, _ = read_slice(dataset, own[int(n) * len(own) // len(made)], image_size)
            mask = label_picture(label, dataset.foreground_count)
            columns.append([*image_pictures(shown, dataset.modality), mask, *image_pictures(image, dataset.modality)])
        titles = [*picture_titles(dataset.modality, "real"), "mask", *picture_titles(dataset.modality, "made")]
        write_grid(columns, folder / f"{name}.png", row_titles=titles)


if __name__ == "__main__":
    fire.Fire(collect)
