"""What is gathered of a study's trainings."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from scripts.experiments.collect import read_trainings
from scripts.experiments.planning import plan_study
from scripts.experiments.study import open_study
from scripts.scores.course import Course, CourseEpoch
from scripts.scores.json_files import write_dataclass

SCORES = [0.2, 0.5, 0.4, 0.6, 0.3]


def write_course(folder: Path, epochs: int, passes_per_epoch: float) -> None:
    rows = [CourseEpoch(n + 1, (n + 1) * passes_per_epoch, SCORES[n]) for n in range(epochs)]
    write_dataclass(folder / "run" / "course.json", Course("mean_dice", rows, None, "plateau"))


def test_scores_at_equal_passes_by_hand(content: dict[str, Any]) -> None:
    content |= {"seeds": [0], "folds": [1, 2], "tasks": {"segmentation": content["tasks"]["segmentation"]}}
    content["tasks"]["segmentation"]["arms"] = ["real", "real+redgan", "synthetic:redgan"]
    evaluations = plan_study(open_study(content)).evaluations
    lengths = {"real": (4, 1.0), "real+redgan": (5, 0.5), "synthetic:redgan": (3, 0.0)}  # 4, 2.5 and 0 passes
    for each in evaluations:
        if each.cell.fold == 2:
            write_course(each.trained.folder, *lengths[each.arm.name])
    real, gan, alone = read_trainings(evaluations)  # those of fold 1 did not write it down
    assert (real.epochs, real.best_epoch, real.score, real.stopped, real.fold) == (4, 4, 0.6, "plateau", 2)
    assert (real.real_passes, real.equal_passes, real.equal_score) == (4.0, 2.5, 0.5)  # epochs 1 and 2 within 2.5
    assert (gan.real_passes, gan.equal_passes, gan.equal_score) == (2.5, 2.5, 0.6)
    assert (alone.real_passes, alone.score) == (0.0, 0.5)
    assert math.isnan(alone.equal_score)
    assert math.isnan(alone.equal_passes)
