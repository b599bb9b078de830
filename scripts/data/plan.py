"""How many synthetic images each class gets, and from which masks: the plan that synthesis follows.

Qasim et al., Red-GAN, 2020, section 3.0.2: strategy I (single) and II (balanced).
"""

from __future__ import annotations

import inspect
import logging
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired

import numpy as np
import pydantic
from tqdm import tqdm
from typing_extensions import TypedDict

from scripts.data.contract import DatasetError, read_dataset, write_json
from scripts.data.json_models import read_object, validated
from scripts.data.new_masks import NewMasks, spread_evenly
from scripts.data.prepare import format_table
from scripts.data.slices import SliceDataset
from scripts.data.splits import check_synthetic_sources
from scripts.transforms.transplantation import Transplant

logger = logging.getLogger(__name__)

FILLING = ("balanced", "balanced_authors", "effective_number")  # these fill classes up
STRATEGIES = ("own_class", "single", "balanced", "balanced_authors", "effective_number")


PlannedImage = TypedDict(
    "PlannedImage",
    {
        "class": str | None,
        "source": str,
        "source_patient": str,
        "draw": NotRequired[pydantic.NonNegativeInt],
        "anatomy": NotRequired[str],
        "anatomy_patient": NotRequired[str],
        "transplant": NotRequired[Transplant],
    },
)


class PlanFile(TypedDict):
    """What a plan file holds beside what was asked for."""

    fold: NotRequired[int | None]
    images: list[PlannedImage]


def count_synthetic(
    counts: Mapping[str, int], strategy: str, *, target_class: str | None = None, beta: float = 0.999
) -> dict[str, int]:
    """Synthetic images per class, at most one per mask, from `counts`, the training slices of each.

    - `own_class` (Red-GAN's Table 1, LcGAN): one image from every mask, in the class that the mask has, if any.
    - `single` (strategy I): one image of `target_class` from every mask of the other classes, so that the class reaches
      the size of the whole set.
    - `balanced` (strategy II, paper): that for every class.
    - `balanced_authors` (the authors' code): tops every class up to the size of the largest.
    - `effective_number` (Cui et al. 2019, equation 2): with E(n) = (1 - beta^n) / (1 - beta) effective images,
      tops class c up to n_c E(n_max) / E(n_c): beta (in [0, 1)) 0 adds nothing, beta -> 1 is `balanced_authors`.

    Raises:
        DatasetError: unknown strategy or class, beta out of range, a class without sample.
    """
    if strategy not in STRATEGIES:
        raise DatasetError(f"strategy is {strategy!r}, expected one of {', '.join(STRATEGIES)}.")
    if not 0 <= beta < 1:
        raise DatasetError(f"beta is {beta}, expected a number in [0, 1).")
    total, largest = sum(counts.values()), max(counts.values())
    if strategy == "single" and target_class not in counts:
        raise DatasetError(f"target_class is {target_class!r}, expected one of {list(counts)} for strategy 'single'.")
    wanted = {}
    for name, n in counts.items():
        wanted[name] = {
            "own_class": n,
            "single": total - n if name == target_class else 0,
            "balanced": total - n,
            "balanced_authors": largest - n,
            # E(n_max) / E(n), whose denominators 1 - beta cancel out
            "effective_number": round(n * (1 - beta**largest) / (1 - beta**n)) - n if n else 0,
        }[strategy]
    empty = [name for name, n in counts.items() if n == 0 and (wanted[name] or strategy == "effective_number")]
    if empty:
        raise DatasetError(
            f"Class {empty[0]!r} has no training image here, so nothing can learn its look. "
            "Choose another fold (--fold), or remove the class from 'classes' in dataset.json."
        )
    return wanted


