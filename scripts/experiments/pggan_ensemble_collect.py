"""Gathers what the PGGAN ensemble's workflow left behind into the folder that the report reads."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import fire
import numpy as np

from scripts.data.contract import Dataset, read_dataset, write_json
from scripts.data.splits import select_items
from scripts.experiments.arms import Arm
from scripts.experiments.pggan_ensemble_arms import family_title, make_arms, read_ensemble
from scripts.experiments.record import copy_curves, describe_dataset, describe_run, read_config, sum_seconds
from scripts.pictures.grids import image_pictures, label_picture, write_grid
from scripts.pictures.single_slices import read_slice

SHOWN = 8  # images of a member
EVALUATIONS = ("quality.json", "annotations.json", "choice.json")


def collect(*configs: str) -> None:
    """Writes experiment.json, quality.json, curves and pictures into the experiment's results folder.

    Quality, annotations, choice, curves and pictures are those of the first fold.

    Args:
        configs: the workflow's config files (JSON), later ones win.
    """
    config = read_config(configs)
    results = Path(config["results_dir"])
    dataset = read_dataset(config.get("dataset_dir") or config["phantom"]["folder"])
    arms = make_arms(config)
    first = results / "jobs" / f"fold{config['folds'][0]}"

    evaluation = {name: _read(first / "evaluation" / name) for name in EVALUATIONS}
    (results / "quality.json").unlink(missing_ok=True)
    shutil.rmtree(results / "curves", ignore_errors=True)
    if evaluation["quality.json"]:
        write_json(results / "quality.json", evaluation["quality.json"])
    curves = {"segmenter_real": first / f"segmenter_real_seed{config['seeds'][0]}" / "curves.csv"}
    for member in range(config["members"]):
        curves[f"member_{member}"] = first / f"member_{member}" / "run" / "curves.csv"
    copy_curves({name: file for name, file in curves.items() if file.exists()}, results / "curves")
    captions = _collect_pictures(config, dataset, first, results / "pictures")

    seconds = sum_seconds(results / "jobs", [f"fold{fold}" for fold in config["folds"]])
    experiment = {
        "title": config["title"],
        "dataset": describe_dataset(dataset, select_items(dataset, "training", config["folds"][0])),
        "arms": [_describe_arm(name, arm, config) for name, arm in arms.items()],
        "baseline": "real",
        "folds": config["folds"],
        "seeds": config["seeds"],
        "image_size": config["image_size_pixels"],
        **describe_run("pggan_ensemble.smk", configs),
        "seconds": _join_seeds(seconds),
        "captions": captions,
        "ensemble": {
            "families": _families(arms),
            "device_hours": _device_hours(config, seconds, arms),
            "published": config.get("published", {}),
            "choice": evaluation["choice.json"],
            "annotations": evaluation["annotations.json"],
            "collapsed": _collapsed(first / "sets", arms),
        },
    }
    write_json(results / "experiment.json", experiment)


def _read(file: Path) -> dict[str, Any] | None:
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None


def _describe_arm(name: str, arm: Arm, config: dict[str, Any]) -> dict[str, Any]:
    synthetic = {"": config["image_count"]} if arm.generator else {}
    return {"name": name, "title": arm.title, "kind": arm.kind, "synthetic": synthetic}


def _families(arms: dict[str, Arm]) -> list[dict[str, Any]]:
    """Arms that differ only in the number of generators, in the order in which the config names them first."""
    families: dict[tuple[str, str], dict[int, str]] = {}
    for name in arms:
        if ensemble := read_ensemble(name):
            families.setdefault((ensemble.images, ensemble.choice), {})[ensemble.number] = name
    entries = []
    for (images, choice), numbered in families.items():
        entry: dict[str, Any] = {"title": family_title(images, choice)}
        entry["arms"] = {str(number): numbered[number] for number in sorted(numbered)}
        if choice == "snapshots":
            entry["unit"] = "snapshot"
        if choice != "members" and (images, "members") in families:
            entry["alternative_to"] = family_title(images, "members")
        entries.append(entry)
    return entries


def _device_hours(config: dict[str, Any], seconds: dict[str, float], arms: dict[str, Arm]) -> dict[str, float | None]:
    """Training time (wall clock) of the generators behind an arm, per fold; a choice among members needs all of them.

    None where some generator's time is not known.
    """
    count = config["members"]
    needed = {"members": lambda number: number, "snapshots": lambda _: 1, "greedy": lambda _: count}
    hours: dict[str, float | None] = {"real": 0.0}
    for name in arms:
        if ensemble := read_ensemble(name):
            spent = [seconds.get(f"member_{member}") for member in range(needed[ensemble.choice](ensemble.number))]
            known = [each for each in spent if each]
            hours[name] = sum(known) / 3600 / len(config["folds"]) if len(known) == len(spent) else None
    return hours


def _join_seeds(seconds: dict[str, float]) -> dict[str, float]:
    """Seconds by job, the seeds of a segmenter together."""
    joined: dict[str, float] = {}
    for job, spent in seconds.items():
        name = re.sub(r"_seed\d+$", "", job)
        joined[name] = joined.get(name, 0.0) + spent
    return joined


def _collapsed(sets: Path, arms: dict[str, Arm]) -> list[str]:
    """Members that the synthesis of the arms' sets reported as collapsed."""
    found = set()
    for name in {arm.generator for arm in arms.values() if arm.generator and arm.generator.startswith("members_")}:
        members = (_read(sets / f"{name}_members.json") or {"members": []})["members"]
        found |= {Path(member["file"]).parent.name for member in members if member["collapsed"]}
    return sorted(found)


