"""The answer that follows from the tests of a task, and no more than follows: the same sentences for every task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scripts.experiments.compare import FEW_PATIENTS, NOISE, ONE_TRAINING
from scripts.metrics.statistics import MINIMUM_PATIENTS
from scripts.scores.formats import count, format_interval, format_share, format_signed, join_words, state_p
from scripts.scores.results import Arm, Difference, Estimate, Metric, Task, Verdict

ENOUGH_SEEDS = 5
LEAST_LEARNED = 0.05  # above chance, of the best arm: below, no network has learned what arms could differ in
CHEAP = "classical augmentation or copy-paste of lesions"


@dataclass(frozen=True)
class Extent:
    """What a study ran, for the advice what to run next; `command` without folds and seeds."""

    command: str
    seeds: Sequence[int]
    folds: Sequence[int | None]
    all_folds: Sequence[int]


@dataclass(frozen=True)
class _Judged:
    """A GAN arm at a fraction, against the baseline and the cheap alternatives that were run there."""

    arm: Arm
    fraction: float
    baseline: Difference
    alternatives: list[Difference]

    @property
    def beats_baseline(self) -> bool:
        return self.baseline.finding == "raised"

    @property
    def helps(self) -> bool:
        beaten = all(each.finding == "raised" for each in self.alternatives)
        return self.beats_baseline and bool(self.alternatives) and beaten

    @property
    def better(self) -> list[Difference]:
        """The tests against arms that scored better."""
        return [each for each in (self.baseline, *self.alternatives) if each.finding == "lowered"]

    @property
    def undecided(self) -> Difference | None:
        """The first test that gave no answer."""
        return next((each for each in (self.baseline, *self.alternatives) if each.reason), None)


def give_verdict(
    task: Task, differences: Sequence[Difference], arms: Sequence[Arm], extent: Extent, *, best: float = math.inf
) -> Verdict:
    """Whether synthetic images help in a task.

    "helps" only if a GAN arm is raised against the baseline and against every cheap alternative at some fraction;
    "harms" if all are lowered against the baseline at all; "no gain" if each is lowered against the baseline or a cheap
    alternative; "too few" if there were too few patients everywhere. Where even the best arm hardly learned its task,
    nothing can be told.

    Args:
        task: whose.
        differences: of all families; those of "verdict" decide.
        arms: of the task.
        extent: what was run.
        best: highest score of an arm in the first metric.
    """
    judged = _judge_arms(task, differences, arms)
    if not judged:
        return Verdict(task.name, "cannot tell", "No arm with a GAN was run, so there is nothing to judge.", [])
    tests = sum(not math.isnan(each.p) for each in differences if each.family == "verdict" and each.task == task.name)
    details = [_describe(each, task.primary, _titles(arms), tests, _place(each, judged)) for each in judged]
    finding, sentence = _answer(task.primary, judged, arms)
    if finding == "helps":
        return Verdict(task.name, finding, sentence, details)
    if best - task.chance < LEAST_LEARNED:
        score, guess = f"{best:.{task.primary.digits}f}", f", guessing {task.chance:.2f}" if task.chance else ""
        sentence = (
            f"Cannot tell: no network learned the task; the best arm scored {score} in {task.primary.title}{guess}."
        )
        step = "Train longer: more --hours, or a larger max_epochs in study.json."
        return Verdict(task.name, "cannot tell", sentence, details, step)
    if finding in ("harms", "no gain"):
        return Verdict(task.name, finding, sentence, details)

    # Say why by the arm that comes closest, and what to run next.
    closest = min(judged, key=lambda each: (not each.beats_baseline, _rank(each.baseline)))
    if closest.undecided is not None:
        details.append(f"Why: {closest.undecided.reason} ({closest.arm.title}{_place(closest, judged)}).")
    return Verdict(task.name, finding, sentence, details, *_advise(closest, extent))


def _judge_arms(task: Task, differences: Sequence[Difference], arms: Sequence[Arm]) -> list[_Judged]:
    kinds = {arm.name: arm.kind for arm in arms}
    judged = []
    for arm in (arm for arm in arms if arm.kind == "gan"):
        mine = [d for d in differences if (d.task, d.family, d.arm) == (task.name, "verdict", arm.name)]
        for baseline in (each for each in mine if kinds[each.other] == "baseline"):
            here = [d for d in mine if d.fraction == baseline.fraction and kinds[d.other] == "alternative"]
            judged.append(_Judged(arm, baseline.fraction, baseline, here))
    return judged


def _answer(metric: Metric, judged: Sequence[_Judged], arms: Sequence[Arm]) -> tuple[str, str]:
    baseline = next(arm.title for arm in arms if arm.kind == "baseline")
    better = f"better in {metric.title} than {baseline}"
    helping, beating = [e for e in judged if e.helps], [e for e in judged if e.beats_baseline]
    if helping:
        return "helps", f"Yes: {_name(helping, judged)} scored {better} and every cheap alternative."
    findings = {each.baseline.finding for each in judged}
    if findings == {"lowered"}:
        return "harms", f"No: {_name(judged, judged)} scored worse in {metric.title} than {baseline}."
    if all(each.better for each in judged):
        titles = _titles(arms)
        shared = set.intersection(*({titles[d.other] for d in each.better} for each in judged))
        best = sorted(shared)[0] if shared else f"{baseline} or a cheap alternative"
        return "no gain", f"No: {_name(judged, judged)} scored worse in {metric.title} than {best}."
    if findings == {"too few"}:
        most = max(each.baseline.estimate.patients for each in judged)
        return "too few", f"Too few patients to tell: {most}, and the test needs {MINIMUM_PATIENTS}."
    if not beating:
        return "cannot tell", f"Cannot tell: no arm with a GAN scored reliably {better}."
    open_end = "a gain over every cheap alternative is not shown"
    if not any(each.alternatives for each in beating):
        open_end = "no cheap alternative was run"
    return "cannot tell", f"Cannot tell: {_name(beating, judged)} scored {better}, but {open_end}."


def _describe(judged: _Judged, metric: Metric, titles: dict[str, str], tests: int, place: str) -> str:
    """A sentence on a GAN arm against the baseline and the best cheap alternative.

    "Real + GAN: difference in Dice +0.021 [0.003, 0.040] to Real only (raised, p = .03 after Holm over 3 tests), +0.004
    [-0.010, 0.020] to Oversampling, the best cheap alternative (cannot tell, p = .40)."
    """
    first = judged.baseline
    after = f" after Holm over {count(tests, 'test')}"
    text = f"{judged.arm.title}{place}: difference in {metric.title} {_result(first, metric, titles, after=after)}"
    sign = 1 if metric.better == "higher" else -1
    if not judged.alternatives:
        return f"{text}; no cheap alternative was run."
    best = min(judged.alternatives, key=lambda each: sign * each.estimate.value)
    which = ", the best cheap alternative" if len(judged.alternatives) > 1 else ", the cheap alternative"
    return f"{text}, {_result(best, metric, titles, which=which)}."


def _result(difference: Difference, metric: Metric, titles: dict[str, str], *, which: str = "", after: str = "") -> str:
    p = "" if math.isnan(difference.p_adjusted) else f", {state_p(difference.p_adjusted)}{after}"
    shown = format_difference(difference.estimate, metric)
    return f"{shown} to {titles[difference.other]}{which} ({difference.finding}{p})"


def _advise(closest: _Judged, extent: Extent) -> tuple[str, str]:
    """What to run next, in words and as a command; "" where no option would help."""
    undecided = closest.undecided
    if undecided is None:
        if closest.alternatives or not closest.beats_baseline:
            return "", ""
        return f"Run a cheap alternative too, such as {CHEAP}.", ""
    few = undecided.finding == "too few" or undecided.reason.startswith(FEW_PATIENTS)
    noisy = undecided.reason.startswith((ONE_TRAINING, NOISE)) or len(extent.seeds) == 1
    unused = [fold for fold in extent.all_folds if fold not in extent.folds]
    steps, options = [], []
    if noisy:
        seeds = _more_seeds(extent.seeds)
        steps.append(f"train with {len(seeds)} seeds instead of {len(extent.seeds)}")
        options.append(f"--seeds {_list(seeds)}")
    if unused and (few or not noisy):
        steps.append(f"test on all {len(extent.all_folds)} folds instead of {len(extent.folds)}")
        options.append(f"--folds {_list(extent.all_folds)}")
    elif few or not noisy:
        steps.append("add patients: all folds were tested")
    text = " and ".join(steps)
    return f"{text[0].upper()}{text[1:]}.", f"{extent.command} {' '.join(options)}" if options else ""


def _list(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))


def _more_seeds(seeds: Sequence[int]) -> list[int]:
    """Twice as many, five at least; those that were run come first, for the first chooses a fraction's patients."""
    wanted = max(ENOUGH_SEEDS, 2 * len(seeds))
    new = [number for number in range(wanted + len(seeds)) if number not in seeds]
    return [*seeds, *new[: wanted - len(seeds)]]


