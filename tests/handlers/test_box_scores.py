from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from ignite.engine import Engine

from scripts.handlers.box_scores import BoxScores
from scripts.handlers.export import KeepBest
from scripts.metrics.box_detection import Froc, mean_average_precision
from scripts.networks.knowledge import Knowledge
from scripts.networks.yolo import YOLOv3
from scripts.scores.box_tables import DETECTION_COLUMNS, PATIENT_COLUMNS, TRUTH_COLUMNS, read_matches

SQUARE, HALF, FAR = [0, 0, 10, 10], [0, 0, 10, 4], [50, 50, 70, 70]


def element(patient: str, source: str, found: list[tuple], true: list[tuple], *, pad: int = 0) -> dict[str, Any]:
    """Detections (box, score, class) and truths (box, class), the latter followed by padding."""
    truths = [*true, *[([0, 0, 0, 0], -1)] * pad]
    return {
        "patient": patient,
        "source": source,
        "pred_boxes": torch.tensor([box for box, _, _ in found], dtype=torch.float32).reshape(-1, 4),
        "pred_scores": torch.tensor([score for _, score, _ in found], dtype=torch.float32),
        "pred_classes": torch.tensor([index for _, _, index in found], dtype=torch.int64),
        "boxes": torch.tensor([box for box, _ in truths], dtype=torch.float32).reshape(-1, 4),
        "box_classes": torch.tensor([index for _, index in truths], dtype=torch.int64),
    }


ELEMENTS = (
    element("q", "q#0", [(FAR, 0.5, 0), (SQUARE, 0.0005, 0)], [], pad=2),  # negative: false positives alone
    element("p", "p#1", [], [(FAR, 1)]),
    element("p", "p#0", [(HALF, 0.75, 0), (FAR, 0.25, 1)], [(SQUARE, 0), (FAR, 1)], pad=1),
)


def evaluate(scores: BoxScores, *elements: dict[str, Any]) -> Engine:
    """Elements of a data set, two to a batch."""
    keys = ("pred_boxes", "pred_scores", "pred_classes", "boxes", "box_classes")
    engine = Engine(lambda engine, batch: [{key: e[key] for key in keys} for e in batch])
    scores.attach(engine)
    engine.run([list(elements[n : n + 2]) for n in range(0, len(elements), 2)])
    return engine


def read(file: Path) -> list[tuple[str, ...]]:
    with open(file, newline="") as stream:
        return [tuple(row) for row in csv.reader(stream)]


def test_metrics_by_hand() -> None:
    metrics = evaluate(BoxScores(["a", "b"]), *ELEMENTS).state.metrics
    # Half a box has an IoU of .4: class a is found at .25 alone, first of its class; of class b one of two.
    assert metrics["sensitivity"] == pytest.approx(1 / 3)
    assert metrics["sensitivity_iou25"] == pytest.approx(2 / 3)
    assert metrics["false_positives_per_slice"] == pytest.approx(2 / 3)
    assert metrics["false_positives_per_slice_iou25"] == pytest.approx(1 / 3)
    assert metrics["mAP"] == pytest.approx((0 + 51 / 101) / 2)
    assert metrics["mAP_iou25"] == pytest.approx((1 + 51 / 101) / 2)


def test_tables_by_hand(tmp_path: Path) -> None:
    evaluate(BoxScores(["a", "b"], tmp_path / "new", resamples=20), *ELEMENTS)
    square, half, far = (tuple(str(corner) for corner in box) for box in (SQUARE, HALF, FAR))
    assert read(tmp_path / "new" / "detections.csv") == [
        DETECTION_COLUMNS,
        ("p#0", "p", "a", *half, "0.75", "", "0"),
        ("p#0", "p", "b", *far, "0.25", "1", "1"),
        ("q#0", "q", "a", *far, "0.5", "", ""),
        ("q#0", "q", "a", *square, "0.000500000024", "", ""),
    ]
    assert read(tmp_path / "new" / "truths.csv") == [
        TRUTH_COLUMNS,
        ("p#0", "p", "a", *square, "", "0.75"),
        ("p#0", "p", "b", *far, "0.25", "0.25"),
        ("p#1", "p", "b", *far, "", ""),
    ]
    assert read(tmp_path / "new" / "scores.csv") == [
        PATIENT_COLUMNS,
        ("p", "2", "3", "1", "2", "1", "0"),
        ("q", "1", "0", "0", "0", "1", "1"),
    ]
    assert not list((tmp_path / "new").glob(".*"))


