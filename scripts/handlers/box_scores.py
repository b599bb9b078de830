"""Scores of a box detector: as an engine's metrics, as tables, and as a summary with intervals over patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine

from scripts.handlers.collector import Collector
from scripts.metrics.box_detection import (
    DETECTION_THRESHOLD,
    FROC_RATES,
    Froc,
    Measure,
    average_precision,
    false_positives_per_slice,
    mean_average_precision,
    sensitivity,
    split_by_size,
)
from scripts.metrics.box_matching import Matches, SliceBoxes, check_slice, match_slices
from scripts.metrics.comparison import RESAMPLES, IntervalEstimate, estimate
from scripts.scores.box_tables import IOUS, DetectionSummary, FrocPoint, IouSummary, SizeScore, write_box_tables
from scripts.scores.json_files import write_dataclass
from scripts.scores.results import Estimate

CURVE_RATES = np.geomspace(FROC_RATES[0], FROC_RATES[-1], 49)


class BoxScores(Collector):
    """Attached to an evaluator: mAP, sensitivity and false positives per slice at IoU .5 and .25 (CPGGAN, Table 1).

    The elements of `engine.state.output`, one slice each, hold `pred_boxes` (n, 4), `pred_scores` (n,), `pred_classes`
    (n,), `boxes` (m, 4) and `box_classes` (m,); truths of class -1 are padding and dropped. Boxes are
    (x0, y0, x1, y1) in pixels, half-open. Those of `engine.state.batch` hold `patient` and `source`, the slice's name.

    `engine.state.metrics` get `mAP` (COCO's 101 points, at IoU .5; the paper does not say which it reports),
    `sensitivity` and `false_positives_per_slice`, and the same at IoU .25 with `_iou25` behind; NaN where undefined.

    Args:
        classes: names of the box classes 0..C-1.
        folder: for `detections.csv`, `truths.csv`, `scores.csv` and `detection.json`; None writes nothing and
            computes no intervals.
        detection_threshold: lowest score that counts as a detection in sensitivity and false positives. AP and FROC
            use all scores that come in.
        size_edges: areas in square pixels that part small, medium and large truths; their tertiles by default.
        resamples: of the patients, for the 95% intervals.
        seen: patient -> "training" or "validation", of those whom the weights know; said in `detection.json`.
    """

    def __init__(
        self,
        classes: Sequence[str],
        folder: str | Path | None = None,
        *,
        detection_threshold: float = DETECTION_THRESHOLD,
        size_edges: tuple[float, float] | None = None,
        resamples: int = RESAMPLES,
        seen: Mapping[str, str] | None = None,
    ) -> None:
        if not classes:
            raise ValueError("classes is empty; expected the name of each box class, such as ['metastasis'].")
        self.classes = list(classes)
        self.folder = None if folder is None else Path(folder)
        self.detection_threshold = detection_threshold
        self.size_edges = size_edges
        self.resamples = resamples
        self.seen = dict(seen or {})
        self.slices: list[SliceBoxes] = []

    def start(self, engine: Engine) -> None:
        self.slices = []

    def add(self, engine: Any) -> None:
        for element, output in zip(engine.state.batch, engine.state.output, strict=True):
            source = str(element.get("source", len(self.slices)))
            true_classes = _array(output["box_classes"]).reshape(-1)
            kept = true_classes != -1
            self.slices.append(
                check_slice(
                    str(element.get("patient", source)),
                    source,
                    class_count=len(self.classes),
                    boxes=_array(output["pred_boxes"]),
                    scores=_array(output["pred_scores"]),
                    classes=_array(output["pred_classes"]),
                    true_boxes=_array(output["boxes"]).reshape(-1, 4)[kept],
                    true_classes=true_classes[kept],
                )
            )

    def finish(self, engine: Engine) -> None:
        slices = sorted(self.slices, key=lambda each: (each.patient, each.source))
        matches = {iou: match_slices(slices, len(self.classes), iou_threshold=iou) for iou in IOUS}
        for iou, found in matches.items():
            end = "" if iou == 0.5 else f"_iou{IOUS[iou]}"
            for name, measure in _measures(found, self.detection_threshold).items():
                engine.state.metrics[name + end] = measure.value
        if self.folder is not None and not getattr(engine.state, "rank", 0):
            write_box_tables(self.folder, slices, matches, self.classes, threshold=self.detection_threshold)
            write_dataclass(self.folder / "detection.json", self._summarise(matches))

    def _summarise(self, matches: dict[float, Matches]) -> DetectionSummary:
        any_iou = next(iter(matches.values()))
        edges, _ = split_by_size(any_iou.areas, self.size_edges)
        return DetectionSummary(
            classes=self.classes,
            detection_threshold=self.detection_threshold,
            patients=len(any_iou.patients),
            slices=int(any_iou.slices.sum()),
            truths=len(any_iou.areas),
            detections=len(any_iou.scores),
            size_edges_px2=list(edges),
            resamples=self.resamples,
            seen_in=self.seen,
            **{f"iou{IOUS[iou]}": self._summarise_iou(found) for iou, found in matches.items()},
        )

    def _summarise_iou(self, matches: Matches) -> IouSummary:
        threshold, froc = self.detection_threshold, Froc(matches)
        by_size = {}
        for size, chosen in split_by_size(matches.areas, self.size_edges)[1].items():
            found = self._estimate(sensitivity(matches, threshold=threshold, chosen=chosen))
            by_size[size] = SizeScore(*found, int(sum(chosen)))
        points = []
        for rate in FROC_RATES:
            least = froc.threshold(rate)
            least = least if np.isfinite(least) else float("nan")
            points.append(FrocPoint(*self._estimate(froc.sensitivity(rate)), rate, least))
        per_class = {name: average_precision(matches, n) for n, name in enumerate(self.classes)}
        return IouSummary(
            measures={n: Estimate(*self._estimate(each)) for n, each in _measures(matches, threshold).items()},
            ap_by_class={name: Estimate(*self._estimate(each)) for name, each in per_class.items()},
            sensitivity_by_size=by_size,
            froc=points,
            froc_curve=[(float(rate), froc.sensitivity(rate).value) for rate in CURVE_RATES],
        )

    def _estimate(self, measure: Measure) -> IntervalEstimate:
        return estimate(measure, resamples=self.resamples)


def _measures(matches: Matches, threshold: float) -> dict[str, Measure]:
    return {
        "mAP": mean_average_precision(matches),
        "sensitivity": sensitivity(matches, threshold=threshold),
        "false_positives_per_slice": false_positives_per_slice(matches, threshold=threshold),
    }


def _array(values: Any) -> np.ndarray:
    return torch.as_tensor(values).detach().cpu().to(torch.float64).numpy()
