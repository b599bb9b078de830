"""PGGAN ensemble (Larsson et al. 2022): several progressive GANs that make image and annotation together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.config_files import own_configs
from scripts.data.growth import GrowthSchedule
from scripts.experiments.arms import Source
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.downstream import train_judge
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline
from scripts.experiments.shown import Shown
from scripts.experiments.study import Study
from scripts.nearest_name import OptionError, suggest

TITLE = "PGGAN ensemble"
TASKS = ("segmentation", "detection")
KEYS = {
    "generator": ("pggan_ensemble_train",),
    "members": int,
    "snapshots?": int,
    "image_count": int,
    "evaluation?": ("pggan_ensemble_evaluate",),
    "filter?": ("pggan_ensemble_evaluate",),  # limits of what is kept; the paper keeps all
}
CHOICES = {"members": "member{}", "snapshots": "snapshot{} of one member", "greedy": "member{} chosen for coverage"}


def check(study: Study, source: Source) -> None:
    section = study.systems["pggan_ensemble"]
    if source.variant not in CHOICES or not source.has_amount:
        raise OptionError(
            f"no pggan_ensemble:{source.variant}{suggest(source.variant, CHOICES)} With a number: "
            "pggan_ensemble:members=5"
        )
    key = "snapshots" if source.variant == "snapshots" else "members"
    if not 1 <= source.amount <= section.get(key, 0):
        raise OptionError(
            f"pggan_ensemble:{source.variant}={source.amount:g} needs as many generators, but {key} is "
            f"{section.get(key, 0)}. Raise systems.pggan_ensemble.{key}, or leave the arm out"
        )


def draft(outline: Outline) -> tuple[list[str], dict[str, Any]]:
    generator = {**outline.growth(48_000), **outline.narrow(feature_base=1024, feature_max=64)}
    return ["pggan_ensemble:members=3"], {"members": 3, "image_count": 600, "generator": generator}


def describe(source: Source) -> str:
    return f"{TITLE}, {source.amount:g} {CHOICES[source.variant].format('' if source.amount == 1 else 's')}"


def family(source: Source) -> str:
    return f"{TITLE}, {CHOICES[source.variant].format('s')}"


def make(plan: Plan, cell: Cell, source: Source) -> Job:
    synthetic, section = _synthesise(plan, cell.generators, source), cell.study.systems["pggan_ensemble"]
    if "filter" not in section:
        return synthetic
    folder = synthetic.folder.with_name(f"{synthetic.folder.name}_filter")
    return _judge_images(plan, cell.generators, synthetic, folder, "selected/dataset.json", section["filter"])


def _synthesise(plan: Plan, cell: Cell, source: Source) -> Job:
    number = int(source.amount)
    section, root = cell.study.systems["pggan_ensemble"], cell.folder / "pggan_ensemble"
    options = {**cell.seen, **cell.study.slices, "image_count": section["image_count"]}
    needed = 1 if source.variant == "snapshots" else number if source.variant == "members" else section["members"]
    members = [_train_member(plan, cell, member) for member in range(needed)]
    files = [member.output for member in members]
    reads = tuple(files)
    if source.variant == "snapshots":
        files = _snapshots(cell.study, members[0].folder / "run", number)
    elif source.variant == "greedy":
        choice = _evaluate(plan, cell)
        options |= {"choice_file": choice.output, "chosen_count": number}
        reads = (*reads, choice.output)
    folder = root / f"{source.variant}_{number}"
    options["generator_files"] = files
    return plan.bundle(cell, "pggan_ensemble_inference", folder, "dataset.json", options, reads=reads)


def judge(plan: Plan, cell: Cell, sources: Sequence[Source]) -> Shown:
    shown, cell = Shown(), cell.generators
    evaluation, count = _evaluate(plan, cell), cell.study.systems["pggan_ensemble"]["members"]
    shown.needs.append(evaluation.output)
    shown.evidence += [
        (kind, TITLE, evaluation.folder / f"{kind}.json") for kind in ("quality", "annotations", "choice")
    ]
    shown.add_audit(TITLE, evaluation.folder)
    everybody = _synthesise(plan, cell, _everybody(cell)).folder
    shown.evidence.append(("members", TITLE, everybody.with_name(f"{everybody.name}_members.json")))
    runs = [_train_member(plan, cell, member).folder / "run" for member in range(count)]
    shown.curves += [(f"{TITLE}, member {member}", run / "curves.csv") for member, run in enumerate(runs)]
    caption = "What member 0 made of the same two latents at the end of each resolution."
    shown.pictures.append((runs[0] / "pictures" / "growth.png", caption, "pictures"))
    shown.sets.append((f"{TITLE}, all members", everybody))
    if "filter" in cell.study.systems["pggan_ensemble"]:
        for source in sources:
            shown.add_selection(describe(source), make(plan, cell, source).output.parent)
    return shown


def _everybody(cell: Cell) -> Source:
    return Source("pggan_ensemble", "members", cell.study.systems["pggan_ensemble"]["members"])


def _train_member(plan: Plan, cell: Cell, member: int) -> Job:
    section, study = cell.study.systems["pggan_ensemble"], cell.study
    options = {**cell.seen, **study.slices, **section["generator"], "member": member}
    options["snapshot_count"] = section.get("snapshots", 0)
    folder = cell.folder / "pggan_ensemble" / f"member_{member}"
    return plan.train(cell, "pggan_ensemble_train", folder, "generator_file", options, priority=10)


def _evaluate(plan: Plan, cell: Cell) -> Job:
    images, folder = _synthesise(plan, cell, _everybody(cell)), cell.folder / "pggan_ensemble" / "evaluation"
    options = cell.study.systems["pggan_ensemble"].get("evaluation", {})
    return _judge_images(plan, cell, images, folder, "choice.json", options)


def _judge_images(plan: Plan, cell: Cell, made: Job, folder: Path, output: str, given: Mapping[str, Any]) -> Job:
    segmenter = train_judge(plan, cell, "nnunet")
    options = {**cell.seen, **cell.study.slices, "synthetic_dir": made.folder, "model_file": segmenter.output, **given}
    runs = [
        _train_member(plan, cell, member).folder / "run"
        for member in range(cell.study.systems["pggan_ensemble"]["members"])
    ]
    options["membership_files"] = [run / "membership.json" for run in runs]
    reads = (made.output, segmenter.output)
    return plan.bundle(cell, "pggan_ensemble_evaluate", folder, output, options, reads=reads)


def _snapshots(study: Study, folder: Path, number: int) -> list[Path]:
    """The last snapshots that a member's training leaves in a folder; known before it has run."""
    section, size = study.systems["pggan_ensemble"], study.image_size_pixels
    options: dict[str, Any] = {**own_configs()["pggan_ensemble_train.json"], **section["generator"]}
    schedule = GrowthSchedule(
        image_size=size,
        images_per_phase=options["images_per_phase"],
        total_images=options["total_images"],
        batch_sizes=dict(zip([2 << n for n in range(1, 10)], options["batch_size_at_4_8_16_pixels"], strict=False)),
    )
    epochs = schedule.snapshot_epochs(section["snapshots"], options["iterations_per_epoch"])
    return [folder / "snapshots" / f"epoch_{epoch:04d}.pt" for epoch in epochs[-number:]]
