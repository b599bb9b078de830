from __future__ import annotations

import csv
import logging
from pathlib import Path

import pytest
from ignite.engine import Engine, Events

from scripts.handlers.curves import EpochAverages, EpochScores, EvaluationProgress, Progress, scalars


def run(file: Path | None, epochs: int, *, start: int = 0, scale: float = 1.0, handlers: tuple = ()) -> Engine:
    """Batches 1, 2, 6 times the epoch's number as `loss`."""
    engine = Engine(lambda engine, batch: {"loss": scale * batch * engine.state.epoch, "pred": object()})
    engine.add_event_handler(Events.STARTED, lambda: setattr(engine.state, "epoch", start))
    for handler in (EpochAverages(file), *handlers):
        handler.attach(engine)
    engine.run([1.0, 2.0, 6.0], max_epochs=epochs)
    return engine


def rows(file: Path) -> list[tuple[int, float]]:
    with open(file, newline="") as stream:
        return [(int(row["epoch"]), float(row["loss"])) for row in csv.DictReader(stream)]


def test_means_of_each_epoch(tmp_path):
    engine = run(tmp_path / "new" / "curves.csv", 3)
    assert rows(tmp_path / "new" / "curves.csv") == [(1, 3.0), (2, 6.0), (3, 9.0)]
    assert engine.state.metrics["loss"] == pytest.approx(9.0)
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["curves.csv"]


def test_a_resumed_run_drops_the_rows_after_its_checkpoint(tmp_path):
    run(tmp_path / "curves.csv", 4, scale=100.0)
    run(tmp_path / "curves.csv", 3, start=1)  # resumed after epoch 1
    assert rows(tmp_path / "curves.csv") == [(1, 300.0), (2, 6.0), (3, 9.0)]


def test_a_validator_s_scores_follow_the_training_s_epochs(tmp_path):
    validator = Engine(lambda engine, batch: None)
    EpochScores(tmp_path / "new" / "validation.csv").attach(validator)

    def validate(epoch: int, dice: float) -> None:  # as MONAI's Evaluator.run(epoch) does
        validator.add_event_handler(Events.STARTED, lambda: setattr(validator.state, "epoch", epoch - 1))
        validator.add_event_handler(Events.EPOCH_COMPLETED, lambda e: e.state.metrics.update(dice=dice))
        validator.run([0], max_epochs=epoch)

    for epoch, dice in ((2, 0.25), (4, 0.5), (4, 0.75)):  # every second epoch, the last one twice after a restart
        validate(epoch, dice)
    with open(tmp_path / "new" / "validation.csv", newline="") as stream:
        assert list(csv.DictReader(stream)) == [{"epoch": "2", "dice": "0.25"}, {"epoch": "4", "dice": "0.75"}]


def test_without_a_file_only_the_metrics_are_set():
    assert run(None, 2).state.metrics["loss"] == pytest.approx(6.0)


def test_scalars_are_the_numbers_of_an_output():
    assert scalars({"loss": 0.5, "steps": 3, "pred": object(), "name": "x"}) == {"loss": 0.5, "steps": 3}


def test_a_log_file_gets_one_line_per_epoch(caplog, capsys):
    with caplog.at_level(logging.INFO, "scripts.handlers.curves"):
        run(None, 2, handlers=(Progress(), EvaluationProgress()))
    told = [record.getMessage() for record in caplog.records if record.name.startswith("scripts")]
    assert told == [
        "Epoch 1/2: loss 3.0000; about 0.0 min left",
        "Epoch 2/2: loss 6.0000; about 0.0 min left",
    ]
    assert capsys.readouterr().err == ""
