"""Red-GAN (Qasim et al. 2020): a generator conditioned on mask and class, with a frozen segmenter as third player."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from scripts.experiments.arms import NEW_MASKS, Source
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.downstream import train_judge, train_scorers
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline
from scripts.experiments.shown import Shown
from scripts.experiments.study import Study
from scripts.nearest_name import OptionError, suggest

TITLE = "Red-GAN"
TASKS = ("segmentation", "detection")
TAKES_NEW_MASKS = True
KEYS = {
    "generator": ("redgan_train",),
    "target_class?": str,
    "limit_per_class?": int,
    "minimum_patients?": int,
    "filter?": ("redgan_evaluate",),  # limits of what is kept; the paper keeps all
}


@dataclass(frozen=True)
class Variant:
    """A generator by its folder's name and options, and which masks and classes it makes images of."""

    title: str
    generator: str = "redgan"
    options: dict[str, Any] = field(default_factory=dict)
    strategy: str = "balanced"
    targeted: bool = False  # whether generator or plan are of the target class alone


PLAIN = {"use_class": False, "third_player": False}
VARIANTS = {  # Table 1 of the paper compares the last two
    "": Variant("balanced"),
    "single": Variant("single class", strategy="single", targeted=True),
    "spade_single": Variant("SPADE of one class", "spade_target", PLAIN, "single", targeted=True),
    "spade": Variant("SPADE without class and third player", "spade", PLAIN, "own_class"),
    "third_player": Variant("without class", "third_player", {"use_class": False}, "own_class"),
}


def check(study: Study, source: Source) -> None:
    if source.variant not in VARIANTS or source.has_amount:
        raise OptionError(f"no variant redgan:{source.variant}{suggest(source.variant, VARIANTS)}")
    if not study.dataset.classes and VARIANTS[source.variant].options.get("use_class", True):
        raise OptionError(f"the data has no classes, which {describe(source)} needs. Take redgan:third_player")
    target = study.systems["redgan"].get("target_class")
    if target is not None and target not in study.dataset.classes:
        known = study.dataset.classes
        raise OptionError(f"no class {target!r} of systems.redgan.target_class in the data{suggest(target, known)}")
    if VARIANTS[source.variant].targeted and "target_class" not in study.systems["redgan"]:
        raise OptionError(f"no systems.redgan.target_class, which redgan:{source.variant} needs. Add it")


def draft(outline: Outline) -> tuple[list[str], dict[str, Any]]:
    generator = {
        **outline.training(30),
        "batch_size": 8,
        "checkpoint_interval_epochs": 2,
        **outline.narrow(generator_width=16, embedding_dim=64, discriminator_width=32),
    }
    source = "redgan" if len(outline.classes) > 1 else "redgan:third_player"
    return [f"{source}:new_masks"], {"limit_per_class": 150, "generator": generator}


def describe(source: Source) -> str:
    return f"{TITLE}, {VARIANTS[source.variant].title}{', new masks' * source.new_masks}"


def family(source: Source) -> str:
    return ""


def make(plan: Plan, cell: Cell, source: Source) -> Job:
    variant, section, cell = VARIANTS[source.variant], cell.study.systems["redgan"], cell.generators
    folder, target = cell.folder / "redgan" / variant.generator, section.get("target_class")
    segmenter = train_judge(plan, cell, "unet")
    options = {**cell.seen, **cell.seeded, **section["generator"], **variant.options}
    options["segmenter_file"] = segmenter.output
    if variant.generator == "spade_target":
        options["only_class"] = target
    generator = plan.train(
        cell, "redgan_train", folder, "generator_file", options, reads=(segmenter.output,), priority=10
    )
    name = f"{variant.strategy}{f'_{NEW_MASKS}' * source.new_masks}"
    planned = plan.masks(
        cell,
        folder / f"plan_{name}.json",
        {
            "strategy": variant.strategy,
            "new_masks": 1.0 if source.new_masks else None,
            "target_class": target if variant.strategy == "single" else None,
            "limit_per_class": section.get("limit_per_class"),
            "minimum_patients": section.get("minimum_patients"),
            "outline_class": section["generator"].get("outline_class"),
        },
        reads=(segmenter.output,),  # by then the data set has proved sound
    )
    made = folder / f"synthetic_{name}"
    options = {**cell.seen, "generator_file": generator.output, "plan_file": planned.output}
    reads = (generator.output, planned.output)
    synthetic = plan.bundle(cell, "redgan_inference", made, "dataset.json", options, reads=reads)
    if "filter" not in section:
        return synthetic
    scorers = train_scorers(plan, cell, "unet")
    options = {**cell.seen, "synthetic_dir": made, "segmenter_file": scorers[0], "scorer_files": scorers}
    options |= section["filter"]
    folder, files = made.with_name(f"filter_{name}"), (synthetic.output, *scorers)
    return plan.bundle(cell, "redgan_evaluate", folder, "selected/dataset.json", options, reads=files)


def judge(plan: Plan, cell: Cell, sources: Sequence[Source]) -> Shown:
    shown, cell = Shown(), cell.generators
    segmenter = train_judge(plan, cell, "unet")
    for source in sources:
        made, generator = make(plan, cell, source), VARIANTS[source.variant].generator
        images, run, title = made.output.parent, made.folder.with_name("run"), describe(source)
        options = {**cell.seen, "segmenter_file": segmenter.output, "synthetic_dir": images}
        options["membership_files"] = [run / "membership.json"]
        folder = made.folder.with_name(re.sub("^(synthetic|filter)", "evaluation", made.folder.name))
        reads = (segmenter.output, made.output)
        quality = plan.bundle(cell, "redgan_evaluate", folder, "quality.json", options, reads=reads)
        shown.evidence.append(("quality", title, quality.output))
        shown.add_audit(title, folder)
        shown.curves.append((f"{TITLE}, {generator}", run / "curves.csv"))
        shown.sets.append((title, images))
        if "filter" in cell.study.systems["redgan"]:
            shown.add_selection(title, images)
        shown.needs.append(quality.output)
    return shown
