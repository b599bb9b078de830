"""Fits a study into the hours that it is given: what it compares, folds, seeds, and how long everything trains."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scipy.stats import norm

from scripts.experiments.costs import Cost, estimate, makespan
from scripts.experiments.drafting import Choice
from scripts.experiments.jobs import Job
from scripts.experiments.outline import Outline
from scripts.experiments.planning import plan_study
from scripts.experiments.study import Study, open_study
from scripts.metrics.comparison import LEVEL, POWER, smallest_p
from scripts.nearest_name import OptionError

GOOD, LEAST, MOST = 0.5, 0.1, 4.0  # scales: below it less is compared; nothing is worth running; long enough
PAGE = 30.0  # seconds
SPREAD = 0.15  # of patients' differences between two arms: assumed, since nothing was run yet

# The content of a study by what it compares, sizes and lengths, folds and seeds.
Draft = Callable[[Choice, Outline, Sequence[Any], Sequence[int]], dict[str, Any]]


@dataclass(frozen=True)
class Budget:
    """Seconds and cores for a study, and what its jobs cost there by kind."""

    seconds: float
    cores: int
    costs: Mapping[str, Cost]

    def spent(self, jobs: Sequence[Job], scale: float = 1.0) -> float:
        return PAGE + makespan(jobs, estimate(jobs, self.costs, scale), self.cores)

    def largest_scale(self, jobs: Sequence[Job]) -> float:
        """Of lengths with which the jobs end in time, up to `MOST`; 0 where none does."""
        low, high = 0.0, MOST
        if self.spent(jobs, high) <= self.seconds:
            return high
        for _ in range(12):
            middle = (low + high) / 2
            low, high = (middle, high) if self.spent(jobs, middle) <= self.seconds else (low, middle)
        return low


def fit_study(
    draft: Draft,
    outline: Outline,
    choices: Sequence[Choice],
    repeats: Sequence[tuple[Sequence[Any], Sequence[int]]],
    budget: Budget,
) -> dict[str, Any]:
    """The content of the richest study that ends in time.

    Full lengths are worth more than folds and seeds, folds and seeds more than lengths beyond those, and half
    of the full lengths for all that could be compared more than full lengths for some of it.

    Args:
        draft: writes the content.
        outline: at the scale of 1.
        choices: what to compare, the richest first.
        repeats: folds and seeds, the most first.
        budget: of time.

    Raises:
        OptionError: even the least takes longer.
    """

    def scale(choice: Choice, repeat: tuple[Sequence[Any], Sequence[int]]) -> float:
        return budget.largest_scale(plan_study(open_study(draft(choice, outline, *repeat))).jobs)

    def fit(choice: Choice, repeat: tuple[Sequence[Any], Sequence[int]], factor: float) -> dict[str, Any]:
        return draft(choice, replace(outline, scale=factor), *repeat)

    longest = 0.0
    for choice in choices:
        longest = scale(choice, repeats[-1])
        if longest < GOOD:
            continue
        for repeat in repeats[:-1]:
            if (factor := scale(choice, repeat)) >= 1:
                return fit(choice, repeat, factor)
        return fit(choice, repeats[-1], longest)
    if longest >= LEAST:
        return fit(choices[-1], repeats[-1], longest)
    shortest = budget.spent(plan_study(open_study(draft(choices[-1], outline, *repeats[-1]))).jobs, GOOD)
    raise OptionError(
        f"--hours allows {budget.seconds / 3600:.2f} more, but half the good lengths of {', '.join(choices[-1])} with "
        f"{', '.join(arm for arms in choices[-1].values() for arm in arms)} take {shortest / 3600:.1f}. Give more "
        "hours or fewer --arms, or a smaller --image_size_pixels"
    )


def tell_power(study: Study, patients: int) -> str:
    """What so many test patients can show in the tests of each task that the verdict rests on, in a sentence each."""
    sentences = []
    for task in study.tasks:
        arms = study.arms(task)
        gans = sum(arm.source is not None for arm in arms)
        tests = gans * (len(arms) - gans) * len(study.fractions)
        if not tests or smallest_p(patients, tests) > 1 - LEVEL:
            sentences.append(
                f"{task}: {patients} test patients cannot show anything in {tests} tests. Test on more folds, or "
                "compare fewer arms"
            )
        else:
            quantiles = norm.ppf(1 - (1 - LEVEL) / 2 / tests) + norm.ppf(POWER)
            sentences.append(
                f"{task}: {patients} test patients, {tests} tests: a difference from about "
                f"{quantiles * SPREAD / patients**0.5:.2f} on would show, if patients' differences "
                f"spread by {SPREAD} (assumed) and trainings differ little"
            )
    return "\n".join(sentences)
