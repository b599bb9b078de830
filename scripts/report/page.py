"""Writes the report of an experiment: one HTML file that needs no network and no script.

`python -m scripts.report.page <results>` writes `<results>/report.html` and prints its path.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import fire

from scripts.report import figures, parts
from scripts.report.comparisons import (
    MINIMUM_PATIENTS,
    Comparison,
    Estimate,
    compare_all,
    estimate_arm,
    scored_classes,
)
from scripts.report.detectors import has_detectors, read_detectors
from scripts.report.detectors_page import render_detectors
from scripts.report.ensemble_page import ensemble_section
from scripts.report.grading import has_grading, read_grading
from scripts.report.grading_page import render_grading
from scripts.report.results import Arm, Results, read_results
from scripts.report.study import STUDY_FILE, read_study
from scripts.report.study_page import render_study
from scripts.report.verdict import (
    describe_arm,
    describe_class,
    format_estimate,
    format_number,
    headline,
    patients_needed,
)
from scripts.scores.results_files import ResultsError

CURVE = 390  # width of one of several curves in CSS pixels
SQUARE = "\u25a0"
DISTANCES = (("frechet", "Fr\u00e9chet distance", 1), ("kernel", "Kernel distance \u00d7 1000", 1000))


def write_report(results_dir: str | Path, output: str | Path | None = None) -> Path:
    """Write the report of an experiment, or of a study over fractions of the data, whole or not at all.

    Args:
        results_dir: folder as `scripts.report.results.read_results` takes it, or with a `study.json`, as
            `scripts.report.study.read_study` does, or with `detectors` or `grading` in its experiment.json, as
            `scripts.report.detectors.read_detectors` and `scripts.report.grading.read_grading` do.
        output: the HTML file; `report.html` in the results folder by default.

    Returns:
        The file's path.

    Raises:
        ResultsError: the folder is incomplete or inconsistent.
    """
    folder = Path(results_dir)
    target = Path(output) if output is not None else folder / "report.html"
    if (folder / STUDY_FILE).exists():
        html = render_study(read_study(folder))
    elif has_detectors(folder):
        html = render_detectors(read_detectors(folder))
    elif has_grading(folder):
        html = render_grading(read_grading(folder))
    else:
        html = render_report(read_results(folder))
    parts.write_page(target, html)
    return target


def render_report(results: Results) -> str:
    """The report's HTML."""
    overall, per_class = compare_all(results)
    finding, sentence = headline(results, overall)
    ensemble = None if results.ensemble is None else ensemble_section(results, results.ensemble)
    return parts.template("page.html.j2").render(
        experiment=results.experiment,
        finding=finding,
        headline=sentence,
        baseline=results.baseline.title,
        sentences=[describe_arm(arm, overall) for arm in results.of_kind("gan")],
        patients=overall[0].difference.n if overall else estimate_arm(results, results.baseline).n,
        arm_legend=[parts.legend_entry(results.arms, arm) for arm in results.arms],
        arms=[_arm_row(results, arm) for arm in results.arms],
        comparisons=parts.comparison_groups(results.arms, overall),
        ensemble=ensemble,
        classes=_class_sections(results, per_class),
        histogram=parts.both_widths(
            lambda width, name: figures.draw_class_histogram(results, width=width, name=name), "h"
        ),
        plans=_plan_legend(results),
        dice=parts.both_widths(lambda width, name: figures.draw_dice_by_class(results, width=width, name=name), "d"),
        pictures=[
            {"name": path.stem, "source": parts.embed_picture(path), "caption": _captions(results).get(path.stem)}
            for path in _ordered_pictures(results)
        ],
        quality=[_quality_section(name, entry) for name, entry in results.quality.items()],
        curves=[
            (path.stem, *figures.draw_loss_curve(path, width=CURVE, name=f"c{index}"))
            for index, path in enumerate(results.curves)
        ],
        provenance=parts.provenance(results.experiment),
        splits=parts.describe_splits(results.experiment),
        method={
            "minimum": MINIMUM_PATIENTS,
            "overall": sum(c.p is not None for c in overall),
            "per_class": sum(c.p is not None for c in per_class),
            "needed": patients_needed(sum(c.p is not None for c in per_class)),
            "left_out": results.scores.left_out,
            "rows": len(results.scores.keys),
        },
    )


