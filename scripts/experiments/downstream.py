"""What is learned downstream and how it is scored: the trainings and evaluations of a task's arms, as jobs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.data.splits import PARTS
from scripts.experiments.arms import PRETRAINING, Arm
from scripts.experiments.cells import Cell, Plan
from scripts.experiments.jobs import Job
from scripts.nearest_name import OptionError

if TYPE_CHECKING:
    from scripts.experiments.study import Study


@dataclass(frozen=True)
class Network:
    """A segmenter.

    Attributes:
        train: name of the training config.
        evaluate: name of the evaluation config.
        classical: whether it augments its images unless it is told not to.
    """

    train: str
    evaluate: str
    classical: bool = False


MINIMUM_PATIENTS = 4  # two in each part, for what is cross-fitted
NETWORKS = {
    "unet": Network("train", "evaluate"),
    "fcn8s": Network("lcgan_segmenter_train", "lcgan_segmenter_evaluate"),
    "nnunet": Network("pggan_ensemble_segmenter_train", "pggan_ensemble_segmenter_evaluate", classical=True),
}


@dataclass(frozen=True)
class Task:
    """A task's modifiers of arms, with the options that they set; keys of its section; and its jobs.

    Attributes:
        modifiers: of arms: title and options.
        keys: of `tasks.<name>` in a study's file.
        train: the training of an arm, given the job that writes its synthetic items, None without; `initial`, where
            given, is the training whose weights it starts from.
        evaluate: the evaluation of a trained arm in a folder of the results.
        check: refuses an arm that the study's options cannot train.
        output: file in an evaluation's folder that says that it is done.
    """

    modifiers: Mapping[str, tuple[str, dict[str, Any]]]
    keys: Mapping[str, Any]
    train: Callable[..., Job]
    evaluate: Callable[[Plan, Cell, Arm, Job, Path], Job]
    check: Callable[[Study, Arm], None] = field(default=lambda study, arm: None)


def arm_options(task: str, arm: Arm) -> dict[str, Any]:
    """What an arm's modifiers set."""
    options: dict[str, Any] = {} if arm.real else {"use_real": False}
    for modifier in arm.modifiers:
        options |= TASKS[task].modifiers[modifier][1]
    return options


def train_arm(plan: Plan, cell: Cell, task: str, arm: Arm, made: Job | None) -> Job:
    """The training of an arm, given the job that writes its synthetic items, None without.

    A pretrained one trains on these alone, the job of `synthetic:<source>`, and goes on with real ones alone.
    """
    train = TASKS[task].train
    if not arm.is_pretrained:
        return train(plan, cell, arm, made)
    first, second = arm.stages()
    return train(plan, cell, second, None, initial=train(plan, cell, first, made))


def _start_of(made: Job | None, initial: Job | None) -> tuple[dict[str, Any], tuple[Path, ...]]:
    """Options that name synthetic items and weights to start from, and the files that these jobs write.

    A set that fails its memorisation audit is trained on all the same, and the page says so.
    """
    folder = None if made is None else made.output.parent
    options: dict[str, Any] = {} if folder is None else {"synthetic_dir": folder, "allow_memorised": folder}
    if initial is not None:
        options["initial_file"] = initial.output
    return options, tuple(job.output for job in (made, initial) if job is not None)


