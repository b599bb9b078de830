"""A small study with two tasks and every kind of evidence."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from PIL import Image

from scripts.scores.evidence import (
    AnnotationEntry,
    Annotations,
    CandidateEntry,
    Choice,
    ClassCount,
    ClassFilters,
    Copies,
    Distance,
    Filters,
    MemberCheck,
    MemberDiversity,
    Memorisation,
    Neighbourhoods,
    Placement,
    PlacementPart,
    Presence,
    PresencePart,
    Quality,
    Selection,
    Share,
    Specificity,
)
from scripts.scores.results import (
    Arm,
    Curve,
    DataSummary,
    Difference,
    Estimate,
    Evidence,
    FrocCurve,
    Metric,
    Picture,
    PublishedFigure,
    Results,
    Run,
    Score,
    Task,
    Training,
    Verdict,
    write_results,
)

NAN = math.nan
ARMS = {"real": 0.700, "real+classical": 0.710, "real+gan:1": 0.720, "real+gan:2": 0.740}


@pytest.fixture
def results() -> Results:
    tasks = [
        Task(
            "segmentation",
            [Metric("dice", "Dice"), Metric("hd95", "HD95", "lower", "mm", 1)],
            ["core", "oedema"],
            ["A", "B"],
            {"patients": 8, "slices": 80},
            "Segmenters were U-Nets.",
        ),
        Task("detection", [Metric("map", "mAP")], ["lesion"], [], {"patients": 8}),
    ]
    return Results(
        title="A GAN <b>",
        dataset=DataSummary(
            "Phantom",
            "data/phantom",
            9,
            90,
            {"A": {"patients": 5, "slices": 50}, "B": {"patients": 4, "slices": 40}},
            {0.5: {"patients": 4, "slices": 41}, 1.0: {"patients": 9, "slices": 90}},
        ),
        image_size=64,
        baseline="real",
        folds=[0, 1],
        seeds=[0, 1],
        fractions=[0.5, 1.0],
        tasks=tasks,
        arms=[arm for task in tasks for arm in make_arms(task.name)],
        scores=[score for task in tasks for score in make_scores(task)],
        differences=[difference for task in tasks for difference in make_differences(task)],
        verdicts=[
            Verdict("segmentation", "helps", "It helps.", ["By [0.010, 0.030]."], "Add seeds.", "run --seeds 5"),
            Verdict("detection", "cannot tell", "Cannot tell.", []),
        ],
        run=Run("run study.json", "abc1234", "8 cores", {"torch": "2.9"}, {"real": 60.0, "gan": 7200.0}),
        published=[PublishedFigure("segmentation", "dice", 0.812, "real", source="Author 2020")],
        evidence=make_evidence(),
        pictures=[
            Picture(f"pictures/{name}.png", f"Shows {name}.", name, [("core <i>", "#e69f00")])
            for name in ("pictures", "cases", "selection", "presence", "placement")
        ],
        curves=[Curve("curves/gan.csv", "GAN")],
        trainings=[
            Training("segmentation", 1.0, "real", 0, seed, "mean_dice", *numbers)
            for seed, numbers in enumerate(
                [(40, 21, "plateau", 40.0, 0.75, 20.5, 0.72), (60, 40, "cap", 60.0, 0.77, 20.5, 0.74)]
            )
        ],
    )


def make_arms(task: str) -> list[Arm]:
    return [
        Arm("real", "Real <only>", "baseline", task),
        Arm("real+classical", "Real, classical", "alternative", task),
        Arm("real+gan:1", "Real + GAN, 1:1", "gan", task, "gan", "GAN, per slice", 1, {"A": 30, "B": 12}, 1.5),
        Arm("real+gan:2", "Real + GAN, 1:2", "gan", task, "gan", "GAN, per slice", 2, {"A": 60, "B": 24}, 2.5),
    ]


def make_scores(task: Task) -> list[Score]:
    scores = []
    for fraction in (0.5, 1.0):
        for metric in task.metrics:
            places = [("", ""), *((label, "") for label in task.labels), *(("", group) for group in task.groups)]
            for label, group in places:
                for arm, value in ARMS.items():
                    estimate = Estimate(value, value - 0.05, value + 0.05, 8)
                    seeds = {0: value - 0.01, 1: value + 0.01}
                    patients = {f"p{n}": value + 0.01 * n for n in range(8)}
                    scores.append(Score(task.name, fraction, arm, metric.name, label, group, estimate, seeds, patients))
    return scores


def make_differences(task: Task) -> list[Difference]:
    metric = task.primary.name
    first = ("verdict", "", ""), ("amounts", "", ""), ("labels", task.labels[0], ""), ("classes", "", "A")
    found = []
    for family, label, group in first:
        arm, other = ("real+gan:2", "real+gan:1") if family == "amounts" else ("real+gan:2", "real")
        estimate = Estimate(0.04, 0.01, 0.07, 8)
        numbers = (estimate, 0.005, 0.075, 0.0123, 0.024, 0.004, 0.0078, 0.031)
        found.append(Difference(task.name, 1.0, metric, label, group, arm, other, family, *numbers, "raised"))
    few = Estimate(-0.02, NAN, NAN, 3)
    reason = "too few patients: 3, and the test needs 6"
    place = (task.name, 0.5, metric, "", "", "real+gan:1", "real", "verdict")
    return [*found, Difference(*place, few, NAN, NAN, NAN, NAN, NAN, 0.25, NAN, "too few", reason)]


def make_evidence() -> Evidence:
    boxes = Filters(50, 37, {"segmenter": 13}, {"glioma": ClassFilters(20, 14, {"segmenter": 6})})
    dropped = {"sharpness": 9, "novelty": 4, "presence": 0}
    share, interval = Share(0.8, 0.7, 0.9, 8), Share(0.61, 0.55, 0.66)
    candidate = CandidateEntry(40, interval, 0.0123, 0.0456, 0.37, 0.25, "epoch 50", 1.5, True, 0.43, share)
    entry = AnnotationEntry(20, 0.9, {"core": 1.25}, 1.5, share, share)
    curve = [(0.125, 0.2), (1.0, 0.5)]
    points = [(0.125, Estimate(0.2, 0.1, 0.3, 8)), (1.0, Estimate(0.5, 0.4, 0.6, 8))]
    distance = Distance(8.25, 7.5, 9.5, 3.25, 3.0, 3.5, 40)
    asked, near = Specificity(0.66, 0.5, 0.91, {"A": 0.7}), Neighbourhoods(0.62, 0.34, 1.07, 0.48)
    quality = Quality(share, Share(0.873, 0.8, 0.9, 8), distance, distance, asked, near, near, 5, "UNet.encode")
    found = {"pixels": Copies(0.234, 0.789, 0.567, 0.912, 0.087, 0.001)}
    audit = Memorisation("failed", "91% are copies.", 0.05, 50, 12, found, "", ["a#0"], [interval])
    return Evidence(
        quality={"GAN <s>": quality},
        memorisation={"GAN": audit},
        presence={
            "GAN": Presence("contrast", 1.25, 50, 43, {"synthetic": PresencePart(50, share)}, 0.05),
            "Every box": Presence("segmenter", 0.25, 50, 37, {}, every_box=True, filters=boxes),
        },
        placement={"GAN": Placement({"synthetic": PlacementPart(50, share, share)}, 0.1)},
        selection={
            "GAN": Selection(
                "gan",
                "mean rank",
                "LEAKS test patients",
                ["A note."],
                {"minimum_sharpness": 0.5, "minimum_novelty": 0.05, "minimum_presence": 0.0},
                [candidate],
                {"held_out": candidate},
                Filters(40, 31, dropped, {"B": ClassFilters(12, 3, {"sharpness": 7, "novelty": 2, "presence": 5})}),
            )
        },
        annotations={"GAN": Annotations(["core"], {"training": entry, "synthetic": entry}, [entry])},
        choice={"GAN": Choice([2, 0], [0.4, 0.6], [0.7, 0.8], [0.3, 0.4], 5, 100, "held-out", 60)},
        counts={"GAN": {"A": ClassCount(100, 250, 120, 100, 20)}},
        members={"GAN": MemberCheck(0.5, [MemberDiversity(7, "seven.pt", 0.01, True)])},
        froc=[FrocCurve("detection", 1.0, "real+gan:1", 0.5, curve, points, (1.0, 0.5))],
    )


@pytest.fixture
def folder(results: Results, tmp_path: Path) -> Path:
    """A results folder with the study, its pictures and its losses."""
    (tmp_path / "pictures").mkdir()
    (tmp_path / "curves").mkdir()
    for picture in results.pictures:
        Image.new("RGB", (8, 8)).save(tmp_path / picture.file)
    (tmp_path / "curves/gan.csv").write_text("epoch,G,D\n1,0.001,0.5\n2,2.0,\n3,100.0,0.7\n")
    write_results(tmp_path, results)
    return tmp_path
