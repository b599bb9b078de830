"""Detection of lesions by boxes: mAP, sensitivity, false positives, FROC, sensitivity at the same false positives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from scripts.experiments.tasks.task import Key, Runs, TaskScores, Trainings, check_alike, check_runs, unite_patients
from scripts.metrics.box_detection import (
    FROC_RATES,
    SIZES,
    Froc,
    false_positives_per_slice,
    mean_average_precision,
    sensitivity,
    split_by_size,
)
from scripts.metrics.box_matching import Matches, join_folds
from scripts.metrics.comparison import estimate
from scripts.metrics.measure import Measure, average, embed
from scripts.scores.box_tables import IOUS, DetectorSettings, read_matches
from scripts.scores.json_files import ResultsError, read_dataclass
from scripts.scores.results import ALL, Estimate, FrocCurve, Metric, Task

MATCHED = "matched_sensitivity"
ENDS = {0.5: ("", ""), 0.25: ("_iou25", " at IoU 0.25")}  # of names and titles
CURVE_POINTS = 60
METHOD = (
    "A detection finds a lesion where their boxes overlap with an IoU of 0.5 (or 0.25) or more, by COCO's rule. "
    "Sensitivity and false positives count detections with a score of {threshold:g} or more. Sizes are thirds of all "
    "true boxes. At equally many false positives, both arms are held to the lower rate of the two, which both reach."
)


@dataclass(frozen=True)
class _Detectors:
    """All arms' matches by arm and IoU, one for each seed, and how each seed's patients lie among all."""

    seeds: list[int]
    patients: list[str]
    places: dict[int, list[int]]
    threshold: float
    matches: dict[tuple[str, float], list[Matches]]

    def embed(self, measures: Sequence[Measure]) -> Trainings:
        return [embed(each, self.places[s], len(self.patients)) for each, s in zip(measures, self.seeds, strict=True)]

    def match(self, arm: str, other: str) -> tuple[Trainings, Trainings]:
        """Sensitivities at equally many false positives; trainings of the same seed are held to the same rate."""
        both = list(zip(self.matches[arm, 0.5], self.matches[other, 0.5], strict=True))
        first, second = (
            [Froc(pair[n]).matched_sensitivity(*pair, threshold=self.threshold) for pair in both] for n in (0, 1)
        )
        return self.embed(first), self.embed(second)


def read_arms(runs: Runs) -> TaskScores:
    """Reads the tables of boxes of all evaluations.

    Args:
        runs: folders of the evaluations, with `detection.json` and the tables of `write_box_tables`.

    Raises:
        ResultsError: a file is missing or malformed, settings differ, or other slices or boxes were tested.
    """
    found = _read(runs)
    measures: dict[str, dict[Key, Trainings]] = {arm: {} for arm in runs}
    for (arm, iou), trainings in found.matches.items():
        for key, of_seeds in _measure(trainings, iou, found.threshold).items():
            measures[arm][key] = found.embed(of_seeds)
    truths = found.matches[next(iter(runs)), 0.5]
    metrics = [metric for iou in IOUS for metric in _metrics(iou)]
    metrics.insert(3, Metric(MATCHED, "Sensitivity at equally many false positives"))
    tested = {
        "patients": len(found.patients),
        "slices": max(int(each.slices.sum()) for each in truths),
        "boxes": max(len(each.areas) for each in truths),
    }
    task = Task("detection", metrics, list(SIZES), [], tested, METHOD.format(threshold=found.threshold))
    froc = [_trace_froc(found, arm, iou) for arm, iou in found.matches]
    return TaskScores(
        task, found.patients, {}, found.seeds, measures, {(MATCHED, ALL): partial(_Detectors.match, found)}, froc
    )


def _metrics(iou: float) -> list[Metric]:
    name, title = ENDS[iou]
    return [
        Metric(f"mAP{name}", f"mAP{title}"),
        Metric(f"sensitivity{name}", f"Sensitivity{title}"),
        Metric(f"false_positives_per_slice{name}", f"False positives per slice{title}", "lower", "", 2),
    ]


def _measure(trainings: Sequence[Matches], iou: float, threshold: float) -> Mapping[Key, list[Measure]]:
    ap, found, false = (metric.name for metric in _metrics(iou))
    measures: dict[Key, list[Measure]] = {
        (ap, ALL): [mean_average_precision(each) for each in trainings],
        (found, ALL): [sensitivity(each, threshold=threshold) for each in trainings],
        (false, ALL): [false_positives_per_slice(each, threshold=threshold) for each in trainings],
    }
    for each in trainings:
        for size, chosen in split_by_size(each.areas)[1].items():
            measure = sensitivity(each, threshold=threshold, chosen=chosen)
            measures.setdefault((found, size), []).append(measure)
    return measures


def _read(runs: Runs) -> _Detectors:
    seeds, first = check_runs(runs), next(iter(runs))
    settings = read_dataclass(runs[first][seeds[0]][0] / "detection.json", DetectorSettings)
    matches: dict[tuple[str, float], list[Matches]] = {}
    for arm in runs:
        for iou in IOUS:
            matches[arm, iou] = [_read_folds(runs[arm][seed], settings, iou) for seed in seeds]
        for seed, each, reference in zip(seeds, matches[arm, 0.5], matches[first, 0.5], strict=True):
            check_alike("slices or true boxes", runs, arm, seed, _truths(each), _truths(reference))
    for seed, each in zip(seeds, matches[first, 0.5], strict=True):
        if not len(each.areas):
            raise ResultsError(
                f"{runs[first][seed][0]}: the test slices have no true boxes; check the data set's boxes."
            )
    of_seeds = {seed: each.patients for seed, each in zip(seeds, matches[first, 0.5], strict=True)}
    patients, places = unite_patients(of_seeds)
    return _Detectors(seeds, patients, places, settings.detection_threshold, matches)


def _read_folds(folders: Sequence[Path], settings: DetectorSettings, iou: float) -> Matches:
    for folder in folders:
        own = read_dataclass(folder / "detection.json", DetectorSettings)
        if own != settings:
            raise ResultsError(
                f"{folder / 'detection.json'}: {own}, elsewhere {settings}; expected the same. Run the evaluations of "
                "all detectors with the same settings."
            )
    try:
        return join_folds([read_matches(folder, settings.classes, iou) for folder in folders])
    except (ValueError, IndexError) as error:
        raise ResultsError(f"{folders[0]}: the tables of boxes do not fit together: {error}") from error


def _truths(matches: Matches) -> tuple[object, ...]:
    arrays = (matches.slices, matches.true_owners, matches.true_classes, matches.areas)
    return (matches.patients, *(array.tolist() for array in arrays))


def _trace_froc(found: _Detectors, arm: str, iou: float) -> FrocCurve:
    """The mean of the trainings' curves; no operating point where there are no false positives to speak of."""
    frocs = [Froc(each) for each in found.matches[arm, iou]]
    _, hits, false = (metric.name for metric in _metrics(iou))
    measured = _measure(found.matches[arm, iou], iou, found.threshold)
    rate, height = (average(found.embed(measured[name, ALL])).value for name in (false, hits))
    rates = np.geomspace(FROC_RATES[0], max(FROC_RATES[-1], rate), CURVE_POINTS).tolist()

    def at(point: float) -> Measure:
        return average(found.embed([froc.sensitivity(point) for froc in frocs]))

    return FrocCurve(
        "detection",
        1.0,
        arm,
        iou,
        [(point, at(point).value) for point in rates],
        [(point, Estimate(*estimate(at(point)))) for point in FROC_RATES],
        (rate, height) if rate >= FROC_RATES[0] / 2 else None,
    )