def make_plan(
    dataset: SliceDataset,
    classes: Sequence[str],
    strategy: str,
    *,
    seed: int = 0,
    limit_per_class: int | None = None,
    draws_per_mask: int = 1,
    minimum_patients: int = 1,
    **options: Any,
) -> list[dict[str, Any]]:
    """The images to synthesise: each names the asked class and the slice whose mask it is made from.

    Masks come from slices of the other classes (`own_class`: of the same class, or of none), drawn without replacement
    in seeded order. A class of few patients can be kept from filling up: what a generator has of it is their look.

    Args:
        dataset: training slices.
        classes: names, in the order of class indices; a data set without classes takes `own_class` only.
        limit_per_class: at most so many masks per class (a smaller set, drawn from the same order).
        draws_per_mask: images from each mask, for generators with noise or new masks; they differ in `draw`.
        minimum_patients: a class with fewer gets no image, where a strategy fills classes up (`FILLING`).
        options: of `count_synthetic`.

    Raises:
        DatasetError: what `count_synthetic` refuses, a strategy that lacks its classes, or a number below 1.
    """
    if not classes and strategy != "own_class":
        raise DatasetError(
            f"This data set has no classes to plan {strategy!r} for. Pass --strategy own_class, or name them under "
            "'classes' in dataset.json and give each training item its 'class'."
        )
    numbers = {"limit_per_class": limit_per_class, "draws_per_mask": draws_per_mask}
    for name, value in {**numbers, "minimum_patients": minimum_patients}.items():
        if value is not None and value < 1:
            raise DatasetError(f"{name} is {value}, expected 1 or more.")
    indices = dataset.class_indices
    known = Counter(indices.tolist())
    groups: list[tuple[int, str | None]] = list(enumerate(classes))
    if strategy == "own_class":
        wanted = {c: known[c] for c in (-1, *range(len(classes)))}
        groups.insert(0, (-1, None))
    else:
        by_name = count_synthetic({name: known[c] for c, name in enumerate(classes)}, strategy, **options)
        few = classes_of_few(dataset, classes, strategy, minimum_patients)
        wanted = {c: 0 if name in few else by_name[name] for c, name in enumerate(classes)}
    images = []
    for c, class_name in groups:
        masks = np.flatnonzero(indices == c if strategy == "own_class" else indices != c)
        order = np.random.default_rng([seed, c % (len(classes) + 1)]).permutation(masks)
        for position in sorted(order[: min(wanted[c], limit_per_class or wanted[c])].tolist()):
            summary = dataset.summary(position)
            source = {"class": class_name, "source": summary["source"], "source_patient": summary["patient"]}
            images += [{**source, "draw": draw} for draw in range(draws_per_mask)]
    return images


def classes_of_few(
    dataset: SliceDataset, classes: Sequence[str], strategy: str, minimum_patients: int
) -> dict[str, int]:
    """Patients of each class that a strategy would fill up but that has fewer than the minimum.

    Where no class has as many, none of them is of few.
    """
    patients: dict[int, set[str]] = defaultdict(set)
    for position, c in enumerate(dataset.class_indices.tolist()):
        patients[c].add(dataset.summary(position)["patient"])
    counts = {name: len(patients[c]) for c, name in enumerate(classes) if strategy in FILLING}
    few = {name: count for name, count in counts.items() if count < minimum_patients}
    return few if len(few) < len(counts) else {}


def draw_new_masks(
    images: Sequence[dict[str, Any]], masks: NewMasks, share: float, *, seed: int = 0
) -> tuple[list[dict[str, Any]], str]:
    """The planned images, a share of them with masks that no patient has, and a sentence on what was refused.

    Image n has what `seed` and n draw for it. One whose lesions fit nowhere keeps its patient's own mask.

    Args:
        images: as `make_plan` gives them.
        masks: that draws them.
        share: of the images, evenly spread over them, in [0, 1].

    Raises:
        DatasetError: a share outside [0, 1].
    """
    chosen = spread_evenly(len(images), share)
    planned, refused, kept = list(images), 0, 0
    for n in tqdm(chosen, desc="Drawing masks", unit="mask", delay=2, mininterval=2):
        drawn, failed = masks.draw(images[n]["source"], np.random.default_rng([seed, n]))
        planned[n] = {**images[n], **drawn}
        refused += failed
        kept += not drawn
    made = len(chosen) - kept
    return planned, f"{made} new masks; {refused} of {made + refused} draws refused, {kept} images keep their own mask."


@dataclass(frozen=True)
class Plan:
    """What `plan` wrote: the images to make, each with its asked `class`, `source`, `source_patient` and `draw`."""

    file: Path
    strategy: str
    images: list[dict[str, Any]]
    classes_of_few: dict[str, int]  # left out for want of patients -> how many they have


