"""Scores of a classifier of slices: as an engine's metrics, as tables, and with intervals over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine

from scripts.handlers.collector import Collector
from scripts.metrics.classification import MEASURES, ClassScores, check_vote, class_accuracy, vote
from scripts.metrics.comparison import RESAMPLES, estimate
from scripts.metrics.measure import Measure
from scripts.scores.class_tables import (
    PATIENTS,
    SLICES,
    SUMMARY,
    ClassificationSummary,
    ClassMeasures,
    write_patients,
    write_scores,
)
from scripts.scores.json_files import write_dataclass
from scripts.scores.results import Estimate


class ClassificationScores(Collector):
    """Attached to an evaluator: accuracy, balanced accuracy, AUC and MCC per slice and per patient.

    The elements of `engine.state.output`, one slice each, hold `pred`, probabilities (K,), and `label`, a class index;
    those of `engine.state.batch` hold `patient` and `source`, the slice's name. A patient's slices vote.

    `engine.state.metrics` get `accuracy`, `balanced_accuracy`, `AUC`, `MCC` and `accuracy_<class>` of the slices, and
    the same of the patients with `patient_` before them; NaN where undefined.

    Args:
        classes: names of the classes 0..K-1.
        folder: for `scores.csv`, `patients.csv` and `classification.json`; None writes nothing and computes no
            intervals.
        vote_rule: "mean" of the slices' probabilities, or "majority".
        resamples: of the patients, for the 95% intervals.
        about: `split`, `classifier` and `seen_in` of `classification.json`.
    """

    def __init__(
        self,
        classes: Sequence[str],
        folder: str | Path | None = None,
        *,
        vote_rule: str = "mean",
        resamples: int = RESAMPLES,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        check_vote(vote_rule)
        self.classes = list(classes)
        self.folder = None if folder is None else Path(folder)
        self.vote_rule = vote_rule
        self.resamples = resamples
        self.about = dict(about or {})
        self.rows: list[tuple[str, str, int, np.ndarray]] = []

    def start(self, engine: Engine) -> None:
        self.rows = []

    def add(self, engine: Any) -> None:
        for element, output in zip(engine.state.batch, engine.state.output, strict=True):
            probabilities = torch.as_tensor(output["pred"]).detach().cpu().double().numpy()  # (K,)
            self.rows.append((element["patient"], element["source"], int(output["label"]), probabilities))

    def finish(self, engine: Any) -> None:
        rows = sorted(self.rows, key=lambda row: row[:2])
        slices = ClassScores(
            self.classes,
            [source for _, source, _, _ in rows],
            [patient for patient, _, _, _ in rows],
            np.array([truth for _, _, truth, _ in rows], dtype=np.intp),
            np.stack([probabilities for _, _, _, probabilities in rows]),
        )
        patients = vote(slices, self.vote_rule)
        for start, scores in (("", slices), ("patient_", patients)):
            for name, measure in _measures(scores).items():
                engine.state.metrics[start + name] = measure.value
        if self.folder is not None and not getattr(engine.state, "rank", 0):
            write_scores(self.folder / SLICES, slices)
            write_patients(self.folder / PATIENTS, slices, patients)
            summary = ClassificationSummary(
                classes=self.classes,
                vote=self.vote_rule,
                resamples=self.resamples,
                slices=self._score(slices),
                patients=self._score(patients),
                **self.about,
            )
            write_dataclass(self.folder / SUMMARY, summary)

    def _score(self, scores: ClassScores) -> ClassMeasures:
        measures = {
            name: Estimate(*estimate(measure, resamples=self.resamples)) for name, measure in _measures(scores).items()
        }
        return ClassMeasures(len(scores.sources), measures, scores.confusion.tolist())


def _measures(scores: ClassScores) -> dict[str, Measure]:
    measures = {name: build(scores) for name, build in MEASURES.items()}
    per_class = {f"accuracy_{name}": class_accuracy(scores, n) for n, name in enumerate(scores.classes)}
    return {**measures, **per_class}