def _rank(difference: Difference) -> float:
    """Small for what comes close to a gain."""
    p = 1.0 if math.isnan(difference.p_adjusted) else difference.p_adjusted
    return p if difference.finding != "lowered" else 2.0


def _name(chosen: Sequence[_Judged], judged: Sequence[_Judged]) -> str:
    """The arms by title, each with the fractions where there are several: "GAN at 10% and 25% of the patients"."""
    several = len({each.fraction for each in judged}) > 1
    names = []
    for title in dict.fromkeys(each.arm.title for each in chosen):
        shares = [format_share(each.fraction) for each in chosen if each.arm.title == title]
        names.append(f"{title} at {join_words(shares)} of the patients" if several else title)
    return join_words(names)


def _place(each: _Judged, judged: Sequence[_Judged]) -> str:
    several = len({other.fraction for other in judged}) > 1
    return f" at {format_share(each.fraction)} of the patients" if several else ""


def _titles(arms: Sequence[Arm]) -> dict[str, str]:
    return {arm.name: arm.title for arm in arms}


def format_difference(estimate: Estimate, metric: Metric) -> str:
    """A difference as text: "+0.021 [0.003, 0.040]", "-1.2 mm" without an interval."""
    interval = format_interval(estimate.low, estimate.high, metric.digits)
    return " ".join(filter(None, [format_signed(estimate.value, metric.digits), interval, metric.unit]))
