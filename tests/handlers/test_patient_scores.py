from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events
from monai.data import MetaTensor

from scripts.handlers.patient_scores import COLUMNS, PatientScores


def plane(*values: int) -> torch.Tensor:
    return torch.tensor(values).reshape(1, 1, -1)


def evaluate(scores: PatientScores, *elements: tuple[str, torch.Tensor, torch.Tensor], cls: str = "A") -> Engine:
    """Elements of (patient, prediction, label), two to a batch."""
    engine = Engine(lambda engine, batch: [{"pred": pred, "label": label} for _, pred, label in batch])

    def name(engine: Engine) -> None:
        engine.state.batch = [{"patient": patient, "class": cls} for patient, *_ in engine.state.batch]

    engine.add_event_handler(Events.ITERATION_COMPLETED, name)
    scores.attach(engine)
    engine.run([list(elements[n : n + 2]) for n in range(0, len(elements), 2)])
    return engine


ELEMENTS = (
    ("p1", plane(1, 1, 0, 0), plane(1, 0, 0, 0)),
    ("p2", plane(0, 0, 2, 0), plane(0, 0, 2, 2)),
    ("p1", plane(0, 0, 0, 0), plane(0, 1, 1, 1)),  # of the same patient, in another batch
)


def test_slices_of_one_patient_are_summed_and_patients_averaged():
    metrics = evaluate(PatientScores(["core", "oedema"]), *ELEMENTS).state.metrics
    assert metrics["dice_core"] == pytest.approx(2 / 6)
    assert metrics["dice_oedema"] == pytest.approx(2 / 3)
    assert metrics["mean_dice"] == pytest.approx((2 / 6 + 2 / 3) / 2)
    assert metrics["iou_core"] == pytest.approx(1 / 5)
    assert metrics["iou_oedema"] == pytest.approx(1 / 2)


def test_each_run_starts_anew():
    scores = PatientScores(["core", "oedema"])
    evaluate(scores, *ELEMENTS)
    assert evaluate(scores, ("p9", plane(1), plane(1))).state.metrics["mean_dice"] == 1


def test_nothing_to_judge_is_unknown():
    metrics = evaluate(PatientScores(["core"]), ("p1", plane(0), plane(0))).state.metrics
    assert math.isnan(metrics["mean_dice"])
    assert math.isnan(metrics["dice_core"])


def read(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_table(tmp_path):
    file = tmp_path / "new" / "scores.csv"
    evaluate(PatientScores(["core", "oedema"], file), *ELEMENTS, cls="B")
    rows = read(file)
    assert tuple(rows[0]) == COLUMNS
    assert [(row["patient"], row["class"], row["label"]) for row in rows] == [
        (patient, "B", label) for patient in ("p1", "p2") for label in ("core", "oedema")
    ]
    core = rows[0]
    assert float(core["dice"]) == pytest.approx(1 / 3, rel=1e-5)
    assert float(core["iou"]) == pytest.approx(1 / 5)
    assert float(core["hd95_mm"]) == pytest.approx(0.95, rel=0.06)  # one pixel too far, in one slice of two
    assert float(core["volume_error_ml"]) == pytest.approx((2 - 4) / 1000)
    assert rows[1]["dice"] == rows[1]["hd95_mm"] == "nan"


def test_volumes_are_measured_in_millimetres(tmp_path):
    affine = torch.diag(torch.tensor([-2.0, 3.0, 5.0, 1.0]))
    prediction, label = torch.zeros(1, 6, 6, 2), torch.zeros(1, 6, 6, 2)
    prediction[0, 1, 1, 0] = label[0, 3, 1, 0] = label[0, 4, 4, 1] = 1
    evaluate(PatientScores(["core"], tmp_path / "s.csv"), ("p", prediction, MetaTensor(label, affine=affine)))
    (row,) = read(tmp_path / "s.csv")
    assert float(row["volume_error_ml"]) == pytest.approx(-2 * 3 * 5 / 1000)
    # prediction to label 4 mm; label to prediction 4 mm and |(6, 9, 5)| mm: their 95th percentile
    assert float(row["hd95_mm"]) == pytest.approx(4 + 0.95 * (math.sqrt(36 + 81 + 25) - 4), rel=1e-4)


def test_other_ranks_write_no_table(tmp_path):
    scores = PatientScores(["core", "oedema"], tmp_path / "scores.csv")
    engine = Engine(lambda engine, batch: [])
    engine.state.rank = 1
    scores.attach(engine)
    engine.run([[]])
    assert not (tmp_path / "scores.csv").exists()
