"""Gathers what the LcGAN workflow's jobs left behind into the folder of a study over fractions of the patients."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire

from scripts.data.contract import Item, read_dataset, write_json
from scripts.data.training import training_items
from scripts.experiments.lcgan_arms import ARMS
from scripts.experiments.record import (
    copy_curves,
    count_slices,
    describe_dataset,
    describe_run,
    read_config,
    run_names,
    sum_seconds,
)


def collect(*configs: str) -> None:
    """Writes study.json, and for each fraction experiment.json, selection.json, quality.json, curves and pictures.

    Selection, curves and pictures are those of the first fold and seed.

    Args:
        configs: the workflow's config files (JSON), later ones win.
    """
    config = read_config(configs)
    config.setdefault("dataset_dir", (config.get("phantom") or {}).get("folder"))
    results = Path(config["results_dir"])
    fractions = []
    for fraction in config["fractions"]:
        folder = results / f"fraction_{fraction}"
        items = _items(config, fraction)
        _collect_fraction(config, configs, folder, items)
        fractions.append(
            {
                "fraction": fraction,
                "folder": folder.name,
                "patients": len({item["patient"] for item in items}),
                "slices": sum(count_slices(item) for item in items),
            }
        )
    seconds: dict[str, float] = {}
    for entry in fractions:
        for job, spent in sum_seconds(results / str(entry["folder"]) / "jobs", run_names(config)).items():
            seconds[job] = seconds.get(job, 0.0) + spent
    study = {
        "title": config["title"],
        "fractions": fractions,
        "gan": "gan_classical",
        "alternative": "classical",
        **describe_run("lcgan.smk", configs),
        "seconds": seconds,
        "published": config.get("published", {}),
    }
    write_json(results / "study.json", study)


def _items(config: dict[str, Any], fraction: float) -> list[Item]:
    return training_items(
        config["dataset_dir"],
        fold=config["folds"][0],
        patient_fraction=fraction,
        fraction_seed=config["seeds"][0],
    )


def _collect_fraction(config: dict[str, Any], files: Sequence[str], folder: Path, items: Sequence[Item]) -> None:
    runs = run_names(config)
    first = folder / "jobs" / runs[0]
    kept = len(read_dataset(first / "selected").items) if (first / "selected" / "dataset.json").exists() else 0
    curves = {"generator": first / "lcgan" / "run" / "curves.csv"} if kept else {}
    curves["segmenter_original"] = first / "segmenter_original" / "curves.csv"
    copy_curves(curves, folder / "curves")
    if kept:
        for name in ("selection.json", "quality.json"):
            shutil.copyfile(first / "selected" / name, folder / name)
        (folder / "pictures").mkdir(exist_ok=True)
        shutil.copyfile(first / "selected" / "selection.png", folder / "pictures" / "selection.png")
        last = max((first / "lcgan" / "run" / "pictures").glob("epoch_*.png"))
        shutil.copyfile(last, folder / "pictures" / f"generator_{last.stem}.png")
    arms = [{"name": name, "title": ARMS[name].title, "kind": ARMS[name].kind} for name in config["arms"]]
    for arm in arms:
        if ARMS[str(arm["name"])].generator:
            arm["synthetic"] = {"": kept}
    experiment = {
        "title": f"{config['title']}: {len({item['patient'] for item in items})} training patients",
        "dataset": describe_dataset(read_dataset(config["dataset_dir"]), items),
        "arms": arms,
        "baseline": "original",
        "folds": config["folds"],
        "seeds": config["seeds"],
        "image_size": config["image_size_pixels"],
        **describe_run("lcgan.smk", files),
        "seconds": sum_seconds(folder / "jobs", runs),
    }
    write_json(folder / "experiment.json", experiment)


if __name__ == "__main__":
    fire.Fire(collect)
