"""How a downstream training went: its validation scores by epoch and by passes over the real slices."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scripts.scores.evidence import Number

FILE = "course.json"  # in the folder of a training's run
ROUNDING = 1e-9  # of sums of passes


@dataclass(frozen=True)
class CourseEpoch:
    """An epoch's end.

    Attributes:
        epoch: from 1.
        real_passes: over the real slices since the start: real slices drawn, by the number of real slices there are.
        score: on the validation patients; NaN where they were not scored.
    """

    epoch: int
    real_passes: float
    score: Number


@dataclass(frozen=True)
class Course:
    """`course.json`: written by `handlers.plateau`, read by the study's collector.

    Attributes:
        metric: that chooses the epoch; higher is better.
        epochs: every epoch so far.
        rate_dropped: epoch after which the learning rate was divided at the first plateau; None before.
        stopped: what ended the training: "plateau", "cap" (the last epoch there was), or "" while it goes on.
    """

    metric: str
    epochs: list[CourseEpoch] = field(default_factory=list)
    rate_dropped: int | None = None
    stopped: str = ""

    @classmethod
    def of(cls, content: Mapping[str, Any]) -> Course:
        """From its `asdict`."""
        return cls(**{**content, "epochs": [CourseEpoch(**each) for each in content["epochs"]]})

    @property
    def best(self) -> CourseEpoch | None:
        """The epoch whose weights are kept: the first of the highest score; None before any."""
        scored = [each for each in self.epochs if not math.isnan(each.score)]
        return max(scored, key=lambda each: each.score, default=None)

    @property
    def real_passes(self) -> float:
        """Over the real slices until now."""
        return self.epochs[-1].real_passes if self.epochs else 0.0

    def best_within(self, real_passes: float) -> float:
        """The highest score that was reached within so many passes over the real slices; NaN before any."""
        reached = [each.score for each in self.epochs if each.real_passes <= real_passes + ROUNDING]
        return max((score for score in reached if not math.isnan(score)), default=math.nan)