def _collect_pictures(config: dict[str, Any], dataset: Dataset, first: Path, folder: Path) -> dict[str, str]:
    """Growth of the first member, and images of every member under real ones; captions by the pictures' names."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    captions = {}
    grown = [m for m in range(config["members"]) if _growth(first, m).exists()]
    if grown:
        shutil.copyfile(_growth(first, grown[0]), folder / "growth.png")
        captions["growth"] = f"What member {grown[0]} made of the same two latents at the end of each resolution."
    made = first / "sets" / f"members_{config['members']}"
    if (made / "dataset.json").exists():
        channel = config.get("shown_channel", len(dataset.modality) - 1)
        _draw_members(dataset, read_dataset(made), config, channel, folder / "members.png")
        shown = dataset.modality[channel]
        captions["members"] = (
            f"Real images (of volumes the slice with most lesion) and those of every member: {shown}, annotation below."
        )
    return captions


def _growth(first: Path, member: int) -> Path:
    return first / f"member_{member}" / "run" / "pictures" / "growth.png"


def _draw_members(dataset: Dataset, synthetic: Dataset, config: dict[str, Any], channel: int, file: Path) -> None:
    real = select_items(dataset, "training", config["folds"][0])
    groups = {"real": (dataset, real)}
    for member in range(config["members"]):
        own = [item for item in synthetic.items if item["synthetic"]["member"] == member]
        groups[f"member {member}"] = (synthetic, own)
    rng = np.random.default_rng(0)
    rows: list[list[np.ndarray]] = []
    for owner, items in groups.values():
        chosen = sorted(rng.permutation(len(items))[:SHOWN].tolist())
        slices = [read_slice(owner, items[n], config["image_size_pixels"]) for n in chosen]
        pictures = [image_pictures(image, dataset.modality) for image, _ in slices]
        rows.append([shown[min(channel, len(shown) - 1)] for shown in pictures])  # colour images are one picture
        rows.append([label_picture(label, dataset.foreground_count) for _, label in slices])
    width = min(map(len, rows))
    columns = [[row[n] for row in rows] for n in range(width)]
    write_grid(columns, file, row_titles=[title for name in groups for title in (name, "")])


if __name__ == "__main__":
    fire.Fire(collect)
