"""The page of a detection experiment: do detectors find more lesions when the GAN's images are added?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from scripts.metrics.box_detection import FROC_RATES, sensitivity, split_by_size
from scripts.metrics.measure import average
from scripts.report import figures, parts
from scripts.report.comparisons import MINIMUM_PATIENTS, Comparison, Estimate, estimate_trainings
from scripts.report.detectors import MEASURES, Compared, Detectors, compare_detectors, measure_arm
from scripts.report.froc import FrocLine, draw_froc
from scripts.report.results import Arm
from scripts.report.verdict import format_difference, format_estimate, format_number, format_p
from scripts.scores.box_tables import IOUS

TITLES = {"mAP": "mAP", "sensitivity": "Sensitivity", "false_positives_per_slice": "False positives per slice"}
DIGITS = {"mAP": 3, "sensitivity": 3, "false_positives_per_slice": 2}
CURVE_POINTS = 60
CURVE = 390  # width of one of several loss curves in CSS pixels
CRITERIA = {
    "contrast": "its contrast with its surroundings is {threshold} or more, as in all but {missed} of the real boxes",
    "detector": "a detector trained on real images finds one there with a score of {threshold} or more",
}
DASH = "\u2013"
Texts = dict[str, Any]


def render_detectors(results: Detectors) -> str:
    """The page's HTML."""
    compared = compare_detectors(results)
    finding, sentence = headline([each.result for each in compared if each.measure == "mAP"])
    described, truths = results.detectors, results.truths
    return parts.template("detectors.html.j2").render(
        experiment=results.experiment,
        finding=finding,
        headline=sentence,
        sentences=[describe_arm(arm, compared) for arm in results.arms if arm.kind == "gan"],
        counts={
            "patients": len(truths.patients),
            "slices": f"{int(truths.slices.sum()):,}",
            "boxes": f"{len(truths.areas):,}",
        },
        splits=parts.describe_splits(results.experiment),
        arm_legend=[parts.legend_entry(results.arms, arm) for arm in results.arms],
        table=_score_table(results),
        comparisons=_comparison_tables(results, compared),
        frocs=[_froc_figure(results, iou) for iou in IOUS],
        sizes=_size_table(results),
        presence=None if described["presence"] is None else _presence(described["presence"]),
        placement=None if described["placement"] is None else _placement(described["placement"]),
        nearest=parts.nearest_rows(described["nearest"]) if described["nearest"] else None,
        pictures=parts.picture_entries(results.pictures, results.experiment["captions"]),
        curves=[
            (path.stem, *figures.draw_loss_curve(path, width=CURVE, name=f"c{index}"))
            for index, path in enumerate(results.curves)
        ],
        provenance=parts.provenance(results.experiment),
        method={
            "minimum": MINIMUM_PATIENTS,
            "tested": sum(each.result.p is not None for each in compared),
            "threshold": f"{100 * results.threshold:g}%",
            "classes": described["classes"],
        },
    )


def headline(compared: Sequence[Comparison]) -> tuple[str, str]:
    """The answer to "do the GAN's images help detection?" by mAP at IoU 0.5.

    Args:
        compared: every other arm against the baseline; arms other than GAN arms are passed over.

    Returns:
        The finding that colours it ("raised", "lowered", "cannot tell" or "too few"), and one sentence.
    """
    titles: dict[str, list[str]] = {}
    mine = [c for c in compared if c.arm.kind == "gan"]
    for comparison in mine:
        titles.setdefault(comparison.finding, []).append(f"\u201c{comparison.arm.title}\u201d")
    if not mine:
        return "cannot tell", "No arm with GAN images was run, so there is nothing to judge."
    baseline = f"\u201c{mine[0].other.title}\u201d"
    raised, lowered = titles.get("raised"), titles.get("lowered")
    rest = f"; with {_join(titles['cannot tell'])} it cannot be told" if "cannot tell" in titles else ""
    if raised and lowered:
        text = f"Mixed: against {baseline}, mAP rose with {_join(raised)} and fell with {_join(lowered)}{rest}."
        return "cannot tell", text
    if raised:
        return "raised", f"Yes: against {baseline}, mAP rose with {_join(raised)}{rest}."
    if lowered:
        return "lowered", f"No: against {baseline}, mAP fell with {_join(lowered)}{rest}."
    if set(titles) == {"too few"}:
        n = max(c.difference.n for c in mine)
        return "too few", f"Too few patients to tell: {n}, and the test needs {MINIMUM_PATIENTS} or more."
    return "cannot tell", f"Cannot tell: no reliable change in mAP against {baseline} was measured."


def describe_arm(arm: Arm, compared: Sequence[Compared]) -> str:
    """A sentence on an arm against the baseline: mAP, then sensitivity at equally many false positives.

    "Real + 4k: mAP +0.031 [0.003, 0.060], raised (p = .03 after Holm); sensitivity at equally many false positives
    (4.11 per slice) +0.012 [-0.020, 0.044], cannot tell (p = .40)."
    """
    clauses, after = [], " after Holm"
    for each in (each for each in compared if each.result.arm == arm):
        result = each.result
        what = "mAP"
        if each.rate is not None:
            what = f"sensitivity at equally many false positives ({format_number(each.rate, 2)} per slice)"
        if result.p_adjusted is None:
            n = result.difference.n
            told = f"{'one patient is' if n == 1 else f'{n} patients are'} too few to tell"
        else:
            told, after = f"{result.finding} ({format_p(result.p_adjusted)}{after})", ""
        clauses.append(f"{what} {format_difference(result.difference)}, {told}")
    return f"{arm.title}: {'; '.join(clauses)}."