def plan(
    dataset_dir: str,
    *,
    output: str,
    strategy: str = "balanced",
    target_class: str | None = None,
    beta: float = 0.999,
    fold: int | None = None,
    seed: int = 0,
    limit_per_class: int | None = None,
    draws_per_mask: int = 1,
    minimum_patients: int = 2,
    new_masks: float = 0.0,
    config: str = "configs/redgan_train.json",
    **overrides: Any,
) -> Plan:
    """Decides how many images of which class to synthesise from which masks, tells it in a table, writes the plan.

    Args:
        dataset_dir: folder with dataset.json.
        output: the plan file (JSON).
        strategy: own_class, single, balanced (paper), balanced_authors or effective_number.
        target_class: the class of strategy single.
        beta: of strategy effective_number, in [0, 1).
        fold: fold of the cross-validation; only its training patients give masks.
        seed: of the choice among masks.
        limit_per_class: at most so many masks per class.
        draws_per_mask: images from each mask; more than 1 only for generators with noise (LcGAN) or with new masks.
        minimum_patients: a class with fewer training patients gets no image of its own from balanced,
            balanced_authors and effective_number, unless all have fewer; 1 for these strategies as published.
        new_masks: share of the images, from 0 to 1, whose masks no patient has: the lesions of one patient's slice,
            turned, scaled and shifted, in the anatomy of another's, mirrored and distorted.
        config: the generator's training config, whose training slices are planned with.
        overrides: further options of that config, as for its training (image_size_pixels, cache_dir ...).
    """
    from scripts.config_options import override, read_config  # loads MONAI: not at --help
    from scripts.user_errors import plain_errors

    parser = read_config(config)
    override(parser, {"dataset_dir": str(dataset_dir), "fold": fold, **overrides}, inspect.signature(plan).parameters)
    with plain_errors():
        slices = parser.get_parsed_content("train#dataset")
    dataset = read_dataset(dataset_dir)
    asked: dict[str, Any] = {"target_class": target_class, "beta": beta, "seed": seed}
    asked["minimum_patients"] = minimum_patients
    limits: dict[str, Any] = {"limit_per_class": limit_per_class, "draws_per_mask": draws_per_mask}
    images = make_plan(slices, dataset.classes, strategy, **asked, **limits)
    few = classes_of_few(slices, dataset.classes, strategy, minimum_patients)
    if new_masks:
        images, drawn = draw_new_masks(images, NewMasks(slices, dataset.foreground_count), new_masks, seed=seed)
        logger.info(drawn)
    content = {"strategy": strategy, **asked, "new_masks": new_masks, "classes_of_few": few}
    file = write_json(Path(output), {**content, "dataset": dataset.name, "fold": fold, "images": images})
    logger.info(plan_table(slices, dataset.classes, images))
    for name, count in few.items():
        logger.info(f"{name}: no image of its own, since {count} training patients are under --minimum_patients.")
    logger.info(f"\nWrote {file}: {len(images)} synthetic images.")
    return Plan(file, strategy, images, few)


def find_plan(file: str | Path) -> Path | None:
    """The plan file, None where there is none; for configs."""
    return Path(file) if Path(file).is_file() else None


def read_plan(
    file: str | Path | None, dataset_dir: str | Path, fold: int | None, slices: SliceDataset | None = None
) -> list[dict[str, Any]]:
    """The images of a plan file, once it is known to be made for this data set and fold.

    Without a file one image is planned from the mask of each of the `slices`, in the class that it has.
    A file that is missing, malformed or uses masks of patients who are validated or tested on is a DatasetError.
    """
    if file is None:
        if slices is None:
            raise DatasetError("No plan, expected its file. Write one with `python -m scripts plan`.")
        logger.info("No plan: one image from every mask, in its own class. `python -m scripts plan` writes others.")
        return make_plan(slices, read_dataset(dataset_dir).classes, "own_class")
    remedy = f"Write one with `python -m scripts plan <folder> --output {file}`."
    content = read_object(Path(file), remedy)
    validated(PlanFile, content, f"{file} is no plan", remedy)
    for image in content["images"]:
        if "anatomy" in image and (lacks := {"anatomy_patient", "transplant"} - image.keys()):
            raise DatasetError(f"{file} is no plan (an image has anatomy, but no {min(lacks)}). {remedy}")
    images: list[dict[str, Any]] = content["images"]
    items = [{"image": image["source"], "patient": image["source_patient"], "synthetic": image} for image in images]
    names = {image["class"] for image in images} - {None}
    if content.get("fold") != fold:
        raise DatasetError(f"{file} is for fold {content.get('fold')}, not {fold}. Plan again, or pass its --fold.")
    if not images:
        raise DatasetError(f"{file} asks for no image. Choose another strategy.")
    dataset = read_dataset(dataset_dir)
    if unknown := sorted(map(str, names - set(dataset.classes))):
        raise DatasetError(f"{file} asks for {unknown}, expected {dataset.classes}.")
    check_synthetic_sources(items, dataset, fold)
    return images


def plan_table(slices: SliceDataset, classes: Sequence[str], images: Sequence[Mapping[str, Any]]) -> str:
    """Per class: patients, real slices, synthetic images, and both together."""
    indices = slices.class_indices
    made = Counter(image["class"] for image in images)
    rows = [["class", "patients", "real", "synthetic", "together"]]
    groups: list[tuple[int, str | None]] = list(enumerate(classes))
    if (indices < 0).any():
        groups.append((-1, None))
    for c, name in groups:
        positions = np.flatnonzero(indices == c).tolist()
        patients = {slices.summary(position)["patient"] for position in positions}
        counts = (len(patients), len(positions), made[name], len(positions) + made[name])
        rows.append([name or "no class", *map(str, counts)])
    return format_table(rows)