def _image_options(cell: Cell, task: str, arm: Arm, section: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a training on images; how often synthetic ones are drawn: an arm's own amount before the study's."""
    options = {**cell.seen, "patience_epochs": cell.study.patience_epochs}
    if arm.source is not None:
        options["synthetic_ratio"] = cell.study.synthetic_ratio
    options |= {**section, **cell.seeded, **arm_options(task, arm)}
    if arm.source is not None and arm.source.has_amount and not arm.source.variant:
        options["synthetic_ratio"] = "all" if math.isinf(arm.source.amount) else arm.source.amount
    return options


def train_judge(plan: Plan, cell: Cell, network: str, left_out_part: int | None = None) -> Job:
    """A segmenter trained on the cell's real images with its network's own augmentation, to judge images.

    The first seed's serves generators that all seeds share. It may leave a part of the patients out.
    """
    if cell.seed is None:
        cell = Cell(cell.study, cell.fold, cell.fraction, cell.study.seeds[0])
    arm = (
        Arm("real+classical", True, None, ("classical",))
        if NETWORKS[network].classical
        else Arm("real", True, None, ())
    )
    return _train_network(plan, cell, arm, None, network, left_out_part=left_out_part)


def train_scorers(plan: Plan, cell: Cell, network: str) -> tuple[Path, ...]:
    """Weights of segmenters that score synthetic images, cross-fitted: each leaves one part of the patients out.

    Below `MINIMUM_PATIENTS` it is the one that knows all.
    """
    if len(cell.training_patients()) < MINIMUM_PATIENTS:
        return (train_judge(plan, cell, network).output,)
    return tuple(train_judge(plan, cell, network, part).output for part in range(PARTS))


def _train_network(
    plan: Plan,
    cell: Cell,
    arm: Arm,
    made: Job | None,
    network: str,
    initial: Job | None = None,
    *,
    left_out_part: int | None = None,
) -> Job:
    kind = NETWORKS[network]
    options = _image_options(cell, "segmentation", arm, cell.study.segmenters.get(network, {}))
    if kind.classical and "classical" not in arm.modifiers:
        options["augment"] = False
    start, reads = _start_of(made, initial)
    folder = cell.folder / f"{network}_{arm.slug}"
    if left_out_part is not None:
        options["left_out_part"] = left_out_part
        if options.get("samples_per_epoch"):  # all parts together cost what one of all patients does
            options["samples_per_epoch"] = max(1, options["samples_per_epoch"] // PARTS)
        folder = folder.with_name(f"{folder.name}_without_{left_out_part}")
    return plan.train(cell, kind.train, folder, "model_file", {**options, **start}, reads=reads)


def _train_segmenter(plan: Plan, cell: Cell, arm: Arm, made: Job | None, initial: Job | None = None) -> Job:
    return _train_network(plan, cell, arm, made, cell.study.tasks["segmentation"]["network"], initial)


def _evaluate_segmenter(plan: Plan, cell: Cell, arm: Arm, trained: Job, folder: Path) -> Job:
    network = NETWORKS[cell.study.tasks["segmentation"]["network"]]
    scores = folder / "scores.csv"
    options = {**cell.data, "model_file": trained.output, "scores_file": scores, "cases_dir": folder / "cases"}
    if network.evaluate == "lcgan_segmenter_evaluate":
        options["detections_file"] = folder / "detections.csv"
    return plan.bundle(cell, network.evaluate, folder, "scores.csv", options, reads=(trained.output,))


def _check_segmenter(study: Study, arm: Arm) -> None:
    network = study.tasks["segmentation"]["network"]
    if network not in NETWORKS:
        raise OptionError(f"tasks.segmentation.network is {network!r}, expected one of {', '.join(NETWORKS)}")


def _train_detector(plan: Plan, cell: Cell, arm: Arm, made: Job | None, initial: Job | None = None) -> Job:
    study = cell.study
    section = {**study.boxes, **study.slices, **study.tasks["detection"]["training"], "augmented_slices": "none"}
    options = _image_options(cell, "detection", arm, section)
    start, reads = _start_of(made, initial)
    folder = cell.folder / f"detector_{arm.slug}"
    return plan.train(cell, "cpggan_detector_train", folder, "model_file", {**options, **start}, reads=reads)


def _evaluate_detector(plan: Plan, cell: Cell, arm: Arm, trained: Job, folder: Path) -> Job:
    options = {**cell.seen, **cell.study.boxes, "model_file": trained.output}
    return plan.bundle(cell, "cpggan_detector_evaluate", folder, "detection.json", options, reads=(trained.output,))


def train_judging_detector(plan: Plan, cell: Cell) -> Job:
    """The baseline's detector, of the first seed where all seeds share what it judges."""
    first = cell if cell.seed is not None else Cell(cell.study, cell.fold, cell.fraction, cell.study.seeds[0])
    name = cell.study.baseline
    return _train_detector(plan, first, Arm(name, True, None, tuple(name.split("+")[1:])), None)


def train_unet(plan: Plan, cell: Cell) -> Job:
    """The U-Net whose features are graded, of all seeds; pretrained on another data set where the study says so."""
    section, cell = cell.study.tasks["grading"], cell.shared
    options = {**cell.seen, **cell.study.slices, **section["unet"]}
    reads: tuple[Path, ...] = ()
    if "pretraining" in section:
        first = {**cell.seen, "fold": None, **cell.study.slices, **section["unet"], **section["pretraining"]}
        folder = cell.study.jobs / "pretraining"
        pretrained = plan.train(Cell(cell.study, None, 1.0), "feature_acgan_unet_train", folder, "model_file", first)
        reads, options = (pretrained.output,), {**options, "pretrained_file": pretrained.output}
    return plan.train(cell, "feature_acgan_unet_train", cell.folder / "unet", "model_file", options, reads=reads)


def extract(plan: Plan, cell: Cell, space: str = "features") -> Job:
    """The real features, or images in their place, of all seeds."""
    trained, cell = train_unet(plan, cell), cell.shared
    options = {
        **cell.seen,
        **cell.study.slices,
        **cell.study.tasks["grading"]["features"],
        "model_file": trained.output,
    }
    if space == "images":
        options |= {"level": "image", "pooled_size": None}
    folder = cell.folder / space / "real"
    threads = cell.study.threads
    return plan.bundle(
        cell, "feature_acgan_features", folder, "manifest.json", options, reads=(trained.output,), threads=threads
    )


def _train_classifier(plan: Plan, cell: Cell, arm: Arm, made: Job | None, initial: Job | None = None) -> Job:
    real, study = extract(plan, cell), cell.study
    options = {"features_dir": real.output.parent, **cell.seeded, "patience_epochs": study.patience_epochs}
    options |= {**study.tasks["grading"]["training"], **arm_options("grading", arm)}
    if arm.source is not None and arm.source.has_amount:
        options["synthetic_count"] = int(arm.source.amount)
    start, reads = _start_of(made, initial)
    folder, reads = cell.folder / f"classifier_{arm.slug}", (real.output, *reads)
    return plan.train(cell, "feature_acgan_classifier_train", folder, "model_file", {**options, **start}, reads=reads)


def _evaluate_classifier(plan: Plan, cell: Cell, arm: Arm, trained: Job, folder: Path) -> Job:
    real = extract(plan, cell)
    options = {"features_dir": real.output.parent, "model_file": trained.output}
    reads = (real.output, trained.output)
    return plan.bundle(cell, "feature_acgan_classifier_evaluate", folder, "classification.json", options, reads=reads)


def _check_classifier(study: Study, arm: Arm) -> None:
    if "smote" in arm.modifiers and (arm.is_pretrained or not arm.real):
        raise OptionError(f"arm {arm.name!r}: SMOTE interpolates between real features, expected real+... with smote")


CLASSICAL = "classical augmentation"
CHEAP: dict[str, tuple[str, dict[str, Any]]] = {
    "oversampling": ("oversampling", {"balance_classes": True}),
    "copy_paste": ("copy-paste of lesions", {"copy_paste_probability": 0.5}),
}
FIRST: dict[str, tuple[str, dict[str, Any]]] = {PRETRAINING: ("synthetic first, then real", {})}
TASKS = {
    "segmentation": Task(
        {"classical": (CLASSICAL, {"augment": True}), **CHEAP, **FIRST},
        {"network": str},
        _train_segmenter,
        _evaluate_segmenter,
        _check_segmenter,
    ),
    "detection": Task(
        {
            "classical": (CLASSICAL, {"augmented_slices": "both"}),
            "classical_of_real": ("classical augmentation of real slices alone", {"augmented_slices": "real"}),
            **CHEAP,
            **FIRST,
        },
        {"training": ("cpggan_detector_train",), "shown?": ("cpggan_detector_inference",)},
        _train_detector,
        _evaluate_detector,
    ),
    "grading": Task(
        {
            "linear": ("linear classifier", {"classifier": "linear"}),
            "class_weights": ("class weights", {"balancing": "class_weights"}),
            "oversampling": ("oversampling", {"balancing": "oversampling"}),
            "smote": ("SMOTE", {"balancing": "smote"}),
            **FIRST,
        },
        {
            "unet": ("feature_acgan_unet_train",),
            "pretraining?": ("feature_acgan_unet_train",),
            "features": ("feature_acgan_features",),
            "training": ("feature_acgan_classifier_train",),
        },
        _train_classifier,
        _evaluate_classifier,
        _check_classifier,
    ),
}