def test_summary_has_every_measure_with_its_interval(tmp_path: Path) -> None:
    metrics = evaluate(BoxScores(["a", "b"], tmp_path, resamples=20, size_edges=(50, 200)), *ELEMENTS).state.metrics
    summary = json.loads((tmp_path / "detection.json").read_text())
    assert {key: summary[key] for key in ("patients", "slices", "truths", "detections", "size_edges_px2")} == {
        "patients": 2, "slices": 3, "truths": 3, "detections": 4, "size_edges_px2": [50, 200],
    }  # fmt: skip
    at = summary["iou25"]
    assert at["measures"]["mAP"]["value"] == metrics["mAP_iou25"]
    assert at["ap_by_class"]["b"]["value"] == pytest.approx(51 / 101)
    assert at["measures"]["sensitivity"] == {"value": pytest.approx(2 / 3), "low": None, "high": None, "patients": 1}
    rates = at["measures"]["false_positives_per_slice"]
    assert (rates["low"], rates["high"], rates["patients"]) == (None, None, 2)
    sizes = at["sensitivity_by_size"]
    assert [sizes[size]["truths"] for size in ("small", "medium", "large")] == [0, 1, 2]
    assert [sizes[size]["value"] for size in ("small", "medium", "large")] == [None, 1, 0.5]
    assert [point["rate"] for point in at["froc"]] == [0.125, 0.25, 0.5, 1, 2, 4, 8]
    assert [point["value"] for point in at["froc"][:3]] == pytest.approx([1 / 3, 1 / 3, 2 / 3])
    assert at["froc"][2]["threshold"] == 0.25
    assert at["froc_curve"][-1] == pytest.approx([8, 2 / 3])


def test_tables_tell_the_same_matches_again(tmp_path: Path) -> None:
    metrics = evaluate(BoxScores(["a", "b"], tmp_path, resamples=5), *ELEMENTS).state.metrics
    matches = read_matches(tmp_path, ["a", "b"], 0.25)
    assert mean_average_precision(matches).value == metrics["mAP_iou25"]
    assert Froc(matches).sensitivity(0.5).value == pytest.approx(2 / 3)
    assert matches.areas.tolist() == [100, 400, 400]
    assert matches.slices.tolist() == [2, 1]
    with pytest.raises(ValueError, match="class 'b' is unknown"):
        read_matches(tmp_path, ["a"], 0.5)
    with pytest.raises(ValueError, match=r"iou is 0\.3"):
        read_matches(tmp_path, ["a", "b"], 0.3)
    (tmp_path / "scores.csv").write_text("patient\n")
    with pytest.raises(ValueError, match="lacks the columns"):
        read_matches(tmp_path, ["a", "b"], 0.5)
    with pytest.raises(ValueError, match="run the evaluation"):
        read_matches(tmp_path / "nowhere", ["a", "b"], 0.5)


@pytest.mark.parametrize("true", [[], [(SQUARE, 0)]])
def test_no_detections_at_all(tmp_path: Path, true: list[tuple]) -> None:
    metrics = evaluate(BoxScores(["a"], tmp_path, resamples=5), element("p", "s", [], true)).state.metrics
    assert metrics["false_positives_per_slice"] == 0
    expected = 0 if true else math.nan
    assert [metrics["mAP"], metrics["sensitivity"]] == pytest.approx([expected] * 2, nan_ok=True)
    assert read(tmp_path / "detections.csv") == [DETECTION_COLUMNS]
    assert json.loads((tmp_path / "detection.json").read_text())["detections"] == 0
    assert len(read_matches(tmp_path, ["a"], 0.5).scores) == 0


def test_no_slices_at_all(tmp_path: Path) -> None:
    engine = Engine(lambda engine, batch: [])
    scores = BoxScores(["a"], tmp_path)
    scores.attach(engine)
    engine.run([[]])
    assert math.isnan(engine.state.metrics["mAP"])
    assert json.loads((tmp_path / "detection.json").read_text())["slices"] == 0


def test_keep_best_takes_the_map(tmp_path: Path) -> None:
    engine = evaluate(BoxScores(["a", "b"]), *ELEMENTS)
    best = KeepBest(YOLOv3(1, 1, width_multiplier=0.01), tmp_path / "model.pt", "mAP", Knowledge([]))
    best(engine)
    assert best.best == pytest.approx(51 / 202)


def test_each_run_starts_anew() -> None:
    scores = BoxScores(["a", "b"])
    evaluate(scores, *ELEMENTS)
    assert evaluate(scores, ELEMENTS[2]).state.metrics["sensitivity_iou25"] == 1


def test_other_ranks_write_nothing(tmp_path: Path) -> None:
    engine = Engine(lambda engine, batch: [])
    engine.state.rank = 1
    BoxScores(["a"], tmp_path / "new").attach(engine)
    engine.run([[]])
    assert not (tmp_path / "new").exists()


def test_bad_boxes_are_refused_with_the_slice() -> None:
    with pytest.raises(ValueError, match=r"p#3: detection 0 is the box .* Drop boxes of zero size"):
        evaluate(BoxScores(["a"]), element("p", "p#3", [([5, 5, 5, 9], 0.5, 0)], []))
    with pytest.raises(ValueError, match=r"p#3: truth 0 has class 1; expected 0\.\.0"):
        evaluate(BoxScores(["a"]), element("p", "p#3", [], [(SQUARE, 1)]))
    with pytest.raises(ValueError, match="classes is empty"):
        BoxScores([])
