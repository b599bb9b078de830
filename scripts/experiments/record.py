"""What an experiment's report says of the data, the machine, the versions and the time, and the curves it shows."""

from __future__ import annotations

import csv
import importlib
import json
import os
import platform
import subprocess
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import torch

from scripts.data.contract import Dataset, Item
from scripts.networks.precision import choose_precision


def read_config(files: Sequence[str]) -> dict[str, Any]:
    """A workflow's config files (JSON) as one; later ones win."""
    config: dict[str, Any] = {}
    for file in files:
        config |= json.loads(Path(file).read_text(encoding="utf-8"))
    return config


def run_names(config: Mapping[str, Any]) -> list[str]:
    """Names of the runs: every fold with every seed; fold null is the data set's own split, `foldNone_seed0`."""
    return [f"fold{fold}_seed{seed}" for fold in config["folds"] for seed in config["seeds"]]


def describe_dataset(dataset: Dataset, training: Sequence[Item]) -> dict[str, Any]:
    """`dataset` of an experiment.json: numbers of patients and slices, and of the training items' per class."""
    return {
        "name": dataset.name,
        "path": Path(dataset.root).name,
        "patients": len({item["patient"] for item in dataset.items}),
        "slices": sum(count_slices(item) for item in dataset.items),
        "classes": {
            name: {
                "patients": len({item["patient"] for item in training if item["class"] == name}),
                "slices": sum(count_slices(item) for item in training if item["class"] == name),
            }
            for name in dataset.classes
        },
    }


def describe_run(workflow: str, files: Sequence[str]) -> dict[str, Any]:
    """Command, commit, hardware and versions."""
    return {
        "command": f"snakemake -s scripts/experiments/{workflow} --configfile {' '.join(files)} --cores 2",
        "commit": _commit(),
        "hardware": _hardware(),
        "versions": {
            "python": platform.python_version(),
            **{m: _version(m) for m in ("torch", "monai", "ignite", "numpy")},
        },
    }


def count_slices(item: Item) -> int:
    """Slices of a volume from its header; a plane image is one."""
    file = item["image"] if isinstance(item["image"], str) else item["image"][0]
    if not file.endswith((".nii", ".nii.gz")):
        return 1
    shape = nib.load(file).shape  # type: ignore[attr-defined]
    return int(shape[2]) if len(shape) > 2 else 1


def sum_seconds(jobs: Path, runs: list[str]) -> dict[str, float]:
    """Seconds of each training, summed over folds and seeds, from its epochs (resumed runs count whole)."""
    seconds: dict[str, float] = defaultdict(float)
    for run in runs:
        for file in sorted((jobs / run).glob("**/curves.csv")):
            with open(file, newline="", encoding="utf-8") as stream:
                seconds[file.relative_to(jobs / run).parts[0]] += sum(
                    float(row["seconds"]) for row in csv.DictReader(stream)
                )
    return dict(seconds)


def copy_curves(sources: Mapping[str, Path], folder: Path) -> None:
    """Copies loss curves under their names, without the seconds, and without the total where there are its parts."""
    folder.mkdir(parents=True, exist_ok=True)
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
    bfloat16 = ""
    if choose_precision("cpu") == torch.bfloat16:
        bfloat16 = f", {'AMX' if torch.cpu._is_amx_tile_supported() else 'AVX512'} bf16"
    return f"{os.cpu_count()} cores of {model}{bfloat16}"


def _version(module: str) -> str:
    return str(importlib.import_module(module).__version__)
