"""The bundle as its users receive it: a folder and a zip with what it needs, and nothing else."""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.data.atomic import replacing, replacing_folder
from scripts.data.claims import claimed
from scripts.data.contract import read_dataset
from scripts.data.label_server import SEGMENTER
from scripts.distribution.adaptation import adapt_bundle, read_bundle_config, write_scores
from scripts.metrics.statistics import mean_by_patient
from scripts.networks.checkpoints import CheckpointError
from scripts.networks.knowledge import read_description
from scripts.networks.weights import open_weights

ROOT = Path(__file__).parents[2]
NAME = "lesion_gan_augmentation"
DOCS = ("README.md", "data.md", "data_license.txt")
# Of these packages, which no other imports, the bundle has KEPT alone: experiments and pages need the repository.
FOR_THE_REPOSITORY = ("scripts/experiments", "scripts/report", "scripts/distribution")
KEPT = tuple(f"scripts/distribution/{name}.py" for name in ("__init__", "adaptation", "networks"))
EXCEPT = shutil.ignore_patterns("model.*", "synthetic")  # of `models/`: what `adapt_bundle` writes, and a user's own
ZIP_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


def write_bundle(
    model: str,
    *,
    output_dir: str = "dist",
    dataset_dir: str | None = None,
    fold: int | None = None,
    weights_url: str | None = None,
    allow_memorised: Any = None,
) -> None:
    """Writes `lesion_gan_augmentation/` and `lesion_gan_augmentation_v<version>.zip`, the same for the same input.

    Args:
        model: weights of the segmenter, with the `.json` beside them that says what and whom they were trained on.
        output_dir: folder of both.
        dataset_dir: whose test split the weights are evaluated on; without one the bundle says that they were not.
        fold: of that data set.
        weights_url: where the weights will be published; they are left out then, and `large_files.yml` names them.
        allow_memorised: synthetic sets, by name, that failed their memorisation audit and may be behind the weights.

    Raises:
        CheckpointError: no weights, nothing beside them that describes them, a description that does not fit them, or
            a synthetic set behind them that repeats training images.
        ValueError: an evaluation on patients that the weights were trained on, or one that failed; an earlier bundle in
            whose folder something else lies.
    """
    weights = Path(model)
    refuse_memorised(weights, allow_memorised)
    metrics, dataset_name = {}, ""
    if dataset_dir is not None:
        dataset = read_dataset(dataset_dir)
        dataset_name = dataset.name
        opened = open_weights(weights, network=SEGMENTER, purpose="evaluation", dataset=dataset, fold=fold)
        if opened is not None and opened.seen:
            raise CheckpointError(
                f"{weights} was validated on patient {min(opened.seen)!r} of the test split of {dataset_dir}, "
                "expected patients whom it has never seen. Name the fold that it was trained on."
            )
    output = Path(output_dir)
    with claimed(output / NAME), replacing_folder(output / NAME, replace=True) as folder:
        copy_files(folder)
        adapt_bundle(folder, model_file=weights)
        if weights.resolve() == ROOT / "models" / "model.pt":
            shutil.copytree(weights.parent, folder / "models", dirs_exist_ok=True, ignore=EXCEPT)
        if dataset_dir is not None:
            metrics = evaluate(folder, Path(dataset_dir), fold)
        write_scores(folder, metrics, dataset_name)
        if weights_url is not None:
            link_weights(folder, weights_url)
        new = {"large_files.yml", *(path.name for path in folder.iterdir())}
        foreign = sorted({path.name for path in (output / NAME).glob("*")} - new)
        if foreign:
            raise ValueError(
                f"{output / NAME} holds {', '.join(foreign)}, expected a bundle alone. Move that away, or name "
                "--output_dir."
            )
        version = read_bundle_config(folder, "metadata")["version"]
        archive = output / f"{NAME}_v{version}.zip"
        with replacing(archive) as temporary:
            write_zip(folder, temporary)
    print(f"Wrote {output / NAME} and {archive}.")


def refuse_memorised(weights: Path, allowed: Any) -> None:
    """Raises CheckpointError where weights learned from a set that failed its audit and is not allowed by name."""
    described = read_description(weights)
    sets = [] if described is None else described[1].memorised_sets
    names = allowed if isinstance(allowed, list | tuple) else [allowed]
    refused = sorted(set(sets) - {Path(str(name)).name for name in names})
    if refused:
        raise CheckpointError(
            f"{weights} learned from the synthetic set {refused[0]!r}, which repeats training images. Train without "
            f"it, or pass --allow_memorised {refused[0]}."
        )


