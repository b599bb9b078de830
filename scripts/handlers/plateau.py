"""Training until the validation score has stopped rising, and how it rose by passes over the real slices."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import ignite.distributed as idist
import torch
from ignite.engine import Engine, Events

from scripts.scores.course import FILE, Course, CourseEpoch
from scripts.scores.json_files import write_dataclass

logger = logging.getLogger(__name__)

RATE_DIVISOR = 10


class Plateau:
    """Attached to a trainer, behind its `ValidationHandler`: ends the training at its second plateau.

    A plateau is reached where the best score has not risen for `patience_epochs`, in the second half of `max_epochs`:
    before, many a training has not begun to find anything, one with augmentation longest. At the first one the rate
    is divided by ten, and the weights go on from where they are; at the second one, counted from there, the training
    ends. So each training comes to its own end at a low rate, however many slices it draws per epoch. Milestones and
    decays that were tuned for a fixed length would divide the rate too early for one arm and too late for another:
    configs leave their schedule out where a patience is given.

    Torch's `ReduceLROnPlateau` and Ignite's `EarlyStopping` each count calls, thus validations, not epochs, and know
    nothing of each other. Here all follows from the course of the scores, one state that a resumed run takes up. Put it
    before `TrainingState`, which saves what is in `engine.state.course`.

    Each epoch's end goes into `course.json`, with a patience or without: see `Course`. Real slices are those whose
    item is not `synthetic`, as `is_synthetic` of the data set says. Under DDP rank 0's score counts for all.

    Args:
        validator: whose `state.metrics` are watched.
        metric: name of the score that chooses the epoch, higher is better.
        optimizer: whose learning rate is divided.
        folder: for `course.json`, which rank 0 writes.
        patience_epochs: 1 or more; None trains until the last epoch.

    Raises:
        ValueError: a patience below 1.
    """

    def __init__(
        self,
        validator: Engine,
        *,
        metric: str,
        optimizer: torch.optim.Optimizer,
        folder: str | Path,
        patience_epochs: int | None = None,
    ) -> None:
        if patience_epochs is not None and patience_epochs < 1:
            raise ValueError(
                f"patience_epochs is {patience_epochs}, expected 1 or more, or None to train until max_epochs."
            )
        self.validator = validator
        self.metric = metric
        self.optimizer = optimizer
        self.file = Path(folder) / FILE
        self.patience_epochs = patience_epochs

    def attach(self, engine: Any) -> None:
        engine.state_dict_user_keys.append("course")
        engine.state.course = asdict(Course(self.metric))
        engine.add_event_handler(Events.EPOCH_COMPLETED, self)

    def __call__(self, engine: Any) -> None:
        epoch, scored = engine.state.epoch, self.validator.state.epoch == engine.state.epoch
        course = Course.of(engine.state.course)
        passes = course.real_passes + _count_real_passes(engine.state.dataloader)
        score = float(self.validator.state.metrics[self.metric]) if scored else math.nan
        row = CourseEpoch(epoch, passes, float(idist.broadcast(score, src=0)))  # type: ignore[arg-type]
        course = replace(course, epochs=[*course.epochs, row], stopped="")
        if scored and epoch >= engine.state.max_epochs / 2 and self._is_reached(course):
            course = self._respond(course)
        if course.stopped:
            engine.terminate()
        elif epoch == engine.state.max_epochs:
            course = replace(course, stopped="cap")
        engine.state.course = asdict(course)
        if not getattr(engine.state, "rank", 0):
            write_dataclass(self.file, course)

    def _is_reached(self, course: Course) -> bool:
        since = max(course.best.epoch if course.best else 0, course.rate_dropped or 0)
        return self.patience_epochs is not None and course.epochs[-1].epoch - since >= self.patience_epochs

    def _respond(self, course: Course) -> Course:
        """Divides the learning rate at the first plateau, ends the training at the second."""
        epoch, best = course.epochs[-1].epoch, course.best
        told = f"no {self.metric}" + (f" above {best.score:.4f} of epoch {best.epoch}" if best else "")
        if course.rate_dropped is not None:
            logger.info(f"Second plateau at epoch {epoch}, {told}: the training ends")
            return replace(course, stopped="plateau")
        for group in self.optimizer.param_groups:
            group["lr"] /= RATE_DIVISOR
        logger.info(f"First plateau at epoch {epoch}, {told}: the learning rate is divided by {RATE_DIVISOR}")
        return replace(course, rate_dropped=epoch)


def _count_real_passes(loader: Any) -> float:
    """Real slices among those that a loader's epoch drew, by all real slices; 0 where there are none."""
    real = ~loader.dataset.is_synthetic  # (N,)
    drawn = [index for batch in loader.batch_sampler for index in batch]
    return float(real[drawn].sum() * idist.get_world_size() / max(1, real.sum()))