def _score_table(results: Detectors) -> Texts:
    """The paper's Table 1, a group of rows for each IoU."""
    groups: list[Texts] = []
    for iou in IOUS:
        rows = [
            {
                **parts.legend_entry(results.arms, arm),
                "cells": [
                    parts.measured_cell(trainings, DIGITS[name], results.published(arm, iou, name))
                    for name, trainings in measure_arm(results, arm, iou).items()
                ],
            }
            for arm in results.arms
        ]
        groups.append({"title": _iou_title(iou), "rows": rows})
    cells = [cell for group in groups for row in group["rows"] for cell in row["cells"]]
    added = {arm.title: sum(count or 0 for count in arm.synthetic.values()) for arm in results.arms}
    return {
        "columns": [TITLES[name] for name in MEASURES],
        "groups": groups,
        "trainings": len(results.experiment["seeds"]) if any(cell["spread"] for cell in cells) else 0,
        "published": any(cell["published"] for cell in cells),
        "added": "; ".join(f"{count:,} in \u201c{title}\u201d" for title, count in added.items() if count),
    }


def _comparison_tables(results: Detectors, compared: Sequence[Compared]) -> dict[str, list[Texts]]:
    """Rows by measure, grouped by arm, all drawn on one axis."""
    axis = parts.comparison_axis(each.result for each in compared)
    tables: dict[str, list[Texts]] = {}
    for each in compared:
        entry = parts.legend_entry(results.arms, each.result.arm)
        title = each.result.other.title
        if each.rate is not None:
            title += f", at {format_number(each.rate, 2)} per slice"
        rows = [parts.comparison_row(entry["role"], each.result, title, axis)]
        tables.setdefault(each.measure, []).append({**entry, "rows": rows})
    return tables


def _froc_figure(results: Detectors, iou: float) -> Texts:
    lines = {arm.name: _froc_line(results, arm, iou) for arm in results.arms}

    def draw(width: int, name: str) -> Markup:
        return draw_froc(lines, results.arms, width=width, name=name)

    return {"title": _iou_title(iou), "drawn": parts.both_widths(draw, f"f{IOUS[iou]}")}


def _froc_line(results: Detectors, arm: Arm, iou: float) -> FrocLine:
    """The mean of the trainings' curves; no operating point where there are no false positives to speak of."""
    frocs, measured = results.frocs[arm.name, iou], measure_arm(results, arm, iou)
    rate, found = (average(measured[name]).value for name in ("false_positives_per_slice", "sensitivity"))
    rates = np.geomspace(FROC_RATES[0], max(FROC_RATES[-1], rate), CURVE_POINTS).tolist()
    return FrocLine(
        [(at, average([froc.sensitivity(at) for froc in frocs]).value) for at in rates],
        [(at, estimate_trainings([froc.sensitivity(at) for froc in frocs])) for at in FROC_RATES],
        (rate, found) if rate >= FROC_RATES[0] / 2 else None,
    )


def _size_table(results: Detectors) -> Texts:
    """Sensitivity by the area of the true box, tertiles of all test boxes; a group of rows for each IoU."""
    (first, second), chosen = split_by_size(results.truths.areas)
    limits = (f"under {first:.0f} px\u00b2", f"{first:.0f} to {second:.0f} px\u00b2", f"{second:.0f} px\u00b2 or more")
    groups = []
    for iou in IOUS:
        rows = []
        for arm in results.arms:
            measured = [
                [sensitivity(m, threshold=results.threshold, chosen=members) for m in results.matches[arm.name, iou]]
                for members in chosen.values()
            ]
            cells = [format_estimate(estimate_trainings(trainings)) for trainings in measured]
            rows.append({**parts.legend_entry(results.arms, arm), "cells": cells})
        groups.append({"title": _iou_title(iou), "size": "", "rows": rows})
    sizes = zip(chosen, limits, chosen.values(), strict=True)
    columns = [f"{name.capitalize()}, {limit} (n\u00a0=\u00a0{int(members.sum())})" for name, limit, members in sizes]
    return {"columns": columns, "groups": groups}


def _presence(entry: Mapping[str, Any]) -> Texts:
    """Rows of `presence.json`, and what its criterion is."""
    missed = DASH if entry.get("quantile") is None else f"{100 * entry['quantile']:g}%"
    criterion = CRITERIA.get(entry["criterion"], entry["criterion"])
    return {
        "criterion": criterion.format(threshold=format_number(entry["threshold"], 2), missed=missed),
        "every": bool(entry.get("every_box")),
        "kept": f"{entry['kept']:,} of {entry['images']:,}",
        "rows": _part_rows(entry["parts"], ("present",)),
        "mirrored": "training_mirrored" in entry["parts"],
    }


def _placement(entry: Mapping[str, Any]) -> Texts:
    """Rows of `placement.json`."""
    least = entry.get("minimum_lesion_share")
    return {
        "least": None if least is None else f"{100 * least:g}%",
        "rows": _part_rows(entry["parts"], ("with_lesion", "area_inside")),
    }


def _part_rows(found: Mapping[str, Mapping[str, Any]], shares: Sequence[str]) -> list[Texts]:
    return [
        {
            "title": parts.plain_title(name),
            "boxes": f"{part['boxes']:,}",
            "patients": part[shares[0]]["n"],
            "cells": [format_estimate(_known(part[share]), 2) for share in shares],
        }
        for name, part in found.items()
    ]


def _known(share: Mapping[str, Any]) -> Estimate:
    value, low, high = (math.nan if share[key] is None else share[key] for key in ("value", "low", "high"))
    return Estimate(value, low, high, share["n"])


def _iou_title(iou: float) -> str:
    return f"IoU \u2265 {iou:g}"


def _join(items: Sequence[str]) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
