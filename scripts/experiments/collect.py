"""Gathers what the workflow's jobs left behind into the folder that the report reads."""

from __future__ import annotations

import csv
import importlib
import json
import os
import platform
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import fire
import nibabel as nib
import numpy as np
import torch

from scripts.data.contract import Dataset, Item, read_dataset, write_json
from scripts.data.splits import select_items
from scripts.experiments.redgan_arms import ARMS
from scripts.report.grids import image_pictures, label_picture, picture_titles, write_grid
from scripts.transforms.geometry import CanonicalOrientationd, FitInPlaned
from scripts.transforms.intensity import ToSignedRanged
from scripts.transforms.loading import LoadItemd


def collect(*configs: str) -> None:
    """Writes experiment.json, quality.json, curves and pictures into the experiment's results folder.

    Args:
        configs: the workflow's config files (JSON), later ones win.
    """
    config: dict[str, Any] = {}
    for file in configs:
        config |= json.loads(Path(file).read_text(encoding="utf-8"))
    results = Path(config["results_dir"])
    jobs = Path(config.get("jobs_dir", results / "jobs"))
    dataset = read_dataset(config.get("dataset_dir") or config["phantom"]["folder"])
    runs = [f"fold{fold}_seed{seed}" for fold in config["folds"] for seed in config["seeds"]]
    first = jobs / runs[0]
    generators = list(dict.fromkeys(g for g in (ARMS[name].generator for name in config["arms"]) if g))

    quality: dict[str, Any] = {}
    for generator in generators:
        (entry,) = json.loads((first / generator / "quality.json").read_text(encoding="utf-8")).values()
        quality[generator] = entry
    if quality:
        write_json(results / "quality.json", quality)
    _copy_curves(first, results / "curves", config["arms"], generators)
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
    training = select_items(dataset, "training", config["folds"][0])
    return {
        "title": config["title"],
        "dataset": {
            "name": dataset.name,
            "path": Path(dataset.root).name,
            "patients": len({item["patient"] for item in dataset.items}),
            "slices": sum(_slice_count(item) for item in dataset.items),
            "classes": {
                name: {
                    "patients": len({item["patient"] for item in training if item["class"] == name}),
                    "slices": sum(_slice_count(item) for item in training if item["class"] == name),
                }
                for name in dataset.classes
            },
        },
        "arms": arms,
        "baseline": baseline,
        "folds": config["folds"],
        "seeds": config["seeds"],
        "image_size": config["image_size_pixels"],
        "command": "snakemake -s scripts/experiments/redgan.smk --configfile " + " ".join(files) + " --cores 2",
        "commit": _commit(),
        "hardware": _hardware(),
        "seconds": _seconds(jobs, runs),
        "versions": {
            "python": platform.python_version(),
            **{m: _version(m) for m in ("torch", "monai", "ignite", "numpy")},
        },
        "published": config.get("published", []),
    }


def _copy_curves(run: Path, folder: Path, arms: list[str], generators: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    sources = {f"generator_{name}": run / name / "run" / "curves.csv" for name in generators}
    sources |= {f"segmenter_{name}": run / f"segmenter_{name}" / "curves.csv" for name in arms[:1]}
    for name, source in sources.items():
        with open(source, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        with open(folder / f"{name}.csv", "w", newline="", encoding="utf-8") as stream:
            columns = [
                column
                for column in rows[0]
                if column not in ("seconds", "loss") or (len(rows[0]) == 3 and column == "loss")
            ]
            writer = csv.DictWriter(stream, columns, extrasaction="ignore")
            writer.writeheader()
            writer.writerows(rows)


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
            image, label = _read_slice(synthetic, made[n], image_size)
            shown, _ = _read_slice(dataset, own[int(n) * len(own) // len(made)], image_size)
            mask = label_picture(label, dataset.foreground_count)
            columns.append([*image_pictures(shown, dataset.modality), mask, *image_pictures(image, dataset.modality)])
        titles = [*picture_titles(dataset.modality, "real"), "mask", *picture_titles(dataset.modality, "made")]
        write_grid(columns, folder / f"{name}.png", row_titles=titles)


def _read_slice(dataset: Dataset, item: Any, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """The slice with most lesion: image (C, S, S) in [-1, 1] and label (S, S)."""
    keys = ["image", "label"]
    data: Any = LoadItemd(
        keys,
        channel_count=dataset.channel_count,
        foreground_count=dataset.foreground_count,
        label_values=dataset.label_values,
    )(item)
    for transform in (
        CanonicalOrientationd(keys),
        ToSignedRanged("image", dataset.intensity_range),
        FitInPlaned(keys, image_size),
    ):
        data = transform(data)
    image, label = np.asarray(data["image"]), np.asarray(data["label"])[0]
    if label.ndim == 2:
        return image, label
    z = int((label > 0).sum(axis=(0, 1)).argmax())
    return image[..., z], label[..., z]


def _slice_count(item: Item) -> int:
    """Slices of a volume from its header; a plane image is one."""
    file = item["image"] if isinstance(item["image"], str) else item["image"][0]
    if not file.endswith((".nii", ".nii.gz")):
        return 1
    shape = nib.load(file).shape  # type: ignore[attr-defined]
    return int(shape[2]) if len(shape) > 2 else 1


def _seconds(jobs: Path, runs: list[str]) -> dict[str, float]:
    """Seconds of each training, summed over folds and seeds, from its epochs (resumed runs count whole)."""
    seconds: dict[str, float] = defaultdict(float)
    for run in runs:
        for file in sorted((jobs / run).glob("**/curves.csv")):
            with open(file, newline="", encoding="utf-8") as stream:
                seconds[file.relative_to(jobs / run).parts[0]] += sum(
                    float(row["seconds"]) for row in csv.DictReader(stream)
                )
    return dict(seconds)


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "not under version control"


def _hardware() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    model = "CPU"
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.split(": ")[1] for line in lines if line.startswith("model name")), model)
    amx = ", AMX bf16" if torch.cpu._is_amx_tile_supported() else ""
    return f"{os.cpu_count()} cores of {model}{amx}"


def _version(module: str) -> str:
    return str(importlib.import_module(module).__version__)


if __name__ == "__main__":
    fire.Fire(collect)