def _plan_legend(results: Results) -> list[dict[str, str]]:
    entries = [{"title": "Real", "role": "baseline", "marker": SQUARE}]
    for first, plan in figures.synthetic_plans(results):
        titles = ", ".join(arm.title for arm in results.arms if arm.synthetic == plan)
        role = figures.arm_style(results.arms, first)[0]
        entries.append({"title": f"Synthetic, for {titles}", "role": role, "marker": SQUARE})
    return entries


def _arm_row(results: Results, arm: Arm) -> dict[str, Any]:
    hd95 = estimate_arm(results, arm, metric="hd95_mm")
    dice = estimate_arm(results, arm)
    return {
        **parts.legend_entry(results.arms, arm),
        "synthetic": f"{sum(arm.synthetic.values()):,}" if any(arm.synthetic.values()) else "\u2013",
        "dice": format_estimate(dice),
        "iou": format_number(estimate_arm(results, arm, metric="iou").mean),
        "hd95": format_number(hd95.mean, 1) + (f" (n = {hd95.n})" if hd95.n < dice.n else ""),
        "volume": format_number(estimate_arm(results, arm, metric="volume_error_ml").mean, 2),
    }


def _class_sections(results: Results, per_class: Sequence[Comparison]) -> list[dict[str, Any]]:
    sections = []
    for name in scored_classes(results):
        mine = [c for c in per_class if c.class_name == name]
        sections.append(
            {
                "name": name,
                "n": estimate_arm(results, results.baseline, class_name=name).n,
                "sentence": describe_class(mine),
                "groups": parts.comparison_groups(results.arms, mine),
            }
        )
    return sections


def _ordered_pictures(results: Results) -> list[Path]:
    """Those with a caption first, in the captions' order, then the classes', then the rest."""
    order = {name: index for index, name in enumerate(dict.fromkeys([*_captions(results), *results.class_names]))}
    return sorted(results.pictures, key=lambda path: (order.get(path.stem, len(order)), path.stem))


def _captions(results: Results) -> dict[str, str]:
    return results.experiment["captions"] or {}


def _quality_section(system: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Rows (measure, synthetic images, real images, better is) of one system; measures not taken are left out."""
    rows = []
    for key, title, scale in DISTANCES:
        if measure := entry.get(key):
            rows.append(
                {
                    "title": title,
                    "better": "lower",
                    "synthetic": _interval_text(measure, ("value", "low", "high"), scale),
                    "real": _interval_text(measure, ("floor", "floor_low", "floor_high"), scale),
                    "note": f"n = {measure['n']}",
                }
            )
    if specificity := entry.get("specificity"):
        rows.append(
            {
                "title": "Asked class recognised (balanced accuracy)",
                "better": "higher",
                "synthetic": format_number(specificity["balanced_accuracy"], 2),
                "real": format_number(specificity.get("ceiling"), 2),
                "note": f"chance {specificity['chance']:.2f}" if "chance" in specificity else "",
            }
        )
    if mask := entry.get("mask_dice"):
        shown = _interval_text(mask, ("value", "low", "high"), 1)
        rows.append(
            {
                "title": "Dice against the asked mask",
                "better": "higher",
                "synthetic": shown,
                "real": "\u2013",
                "note": "",
            }
        )
    recall = (specificity or {}).get("recall", {})
    return {"system": system, "rows": rows, "recall": {key: format_number(value, 2) for key, value in recall.items()}}


def _interval_text(measure: dict[str, Any], keys: tuple[str, str, str], scale: float) -> str:
    """A measure and its interval, to three digits of the synthetic images' value."""
    size = abs(scale * (measure.get("value") or 0))
    digits = min(3, max(0, 2 - math.floor(math.log10(size)))) if size else 3
    mean, low, high = (math.nan if measure.get(key) is None else scale * measure[key] for key in keys)
    return format_estimate(Estimate(mean, low, high, 0), digits)


def main(results: str, output: str | None = None) -> None:
    """Write the report of a results folder and print its path.

    Args:
        results: the results folder.
        output: the HTML file; `report.html` in the results folder by default.
    """
    print(write_report(results, output))


if __name__ == "__main__":
    try:
        fire.Fire(main)
    except ResultsError as error:
        raise SystemExit(f"Error: {error}") from None
