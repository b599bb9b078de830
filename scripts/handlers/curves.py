"""Averages of a step's scalars per epoch: for the log, TensorBoard, MLflow and the report's curves."""

from __future__ import annotations

import csv
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from ignite.engine import Engine, Events
from ignite.handlers.tqdm_logger import ProgressBar
from monai.handlers import StatsHandler, TensorBoardStatsHandler

from scripts.handlers.collector import Collector
from scripts.scores.csv_tables import write_table

logger = logging.getLogger(__name__)


class EpochAverages(Collector):
    """Puts each scalar's mean over the epoch into `engine.state.metrics`, and all epochs into a CSV file.

    The file is rewritten atomically each epoch; a resumed run drops rows after the epoch it resumes from.

    Args:
        file: the CSV (columns: epoch, `seconds` since the last epoch's end, with its validation and checkpoint,
            `training_seconds` of the iterations alone, then the scalars); None to keep no file.
    """

    def __init__(self, file: str | Path | None = None) -> None:
        self.file = None if file is None else Path(file)
        self.sums: dict[str, float] = {}
        self.count = 0
        self.since = 0.0

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.STARTED, self._start_clock)
        super().attach(engine)

    def _start_clock(self) -> None:
        self.since = time.perf_counter()
        if self.file is not None:
            read_rows(self.file)  # refuses another table before an epoch is spent

    def start(self, engine: Any) -> None:
        self.sums, self.count = {}, 0

    def add(self, engine: Any) -> None:
        for name, value in scalars(engine.state.output).items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        self.count += 1

    def finish(self, engine: Any) -> None:
        means = {name: total / self.count for name, total in self.sums.items()}
        engine.state.metrics.update(means)
        spent, now = engine.state.times.get(Events.EPOCH_COMPLETED.name) or 0.0, time.perf_counter()
        seconds = {"seconds": round(now - self.since, 3), "training_seconds": round(spent, 3)}
        self.since = now
        if self.file is not None and not getattr(engine.state, "rank", 0):
            add_row(self.file, {"epoch": engine.state.epoch, **seconds, **means})


class TrainingLog:
    """Attached to a trainer: all that shows its course, by `EpochAverages`, `Progress` and TensorBoard.

    Args:
        folder: for `curves.csv`, and `tensorboard/`, which rank 0 writes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def attach(self, engine: Engine) -> None:
        EpochAverages(self.folder / "curves.csv").attach(engine)
        Progress().attach(engine)
        if not getattr(engine.state, "rank", 0):
            TensorBoardStatsHandler(log_dir=str(self.folder / "tensorboard"), output_transform=scalars).attach(engine)


class ValidationLog:
    """Attached to a validator: shows its metrics, on the console and in TensorBoard.

    Args:
        folder: for `tensorboard/`, which rank 0 writes.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)

    def attach(self, engine: Engine) -> None:
        StatsHandler(iteration_log=False).attach(engine)
        if not getattr(engine.state, "rank", 0):
            TensorBoardStatsHandler(log_dir=str(self.folder / "tensorboard"), iteration_log=False).attach(engine)


class EpochScores:
    """Attached to a validator: adds its metrics of each epoch to a CSV file, as `EpochAverages` does for the training.

    Put it after the handlers that set the metrics.

    Args:
        file: the CSV (columns: epoch, then the metrics, in the order they were set).
    """

    def __init__(self, file: str | Path) -> None:
        self.file = Path(file)

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.COMPLETED, self)

    def __call__(self, engine: Engine) -> None:
        if not getattr(engine.state, "rank", 0):
            add_row(self.file, {"epoch": engine.state.epoch, **engine.state.metrics})


class Progress(ProgressBar):
    """A progress bar with the step's scalars on a terminal, one line per epoch in a log file.

    The time left counts validations and checkpoints. Put it after `EpochAverages`, whose means the lines show.
    """

    def __init__(self) -> None:
        self.on_terminal = sys.stderr.isatty() and not int(os.environ.get("RANK", "0"))
        super().__init__(desc="Epoch", mininterval=1.0, disable=not self.on_terminal)

    def attach(self, engine: Engine) -> None:  # type: ignore[override]
        if self.on_terminal:
            super().attach(engine, output_transform=scalars)
        engine.add_event_handler(Events.STARTED, self._start_clock)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self._report)

    def _start_clock(self) -> None:
        self.since, self.epochs = time.perf_counter(), 0

    def _report(self, engine: Any) -> None:
        state = engine.state
        means = ", ".join(
            f"{name} {state.metrics[name]:.4f}" for name in scalars(state.output) if name in state.metrics
        )
        self.epochs += 1
        left = (state.max_epochs - state.epoch) * (time.perf_counter() - self.since) / self.epochs
        logger.info(f"Epoch {state.epoch}/{state.max_epochs}: {means}; about {left / 60:.1f} min left")


class EvaluationProgress(ProgressBar):
    """A progress bar over an evaluator's images on a terminal; silent in a log file."""

    def __init__(self) -> None:
        super().__init__(desc="Images", mininterval=1.0, disable=not sys.stderr.isatty())

    def attach(self, engine: Engine) -> None:  # type: ignore[override]
        super().attach(engine)


def scalars(output: Any) -> dict[str, float]:
    """The numbers among what a step returned, a dictionary, or among a trainer's output, a list of one."""
    values = output[0] if isinstance(output, list) else output
    return {name: value for name, value in values.items() if isinstance(value, (int, float))}


def read_rows(file: Path) -> list[dict[str, Any]]:
    """The rows of a CSV file of epochs; none where there is none yet.

    Raises:
        ValueError: not such a file.
    """
    if not file.exists():
        return []
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        if all(str(row["epoch"]).isdecimal() for row in rows):
            return rows
    except (OSError, ValueError, KeyError, csv.Error):
        pass
    raise ValueError(f"{file} is no table with a number as 'epoch' in each row. Remove it: its curves begin anew.")


def add_row(file: Path, row: dict[str, Any]) -> None:
    """Puts an epoch's row at the end of the CSV file, in place of those from this epoch on."""
    rows = [earlier for earlier in read_rows(file) if int(earlier["epoch"]) < row["epoch"]]
    write_table(file, list(row), [[each.get(column, "") for column in row] for each in [*rows, row]])
