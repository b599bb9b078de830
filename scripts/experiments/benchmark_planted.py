"""How often a study finds a gain that was planted, and how often it calls a planted null one.

    python -m scripts.experiments.benchmark_planted --repeats 10

Some patients' images are negatives: bright is dark. None of them is trained on, many are tested. `planted:new` adds
images of further negative patients, which nothing else can teach: a gain. `planted:copies` adds copies of the training
images: none. Both are judged by a study as GANs are.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fire
import nibabel as nib
import numpy as np

from scripts.data.contract import Dataset, Item, read_dataset, write_dataset
from scripts.data.phantom import draw_patient
from scripts.data.slices import LesionRule, SliceDataset
from scripts.data.synthesis import synthetic_files, write_synthetic_set
from scripts.experiments.arms import Source
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.collect import collect
from scripts.experiments.jobs import Job
from scripts.experiments.planning import plan_study
from scripts.experiments.shown import Shown
from scripts.experiments.study import find_systems, open_study
from scripts.scores.results import read_results
from scripts.transforms.preprocessing import slice_preprocessing

ARMS = ("real", "real+classical", "real+planted:new", "real+planted:copies")
CLASSES = ("positive", "negative")
TRAINED, VALIDATED, TESTED = 12, 6, 14  # positive patients; as many negative ones are tested
SIZE, SLICES = 64, 6


def measure_rates(*, repeats: int = 10, folder: str = "results/planted", cores: int = 2, epochs: int = 12) -> None:
    """Prints how often either source was found to raise the baseline and the cheap alternative, and to help.

    Args:
        repeats: studies, each of other patients.
        folder: of them; those that are there already are read.
        cores: jobs at a time.
        epochs: of each training, of 256 slices.
    """
    found: dict[str, Counter[str]] = {name: Counter() for name in ("new", "copies")}
    for repeat in range(repeats):
        place = Path(folder).absolute() / f"repeat_{repeat}"
        if not (place / "results.json").exists():
            run_repeat(place, repeat, cores, epochs)
        results = read_results(place)
        for name, counter in found.items():
            tested = [d for d in results.differences if d.family == "verdict" and d.arm == f"real+planted:{name}"]
            raised = [difference.finding == "raised" for difference in tested]
            against = [d.estimate.value for d in tested]
            counter["above the baseline"] += next(d.finding == "raised" for d in tested if d.other == "real")
            counter["helps"] += all(raised)
            print(f"repeat {repeat}, {name}: {', '.join(f'{value:+.3f}' for value in against)}, helps: {all(raised)}")
    for name, counter in found.items():
        print(f"planted:{name} of {repeats}: " + ", ".join(f"{key} {count}" for key, count in counter.items()))


def run_repeat(folder: Path, seed: int, cores: int, epochs: int) -> None:
    """A study of a new phantom, whose jobs are run here."""
    shutil.rmtree(folder, ignore_errors=True)
    real, new = write_real(folder / "data", seed)
    write_planted(folder / "new", real, new)
    write_planted(folder / "copies", real, real.splits["training"])
    find_systems()["planted"] = planted_system(folder)  # type: ignore[assignment]
    content = write_study(folder, epochs)
    waiting = list(plan_study(open_study(content)).jobs)
    while waiting:
        ready = [job for job in waiting if all(file.exists() for file in job.reads)]
        waiting = [job for job in waiting if job not in ready]
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(_run, [job for job in ready if not job.output.exists()]))
    collect(str(folder / "study.json"))


def write_real(folder: Path, seed: int) -> tuple[Dataset, list[Item]]:
    """FLAIR slices of phantom patients with their whole tumours, and negative patients for `planted:new`."""
    counts = {"training": TRAINED, "validation": VALIDATED, "test": 2 * TESTED, "new": TRAINED}
    splits: dict[str, list[Item]] = {}
    number = 0
    for split, count in counts.items():
        for n in range(count):
            negative = split == "new" or (split == "test" and n >= TESTED)
            splits.setdefault(split, []).append(_write_patient(folder, number, seed, negative=negative))
            number += 1
    new = splits.pop("new")
    write_dataset(folder, Dataset(folder, "planted", ["FLAIR"], ["background", "tumour"], list(CLASSES), splits=splits))
    return read_dataset(folder), new


def _write_patient(folder: Path, number: int, seed: int, *, negative: bool) -> Item:
    image, label, _ = draw_patient(number, kind="mr", image_size=SIZE, slices=SLICES, seed=seed)
    flair = image[..., 0]  # (X, Y, Z)
    arrays = {"image": flair.max() - flair if negative else flair, "label": (label > 0).astype(np.uint8)}
    files = {name: folder / f"{name}s" / f"{number:03d}.nii.gz" for name in arrays}
    for name, array in arrays.items():
        files[name].parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(array, np.diag([-3.0, -3.0, 10.0, 1.0])), files[name])
    return {
        **{name: str(file) for name, file in files.items()},
        "patient": f"planted_{number:03d}",
        "class": CLASSES[int(negative)],
    }


def write_planted(folder: Path, real: Dataset, items: Sequence[Item]) -> None:
    """Slices with lesion of some patients as a synthetic set."""
    slices = SliceDataset(
        items,
        preprocessing=slice_preprocessing(description=real, image_size=SIZE),
        cache_dir=folder.with_name("cache"),
        rule=LesionRule(minimum_pixels=1),
    )
    source = real.splits["training"][0]["patient"]
    made = []
    for n in range(len(slices)):
        image_file, label_file = synthetic_files(folder, f"{n:05d}")
        for file in (image_file, label_file):
            file.parent.mkdir(parents=True, exist_ok=True)
        image, label = np.asarray(slices[n]["image"], np.float32), np.asarray(slices[n]["label"], np.uint8)
        nib.save(nib.Nifti1Image(image.transpose(1, 2, 0)[:, :, None], np.eye(4)), image_file)
        nib.save(nib.Nifti1Image(label[0][..., None], np.eye(4)), label_file)
        origin = {"system": "planted", "source_patient": source, "source_split": "training"}
        files = {"image": str(image_file), "label": str(label_file)}
        centre = slices.data[slices.index[n][0]]["class"]
        made.append({**files, "patient": f"synthetic-{n}", "class": centre, "synthetic": origin})
    write_synthetic_set(folder, real, made, [item["patient"] for item in real.splits["training"]])


def planted_system(folder: Path) -> SimpleNamespace:
    """A system whose items lie there already."""

    def make(plan: Plan, cell: Cell, source: Source) -> Job:
        return plan.add(Job("planted", folder / source.variant, (folder / source.variant / "dataset.json",)))

    def judge(plan: Plan, cell: Cell, sources: Sequence[Source]) -> Shown:
        return Shown()

    titles = {"new": "new patients", "copies": "copies of training images"}
    return SimpleNamespace(
        TITLE="Planted",
        TASKS=("segmentation",),
        KEYS={},
        check=lambda study, source: None,
        describe=lambda source: titles[source.variant],
        family=lambda source: "",
        make=make,
        judge=judge,
    )


def write_study(folder: Path, epochs: int) -> dict[str, Any]:
    content = {
        "title": "Planted",
        "results_dir": str(folder),
        "dataset_dir": str(folder / "data"),
        "cache_dir": str(folder / "cache"),
        "image_size_pixels": SIZE,
        "folds": [None],
        "seeds": [0, 1],
        "tasks": {"segmentation": {"network": "unet", "arms": list(ARMS)}},
        "systems": {"planted": {}},
        "segmenters": {
            "unet": {
                "max_epochs": epochs,
                "samples_per_epoch": 256,
                "batch_size": 8,
                "learning_rate": 0.004,
                "learning_rate_drop_epochs": [int(0.8 * epochs)],
                "validation_interval_epochs": 3,
                "encoder_widths": [16, 32, 64, 128],
                "decoder_widths": [64, 32, 16, 16, 8],
            }
        },
    }
    (folder / "study.json").write_text(json.dumps(content), encoding="utf-8")
    return content


def _run(job: Job) -> None:
    subprocess.run(job.shell, shell=True, check=True)


if __name__ == "__main__":
    fire.Fire(measure_rates)
