from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from monai.data import MetaTensor

from scripts.handlers.detection_scores import COLUMNS, DetectionScores


def plane(**counts: int) -> torch.Tensor:
    """A label map (1, 10, 10) that begins with so many pixels of the labels l1, l2 ..."""
    pixels = [int(label[1:]) for label, count in counts.items() for _ in range(count)]
    return torch.tensor(pixels + [0] * (100 - len(pixels))).reshape(1, 10, 10)


def evaluate(scores: DetectionScores, *elements: dict[str, Any]) -> Engine:
    """Elements with patient, pred and label, two to a batch."""
    engine = Engine(lambda engine, batch: [{key: e[key] for key in ("pred", "label")} for e in batch])
    scores.attach(engine)
    engine.run([list(elements[n : n + 2]) for n in range(0, len(elements), 2)])
    return engine


def read(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


ELEMENTS = (
    {"patient": "p2", "name": "b", "pred": plane(l1=20), "label": plane(l1=20)},
    {"patient": "p1", "name": "a", "pred": plane(l2=30), "label": plane(l1=10)},
    {"patient": "p1", "name": "c", "pred": plane(), "label": plane()},
)


def test_table_and_metrics(tmp_path: Path) -> None:
    file = tmp_path / "new" / "detections.csv"
    metrics = evaluate(DetectionScores(["core", "oedema"], file, minimum_pixels=30), *ELEMENTS).state.metrics
    assert (metrics["precision"], metrics["recall"]) == (0.5, 0.5)
    assert tuple(read(file)[0]) == COLUMNS
    assert [tuple(row.values()) for row in read(file)] == [
        ("p1", "a", "core", "missed", "0", "0", "10"),
        ("p1", "a", "oedema", "false_positive", "0", "30", "0"),
        ("p2", "b", "core", "true_positive", "1", "20", "20"),
    ]


def test_papers_limits_are_the_default() -> None:
    metrics = evaluate(DetectionScores(["core", "oedema"]), *ELEMENTS).state.metrics
    assert (metrics["precision"], metrics["recall"]) == (1, 0.5)  # 30 pixels are noise


def test_slices_of_a_volume_are_images(tmp_path: Path) -> None:
    label = torch.stack([plane(), plane(l1=9), plane(l1=9)], dim=-1)  # (1, 10, 10, 3)
    pred = torch.stack([plane(), plane(l1=9), plane(l1=1)], dim=-1)
    image = MetaTensor(torch.zeros(1, 10, 10, 3), meta={"filename_or_obj": "folder/scan_7.nii.gz"})
    evaluate(
        DetectionScores(["core"], tmp_path / "d.csv"), {"patient": "p", "image": image, "pred": pred, "label": label}
    )
    rows = [(row["image"], row["outcome"], float(row["dice"])) for row in read(tmp_path / "d.csv")]
    assert rows == [("scan_7#1", "true_positive", 1), ("scan_7#2", "missed", 0.2)]


def test_nothing_to_judge_leaves_the_header(tmp_path: Path) -> None:
    metrics = evaluate(DetectionScores(["core"], tmp_path / "d.csv"), {"pred": plane(), "label": plane()}).state.metrics
    assert math.isnan(metrics["precision"])
    assert math.isnan(metrics["recall"])
    assert (tmp_path / "d.csv").read_text().splitlines() == [",".join(COLUMNS)]


def test_each_run_starts_anew() -> None:
    scores = DetectionScores(["core", "oedema"])
    evaluate(scores, *ELEMENTS)
    assert evaluate(scores, ELEMENTS[0]).state.metrics["recall"] == 1


def test_other_ranks_write_no_table(tmp_path: Path) -> None:
    engine = Engine(lambda engine, batch: [])
    engine.state.rank = 1
    DetectionScores(["core"], tmp_path / "d.csv").attach(engine)
    engine.run([[]])
    assert not (tmp_path / "d.csv").exists()


def test_maps_that_differ_in_size_are_refused() -> None:
    with pytest.raises(ValueError, match="expected both"):
        evaluate(DetectionScores(["core"]), {"pred": torch.zeros(1, 4, 4), "label": torch.zeros(1, 5, 4)})
