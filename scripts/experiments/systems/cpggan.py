"""CPGGAN (Han et al. 2019): a progressive GAN conditioned on boxes, whose images without a lesion are dropped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from scripts.experiments.arms import NEW_MASKS, Source
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.downstream import train_judge, train_judging_detector
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline
from scripts.experiments.shown import Shown
from scripts.experiments.study import Study
from scripts.nearest_name import OptionError

TITLE = "CPGGAN"
TASKS = ("detection",)
TAKES_NEW_MASKS = True
KEYS = {
    "generator": ("cpggan_train",),
    "image_count": int,
    "filter": str,
    "synthesis?": ("cpggan_inference",),
    "evaluation?": ("cpggan_evaluate",),
}
FILTERS = ("contrast", "detector", "segmenter")
PICTURES = {
    "placement": ("Synthetic images with the boxes asked for and the lesion that the segmenter sees.", "placement"),
    "dropped": ("Synthetic images that were dropped, and some that were kept.", "presence"),
    "tsne_pixels": ("Real and synthetic images by t-SNE of their pixels.", "pictures"),
    "tsne_features": ("Real and synthetic images by t-SNE of the detector's features.", "pictures"),
}


def check(study: Study, source: Source) -> None:
    if source.variant or source.amount == 0:
        raise OptionError(
            f"no cpggan:{source.variant or 0}, expected cpggan:1 or another number of images per real one"
        )
    if study.systems["cpggan"]["filter"] not in FILTERS:
        found = study.systems["cpggan"]["filter"]
        raise OptionError(f"systems.cpggan.filter is {found!r}, expected one of {', '.join(FILTERS)}")
    if study.systems["cpggan"]["filter"] == "segmenter" and not any(item["label"] for item in study.dataset.items):
        raise OptionError("systems.cpggan.filter is 'segmenter', which needs label maps to train on. Take 'detector'")


def draft(outline: Outline) -> tuple[list[str], dict[str, Any]]:
    generator = {
        **outline.growth(48_000),
        "mismatch_weight": 0.5,
        **outline.narrow(latent_dim=128, feature_base=512, feature_max=128),
    }
    return ["cpggan:new_masks:1"], {"image_count": 600, "filter": "contrast", "generator": generator}


def describe(source: Source) -> str:
    amount = "all" if math.isinf(source.amount) else f"1:{source.amount:g}"
    return f"{_title(source)}, {amount}" if source.has_amount else _title(source)


def family(source: Source) -> str:
    return f"{_title(source)}, synthetic per real slice" if source.has_amount else ""


def make(plan: Plan, cell: Cell, source: Source) -> Job:
    """The last job keeps the images that show a lesion."""
    cell = cell.generators
    study, section, folder = cell.study, cell.study.systems["cpggan"], cell.folder / "cpggan"
    common = {**cell.seen, **study.boxes, **study.slices}
    options = {**common, **cell.seeded, **section["generator"]}
    generator = plan.train(cell, "cpggan_train", folder / "generator", "generator_file", options, priority=10)
    root = folder / NEW_MASKS if source.new_masks else folder
    options = {**common, "image_count": section["image_count"], "generator_file": generator.output}
    options["new_masks"] = 1.0 if source.new_masks else None
    synthetic = plan.bundle(
        cell,
        "cpggan_inference",
        root / "synthetic",
        "dataset.json",
        {**options, **section.get("synthesis", {})},
        reads=(generator.output,),
    )
    options = {**common, "synthetic_dir": synthetic.folder, "filter_by_segmenter": section["filter"] == "segmenter"}
    options |= section.get("evaluation", {})
    options["membership_files"] = [generator.folder / "run" / "membership.json"]
    judges = {}
    if "unet" in study.segmenters or section["filter"] == "segmenter":
        judges["segmenter_file"] = train_judge(plan, cell, "unet").output
    if section["filter"] == "detector":
        judges["model_file"] = train_judging_detector(plan, cell).output
    reads = (synthetic.output, *judges.values())
    folder = root / "evaluation"
    return plan.bundle(cell, "cpggan_evaluate", folder, "kept/dataset.json", {**options, **judges}, reads=reads)


def judge(plan: Plan, cell: Cell, sources: Sequence[Source]) -> Shown:
    shown, run = Shown(), cell.generators.folder / "cpggan" / "generator" / "run"
    caption = "What the GAN made of the same latents and boxes at the end of each resolution."
    shown.pictures.append((run / "pictures" / "growth.png", caption, "pictures"))
    for source in {each.new_masks: each for each in sources}.values():
        folder, title = make(plan, cell, source).folder, _title(source)
        shown.evidence += [(kind, title, folder / f"{kind}.json") for kind in ("presence", "placement")]
        shown.add_audit(title, folder)
        for name, (caption, section) in PICTURES.items():
            shown.pictures.append((folder / f"{name}.png", f"{title}: {caption}", section))
    shown.curves.append((TITLE, run / "curves.csv"))
    return shown


def _title(source: Source) -> str:
    return f"{TITLE}, new boxes" if source.new_masks else TITLE
