"""LcGAN (Karki et al. 2020): pix2pix from lesion masks, whose best epoch and images are selected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.experiments.arms import NEW_MASKS, Source
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.downstream import MINIMUM_PATIENTS, train_judge, train_scorers
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline
from scripts.experiments.shown import Shown
from scripts.experiments.study import Study
from scripts.nearest_name import OptionError

TITLE = "LcGAN"
TASKS = ("segmentation", "detection")
TAKES_NEW_MASKS = True
KEYS = {
    "generator": ("lcgan_train",),
    "candidate_epochs": list[int],
    "classifier": ("lcgan_classifier_train",),
    "selection?": ("lcgan_evaluate",),
    "draws_per_mask?": int,
    "scorer_fraction?": float,  # the paper's leaking variant scores by a segmenter of all data: 1.0
}
MASKS = ("outline_class", "outline_threshold", "minimum_lesion_pixels")


def check(study: Study, source: Source) -> None:
    if source.variant or source.has_amount:
        raise OptionError(f"no variant lcgan:{source.variant or source.amount}, expected lcgan alone")


def draft(outline: Outline) -> tuple[list[str], dict[str, Any]]:
    last = outline.epochs(30)
    return ["lcgan:new_masks"], {
        "draws_per_mask": 3,
        "candidate_epochs": sorted({max(1, last // 2), max(1, 3 * last // 4), last}),
        "generator": {
            "samples_per_epoch": outline.samples,
            "batch_size": 8,
            **outline.narrow(generator_width=32, discriminator_width=32),
        },
        "classifier": {**outline.training(6), **outline.narrow(classifier_width_multiplier=0.25)},
    }


def describe(source: Source) -> str:
    return f"{TITLE}{', new masks' * source.new_masks}"


def family(source: Source) -> str:
    return ""


def make(plan: Plan, cell: Cell, source: Source) -> Job:
    """The last job selects among the candidates' images."""
    cell = cell.generators
    section, folder = cell.study.systems["lcgan"], cell.folder / "lcgan"
    options = {**cell.seen, **cell.seeded, **section["generator"], "candidate_epochs": section["candidate_epochs"]}
    generator = plan.train(cell, "lcgan_train", folder / "generator", "generator_file", options, priority=10)
    root = folder / NEW_MASKS if source.new_masks else folder
    masks = {key: section["generator"][key] for key in MASKS if key in section["generator"]}
    options = {"strategy": "own_class", "draws_per_mask": section.get("draws_per_mask", 1), **masks}
    options["new_masks"] = 1.0 if source.new_masks else None
    planned = plan.masks(cell, root / "plan.json", {"config": "configs/lcgan_train.json", **options})
    candidates = [_synthesise(plan, cell, epoch, generator, planned) for epoch in section["candidate_epochs"]]
    files = tuple(candidate.output for candidate in candidates)
    enough = len(cell.training_patients()) >= MINIMUM_PATIENTS
    classifiers = [_train_classifier(plan, cell, part, files).output for part in (0, 1) if enough]
    if "scorer_fraction" in section:
        scored = Cell(cell.study, cell.fold, section["scorer_fraction"], cell.seed)
        scorers: tuple[Path, ...] = (train_judge(plan, scored, "fcn8s").output,)
    else:
        scorers = train_scorers(plan, cell, "fcn8s")
    options = {**cell.seen, "candidates_dir": root / "candidates", "scorer_files": scorers}
    options |= {"classifier_files": classifiers, **section.get("selection", {})}
    options["membership_files"] = [generator.folder / "run" / "membership.json"]
    reads = (*files, *scorers, *classifiers)
    return plan.bundle(cell, "lcgan_evaluate", root / "selected", "dataset.json", options, reads=reads)


def judge(plan: Plan, cell: Cell, sources: Sequence[Source]) -> Shown:
    shown, share = Shown(), "" if cell.fraction == 1 else f", {100 * cell.fraction:g}% of the patients"
    for source in sources:
        folder, where = make(plan, cell, source).folder, f"{describe(source)}{share}"
        shown.evidence.append(("quality", where, folder / "quality.json"))
        shown.add_audit(where, folder)
        shown.add_selection(where, folder)
        shown.sets.append((where, folder))
    run = cell.generators.folder / "lcgan" / "generator" / "run"
    shown.curves.append((f"{TITLE}{share}", run / "curves.csv"))
    return shown


def _synthesise(plan: Plan, cell: Cell, epoch: int, generator: Job, planned: Job) -> Job:
    name = f"epoch_{epoch:04d}"
    folder, weights = (
        planned.output.parent / "candidates" / name,
        generator.folder / "run" / "generators" / f"{name}.pt",
    )
    options = {**cell.seen, **cell.seeded, "generator_file": weights, "plan_file": planned.output}
    reads = (generator.output, planned.output)
    return plan.bundle(cell, "lcgan_inference", folder, "dataset.json", options, reads=reads)


def _train_classifier(plan: Plan, cell: Cell, part: int, candidates: tuple[Path, ...]) -> Job:
    root = candidates[0].parents[2]
    options = {**cell.seen, **cell.seeded, **cell.study.systems["lcgan"]["classifier"]}
    options |= {"candidates_dir": root / "candidates", "part": part}
    folder = root / f"classifier_{part}"
    return plan.train(cell, "lcgan_classifier_train", folder, "model_file", options, reads=candidates)
