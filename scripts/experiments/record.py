"""What a study's page says of the machine, the versions and the time, and the curves that it shows."""

from __future__ import annotations

import csv
import importlib
import os
import platform
import subprocess
from pathlib import Path

import nibabel as nib
import torch

from scripts.data.contract import Item
from scripts.experiments.jobs import Job
from scripts.networks.precision import choose_precision
from scripts.scores.csv_tables import write_table


def versions() -> dict[str, str]:
    names = ("torch", "monai", "ignite", "numpy")
    return {
        "python": platform.python_version(),
        **{name: str(importlib.import_module(name).__version__) for name in names},
    }


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    return answer.stdout.strip() or "not under version control"


def hardware() -> str:
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


def count_slices(item: Item) -> int:
    """Slices of a volume from its header; a plane image is one."""
    file = item["image"] if isinstance(item["image"], str) else item["image"][0]
    if not file.endswith((".nii", ".nii.gz")):
        return 1
    shape = nib.load(file).shape  # type: ignore[attr-defined]
    return int(shape[2]) if len(shape) > 2 else 1


def job_seconds(job: Job) -> float:
    """Seconds of a training's epochs with validations (resumed runs count whole); 0 of what is no training."""
    file = job.folder / "run" / "curves.csv"
    if not file.exists():
        return 0.0
    with open(file, newline="", encoding="utf-8") as stream:
        return sum(float(row["seconds"]) for row in csv.DictReader(stream))


def copy_curve(source: Path, folder: Path, number: int) -> str:
    """Copies loss curves, without seconds, and without the total where there are its parts; gives the name."""
    with open(source, newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    left_out = {"seconds", "training_seconds"} | ({"loss"} if len(rows[0]) > 4 else set())
    columns = [column for column in rows[0] if column not in left_out]
    name = f"{number:02d}.csv"
    write_table(folder / name, columns, ([row[column] for column in columns] for row in rows))
    return name