def copy_files(folder: Path) -> None:
    """Everything but the weights: configs, code, documentation, licence and pinned requirements."""
    shutil.copytree(ROOT / "configs", folder / "configs", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for file in shipped_modules():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / file, folder / file)
    (folder / "docs").mkdir()
    for name in DOCS:
        text = (ROOT / "docs" / name).read_text(encoding="utf-8")
        (folder / "docs" / name).write_text(unlink(text), encoding="utf-8")
    shutil.copyfile(ROOT / "LICENSE", folder / "LICENSE")
    metadata = read_bundle_config(folder, "metadata")
    versions = {name: metadata[f"{name}_version"] for name in ("pytorch", "monai", "numpy")}
    versions = {"torch": versions.pop("pytorch"), **versions, **metadata["required_packages_version"]}
    pins = [f"{name}=={version}\n" for name, version in versions.items()]
    (folder / "requirements.txt").write_text("".join(pins), encoding="utf-8")


def shipped_modules() -> list[str]:
    """Paths of the modules in the bundle, relative to the repository, sorted."""
    files = [str(file.relative_to(ROOT)) for file in (ROOT / "scripts").rglob("*.py")]
    return sorted(file for file in files if file in KEPT or not file.startswith(FOR_THE_REPOSITORY))


def unlink(text: str) -> str:
    """A page whose links to pages that the bundle lacks are plain text."""

    def keep(match: re.Match[str]) -> str:
        target = match[2].split("#")[0]
        return match[0] if match[2].startswith(("http", "#")) or target in DOCS else match[1]

    return re.sub(r"\[([^\]]*)\]\(([^)]+)\)", keep, text)


def evaluate(folder: Path, dataset_dir: Path, fold: int | None) -> dict[str, float]:
    """Mean Dice over the test split's patients by `configs/evaluate.json`; ValueError where that fails."""
    with tempfile.TemporaryDirectory() as scratch:
        scores = Path(scratch) / "scores.csv"
        command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run"]
        command += ["--config_file", "configs/evaluate.json", "--dataset_dir", str(dataset_dir.resolve())]
        command += ["--output_dir", scratch, "--scores_file", str(scores)]
        command += [] if fold is None else ["--fold", str(fold)]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1]
            raise ValueError(f"The evaluation on {dataset_dir} failed: {last}. Mend that, or leave --dataset_dir out.")
        with open(scores, newline="", encoding="utf-8") as stream:
            return mean_dice(list(csv.DictReader(stream)))


def mean_dice(rows: Sequence[Mapping[str, str]]) -> dict[str, float]:
    """`mean_dice`, the mean over patients of their mean over labels, and `dice_<label>`, four digits; NaN don't count.

    `rows` are those of the table that `PatientScores` writes.
    """
    patients, dice = [row["patient"] for row in rows], [float(row["dice"]) for row in rows]
    means = {"mean_dice": mean_by_patient(patients, dice).value}
    for label in dict.fromkeys(row["label"] for row in rows):
        of_label = [d if row["label"] == label else math.nan for row, d in zip(rows, dice, strict=True)]
        means[f"dice_{label.replace(' ', '_')}"] = mean_by_patient(patients, of_label).value
    return {name: round(value, 4) for name, value in means.items()}


def link_weights(folder: Path, url: str) -> None:
    """Replaces the weights by `large_files.yml`, from which `monai.bundle download_large_files` brings them back."""
    file = folder / "models" / "model.pt"
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    lines = ["large_files:", '  - path: "models/model.pt"', f"    url: {json.dumps(url)}"]
    lines += [f'    hash_val: "{digest}"', '    hash_type: "sha256"', ""]
    (folder / "large_files.yml").write_text("\n".join(lines), encoding="utf-8")


def write_zip(folder: Path, archive: Path) -> None:
    """The folder as a zip that depends on its files' names and contents alone."""
    with zipfile.ZipFile(archive, "w", compression=zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for file in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(f"{NAME}/{file.relative_to(folder).as_posix()}", date_time=ZIP_TIME)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is made
            entry.external_attr = 0o100644 << 16
            packed.writestr(entry, file.read_bytes())
