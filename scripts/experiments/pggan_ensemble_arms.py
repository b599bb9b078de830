"""The arms of the PGGAN-ensemble experiment (Larsson et al. 2022, table 1), named `<images>_<choice>_<number>`.

`real` trains the segmenter on real images alone. `synthetic_members_5` trains it on the images that five members made
together, `real_members_5` on those and the real ones.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.data.growth import GrowthSchedule
from scripts.experiments.arms import Arm

BASELINE = Arm("Real only", "baseline")
IMAGES = {"synthetic": ("Synthetic only", {"use_real": False}), "real": ("Real + synthetic", {})}
CHOICES = {
    "members": ("the first members", "{n} member{s}"),
    "snapshots": ("snapshots of one member's training", "{n} snapshot{s} of one member"),
    "greedy": ("the members that cover most", "{n} member{s} chosen for coverage"),
}
PATTERN = re.compile(rf"({'|'.join(IMAGES)})_({'|'.join(CHOICES)})_([1-9]\d*)")


@dataclass(frozen=True)
class Ensemble:
    """Which generators an arm's images come from."""

    images: str  # key of IMAGES
    choice: str  # key of CHOICES
    number: int  # of generators

    @property
    def folder(self) -> str:
        """Folder of the synthetic set; arms with and without real images share it."""
        return f"{self.choice}_{self.number}"


def family_title(images: str, choice: str) -> str:
    """Title of the arms that differ only in the number of generators."""
    return f"{IMAGES[images][0]}, {CHOICES[choice][0]}"


def read_ensemble(name: str) -> Ensemble | None:
    """The generators behind an arm, None for `real`.

    Raises:
        ValueError: not an arm's name.
    """
    if name == "real":
        return None
    found = PATTERN.fullmatch(name)
    if found is None:
        raise ValueError(
            f"Arm {name!r} is unknown: expected real, or <images>_<choice>_<number> with images one of {list(IMAGES)} "
            f"and choice one of {list(CHOICES)}, such as synthetic_members_5."
        )
    return Ensemble(found[1], found[2], int(found[3]))


def make_arms(config: dict[str, Any]) -> dict[str, Arm]:
    """The workflow's arms by name.

    Raises:
        ValueError: no `real`, an unknown name, or more members or snapshots than the workflow trains.
    """
    names = list(config["arms"])
    if "real" not in names:
        raise ValueError(f"arms is {names}: expected real among them, which all others are compared with. Add it.")
    most = {"members": config["members"], "greedy": config["members"], "snapshots": config.get("snapshots", 0)}
    arms = {}
    for name in names:
        ensemble = read_ensemble(name)
        if ensemble is None:
            arms[name] = BASELINE
            continue
        if ensemble.number > most[ensemble.choice]:
            key = "snapshots" if ensemble.choice == "snapshots" else "members"
            raise ValueError(
                f"Arm {name} needs {ensemble.number} generators, but {key} is {most[ensemble.choice]}. "
                f"Raise {key}, or leave the arm out."
            )
        title, options = IMAGES[ensemble.images]
        words = CHOICES[ensemble.choice][1].format(n=ensemble.number, s="" if ensemble.number == 1 else "s")
        arms[name] = Arm(f"{title}, {words}", "gan", dict(options), ensemble.folder)
    return arms


def snapshot_files(config: dict[str, Any], folder: str | Path, number: int) -> list[str]:
    """The last `number` snapshots that a member's training leaves in `folder`; known before it has run.

    Args:
        config: the workflow's; what `gan` doesn't say is the training config's default.
        folder: the training's output_dir.
        number: of snapshots.
    """
    defaults = json.loads(Path("configs/pggan_ensemble_train.json").read_text(encoding="utf-8"))
    options = {**defaults, **config["gan"], "image_size_pixels": config["image_size_pixels"]}
    schedule = GrowthSchedule(
        image_size=options["image_size_pixels"],
        images_per_phase=options["images_per_phase"],
        total_images=options["total_images"],
        batch_sizes=dict(zip([2 << n for n in range(1, 10)], options["batch_size_at_4_8_16_pixels"], strict=False)),
    )
    epochs = schedule.snapshot_epochs(config["snapshots"], options["iterations_per_epoch"])
    return [f"{folder}/snapshots/epoch_{epoch:04d}.pt" for epoch in epochs[-number:]]
