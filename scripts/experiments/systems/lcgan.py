"""LcGAN (Karki et al. 2020): pix2pix from lesion masks, whose best epoch and images are selected."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.experiments.arms import Source
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.downstream import train_judge
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline
from scripts.experiments.shown import Shown
from scripts.experiments.study import Study
from scripts.nearest_name import OptionError

TITLE = "LcGAN"
TASKS = ("segmentation", "detection")
KEYS = {
    "generator": ("lcgan_train",),
    "candidate_epochs": list[int],
    "classifier": ("lcgan_classifier_train",),
    "selection?": ("lcgan_evaluate",),
    "draws_per_mask?": int,
    "scorer_fraction?": float,  # the paper's leaking variant scores by a segmenter of all data: 1.0
}
MINIMUM_PATIENTS = 4  # two in each half of the real/synthetic classifier's cross-fitting; below it is left out
MASKS = ("outline_class", "outline_threshold", "minimum_lesion_pixels")


def check(study: Study, source: Source) -> None:
    if source.variant or source.has_amount:
        raise OptionError(f"no variant lcgan:{source.variant or source.amount}, expected lcgan alone")


def draft(outline: Outline) -> tuple[list[str], dict[str, Any]]:
    last = outline.epochs(30)
    return ["lcgan"], {
        "candidate_epochs": sorted({max(1, last // 2), max(1, 3 * last // 4), last}),
        "generator": {
            "samples_per_epoch": outline.samples,
            "batch_size": 8,
            **outline.narrow(generator_width=32, discriminator_width=32),
        },
        "classifier": {**outline.training(6), **outline.narrow(classifier_width_multiplier=0.25)},
    }


def describe(source: Source) -> str:
    return TITLE


def family(source: Source) -> str:
    return ""


def make(plan: Plan, cell: Cell, source: Source) -> Job:
    """The last job selects among the candidates' images."""
    cell = cell.generators
    section, root = cell.study.systems["lcgan"], cell.folder / "lcgan"
    options = {**cell.seen, **cell.seeded, **section["generator"], "candidate_epochs": section["candidate_epochs"]}
    generator = plan.train(cell, "lcgan_train", root / "generator", "generator_file", options, priority=10)
    masks = {key: section["generator"][key] for key in MASKS if key in section["generator"]}
    options = {"strategy": "own_class", "draws_per_mask": section.get("draws_per_mask", 1), **masks}
    planned = plan.masks(cell, root / "plan.json", {"config": "configs/lcgan_train.json", **options})
    candidates = [_synthesise(plan, cell, epoch, generator, planned) for epoch in section["candidate_epochs"]]
    files = tuple(candidate.output for candidate in candidates)
    enough = len(cell.training_patients()) >= MINIMUM_PATIENTS
    classifiers = [_train_classifier(plan, cell, part, files).output for part in (0, 1) if enough]
    scored = Cell(cell.study, cell.fold, section.get("scorer_fraction", cell.fraction), cell.seed)
    scorer = train_judge(plan, scored, "fcn8s")
    options = {**cell.seen, "candidates_dir": root / "candidates", "model_file": scorer.output}
    options |= {"classifier_files": classifiers, **section.get("selection", {})}
    options["membership_files"] = [generator.folder / "run" / "membership.json"]
    reads = (*files, scorer.output, *classifiers)
    return plan.bundle(cell, "lcgan_evaluate", root / "selected", "dataset.json", options, reads=reads)


def judge(plan: Plan, cell: Cell, sources: Sequence[Source]) -> Shown:
    shown, folder = Shown(), make(plan, cell, sources[0]).folder
    where = TITLE if cell.fraction == 1 else f"{TITLE}, {100 * cell.fraction:g}% of the patients"
    shown.evidence += [(kind, where, folder / f"{kind}.json") for kind in ("selection", "quality")]
    shown.add_audit(where, folder)
    caption = f"{where}: images that were kept, and those that each filter rejected."
    shown.pictures.append((folder / "selection.png", caption, "selection"))
    shown.curves.append((where, folder.with_name("generator") / "run" / "curves.csv"))
    shown.sets.append((where, folder))
    return shown


def _synthesise(plan: Plan, cell: Cell, epoch: int, generator: Job, planned: Job) -> Job:
    name = f"epoch_{epoch:04d}"
    folder, weights = (
        cell.folder / "lcgan" / "candidates" / name,
        generator.folder / "run" / "generators" / f"{name}.pt",
    )
    options = {**cell.seen, **cell.seeded, "generator_file": weights, "plan_file": planned.output}
    reads = (generator.output, planned.output)
    return plan.bundle(cell, "lcgan_inference", folder, "dataset.json", options, reads=reads)


def _train_classifier(plan: Plan, cell: Cell, part: int, candidates: tuple[Path, ...]) -> Job:
    root = cell.folder / "lcgan"
    options = {**cell.seen, **cell.seeded, **cell.study.systems["lcgan"]["classifier"]}
    options |= {"candidates_dir": root / "candidates", "part": part}
    folder = root / f"classifier_{part}"
    return plan.train(cell, "lcgan_classifier_train", folder, "model_file", options, reads=candidates)
