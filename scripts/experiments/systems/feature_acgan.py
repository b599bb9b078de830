"""Feature AC-GAN (Mehra, Soliman and Sahoo): class-conditional features of a U-Net, or images in their place."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.experiments.arms import Source
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.downstream import extract, train_unet
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline
from scripts.experiments.shown import Shown
from scripts.experiments.study import Study
from scripts.nearest_name import OptionError, suggest

TITLE = "Feature AC-GAN"
TASKS = ("grading",)
KEYS = {
    "features_generator?": ("feature_acgan_train",),
    "images_generator?": ("feature_acgan_train",),
    "synthesis?": ("feature_acgan_inference",),
    "comparison?": ("feature_acgan_evaluate",),
}
SPACES = {"features": "generated features", "images": "features of generated images"}
PICTURES = {"tsne_features": "t-SNE of real features and {what}.", "feature_maps": "Feature maps, real and of {what}."}


def check(study: Study, source: Source) -> None:
    if _space(source) not in SPACES:
        raise OptionError(f"no variant feature_acgan:{source.variant}{suggest(source.variant, SPACES)}")
    if not source.has_amount or source.amount < 1 or math.isinf(source.amount):
        raise OptionError("feature_acgan needs the number of features to add, such as feature_acgan:1200")
    if f"{_space(source)}_generator" not in study.systems["feature_acgan"]:
        raise OptionError(f"no systems.feature_acgan.{_space(source)}_generator, which one of the arms needs. Add it")


def draft(outline: Outline) -> tuple[list[str], dict[str, Any]]:
    generator = {
        **outline.training(30),
        **outline.narrow(width=256, generator_learning_rate=0.0002, discriminator_learning_rate=0.0002),
    }
    return [f"feature_acgan:{2 * outline.slices}"], {"features_generator": generator}


def describe(source: Source) -> str:
    return f"{source.amount:,.0f} {SPACES[_space(source)]}"


def family(source: Source) -> str:
    return f"{TITLE}, {SPACES[_space(source)]}"


def make(plan: Plan, cell: Cell, source: Source) -> Job:
    cell, space = cell.generators, _space(source)
    section, root = cell.study.systems["feature_acgan"], cell.folder / space
    real = extract(plan, cell, space)
    files = {f"{name}_file": root / "gan" / f"{name}.pt" for name in ("generator", "discriminator")}
    options = {**cell.seeded, **section[f"{space}_generator"], "features_dir": real.folder, **files}
    writes = (files["discriminator_file"],)
    generator = plan.train(
        cell,
        "feature_acgan_train",
        root / "gan",
        "generator_file",
        options,
        reads=(real.output,),
        writes=writes,
        priority=10,
    )
    amounts = [arm.source.amount for arm in cell.study.arms("grading") if arm.source and _space(arm.source) == space]
    options = {**files, "feature_count": int(max(amounts)), **section.get("synthesis", {})}
    reads: tuple[Path, ...] = (generator.output,)
    if "class_centre_quantile" in options:
        features_of_slices = extract(plan, cell)
        options["features_dir"], reads = features_of_slices.folder, (*reads, features_of_slices.output)
    if space == "images":
        features = cell.study.tasks["grading"]["features"]
        options |= {key: features[key] for key in ("level", "pooled_size") if key in features}
        options["model_file"] = train_unet(plan, cell).output
        reads = (*reads, options["model_file"])
    folder = root / "synthetic"
    return plan.bundle(cell, "feature_acgan_inference", folder, "manifest.json", options, reads=reads)


def judge(plan: Plan, cell: Cell, sources: Sequence[Source]) -> Shown:
    shown, real = Shown(), extract(plan, cell)
    shown.curves.append(("U-Net", train_unet(plan, cell).folder / "run" / "curves.csv"))
    for source in {_space(source): source for source in sources}.values():
        made, what = make(plan, cell, source), SPACES[_space(source)]
        options = {"features_dir": real.folder, "synthetic_dir": made.folder}
        options |= cell.study.systems["feature_acgan"].get("comparison", {})
        folder, reads = made.folder.with_name("evaluation"), (real.output, made.output)
        compared = plan.bundle(cell, "feature_acgan_evaluate", folder, "memorisation.json", options, reads=reads)
        shown.needs.append(compared.output)
        shown.evidence.append(("memorisation", f"{TITLE}, {what}", compared.output))
        shown.evidence.append(("counts", f"{TITLE}, {what}", made.folder.with_name("synthetic_counts.json")))
        shown.curves.append((f"{TITLE}, {what}", made.folder.with_name("gan") / "run" / "curves.csv"))
        for name, caption in PICTURES.items():
            shown.pictures.append((folder / f"{name}.png", caption.format(what=what), "pictures"))
        dropped = made.folder.with_name("synthetic_dropped.png")
        shown.pictures.append((dropped, f"Kept, and too far from the centre of the class: {what}.", "counts"))
        images = made.folder.with_name("synthetic_images.png")
        shown.pictures.append((images, "Images that the AC-GAN of images made, a row for each class.", "pictures"))
    return shown


def _space(source: Source) -> str:
    return source.variant or "features"
