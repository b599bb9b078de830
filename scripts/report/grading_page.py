"""The page of a grading experiment: do classifiers grade better when synthetic features are added?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from scripts.metrics.classification import balanced_accuracy
from scripts.report import figures, parts
from scripts.report.comparisons import MINIMUM_PATIENTS, Comparison, Estimate, estimate_trainings
from scripts.report.grading import TOTAL, UNITS, Grading, compare_graders
from scripts.report.results import Arm
from scripts.report.sweep_figure import draw_sweep, line_style
from scripts.report.verdict import format_difference, format_estimate, format_number, format_p, headline

BALANCED = balanced_accuracy.__name__
TITLES = {BALANCED: "Balanced accuracy", "AUC": "AUC", "MCC": "MCC"}
UNIT_TITLES = {"patients": "Per patient", "slices": "Per slice"}
MEASURE = TITLES[BALANCED].lower()
MOST_TOLD = 3  # arms that are told one by one
DIGITS = 2  # of estimates, which rest on some dozens of patients
CURVE = 390  # width of one of several loss curves in CSS pixels
DASH = "\u2013"
Texts = dict[str, Any]


def render_grading(results: Grading) -> str:
    """The page's HTML."""
    against_baseline, against_alternatives = compare_graders(results)
    compared = [*against_baseline, *against_alternatives]
    finding, sentence = headline(results, compared, measure=MEASURE, made="features")
    described = results.grading
    return parts.template("grading.html.j2").render(
        experiment=results.experiment,
        finding=finding,
        headline=sentence,
        sentences=describe_findings(against_baseline, against_alternatives),
        counts=_count_tested(results),
        features=_describe_features(described),
        splits=parts.describe_splits(results.experiment),
        table=_score_table(results),
        comparisons=[_comparison_groups(results, family) for family in (against_baseline, against_alternatives)],
        accuracies=_accuracy_table(results),
        published=_published(described["published"], results.arms),
        sweeps=[_sweep_figure(results, place, title) for place, title in enumerate(described["sweeps"])],
        generated=_generated(described["generated"], results.classes),
        synthetic_accuracy={
            parts.plain_title(name): format_number(share)
            for name, share in (described["synthetic_accuracy"] or {}).items()
        },
        nearest=parts.nearest_rows(described["nearest"]) if described["nearest"] else None,
        pictures=parts.picture_entries(results.pictures, results.experiment["captions"]),
        curves=[
            (path.stem, *figures.draw_loss_curve(path, width=CURVE, name=f"c{index}"))
            for index, path in enumerate(results.curves)
        ],
        provenance=parts.provenance(results.experiment),
        method={
            "minimum": MINIMUM_PATIENTS,
            "tested": [sum(c.p is not None for c in family) for family in (against_baseline, against_alternatives)],
            "classes": results.classes,
            "baseline": results.baseline.title,
            "chance": format_number(1 / len(results.classes), 2),
            "vote": results.vote_rule,
        },
    )


def describe_findings(against_baseline: Sequence[Comparison], against_alternatives: Sequence[Comparison]) -> list[str]:
    """Sentences on the GAN arms against the baseline, and how often they beat a cheap alternative.

    "Balanced accuracy per patient against “Real only”: raised by “GAN” (+0.060 [0.027, 0.096], p = .01 after Holm);
    cannot tell for the other 4 (differences from −0.030 to +0.012)." Three arms or fewer are told one by one.
    """
    mine = [c for c in against_baseline if c.arm.kind == "gan"]
    if not mine:
        return []
    clauses, summed = [], []
    for comparison in mine:
        if comparison.finding in ("raised", "lowered"):
            clauses.append(f"{comparison.finding} by {_result(comparison)}")
        elif len(mine) <= MOST_TOLD:
            clauses.append(f"{comparison.finding} for {_result(comparison)}")
        else:
            summed.append(comparison)
    if summed:
        low, high = (ends(c.difference.mean for c in summed) for ends in (min, max))
        span = " to ".join(format_difference(Estimate(value, math.nan, math.nan, 0)) for value in (low, high))
        of = f"the other {len(summed)}" if clauses else f"all {len(summed)}"
        clauses.append(f"{summed[0].finding} for {of} (differences from {span})")
    sentences = [f"{TITLES[BALANCED]} per patient against \u201c{mine[0].other.title}\u201d: {'; '.join(clauses)}."]
    if against_alternatives:
        found = [c.finding for c in against_alternatives]
        raised, lowered = (found.count(word) or "none" for word in ("raised", "lowered"))
        sentences.append(
            f"Against cheap alternatives: of {len(found)} comparisons, {raised} raised and {lowered} lowered."
        )
    return sentences


def _result(comparison: Comparison) -> str:
    told = "not tested" if comparison.p_adjusted is None else f"{format_p(comparison.p_adjusted)} after Holm"
    return f"\u201c{comparison.arm.title}\u201d ({format_difference(comparison.difference)}, {told})"


def _comparison_groups(results: Grading, comparisons: Sequence[Comparison]) -> list[Texts]:
    """Table rows by the arm compared with, all drawn on one axis."""
    axis = parts.comparison_axis(comparisons)
    groups = []
    for other in results.arms:
        rows = [
            parts.comparison_row(figures.arm_style(results.arms, c.arm)[0], c, c.arm.title, axis)
            for c in comparisons
            if c.other == other
        ]
        if rows:
            groups.append({**parts.legend_entry(results.arms, other), "rows": rows})
    return groups


def _count_tested(results: Grading) -> Texts:
    patients, slices = results.truths, results.slices[results.baseline.name][0]
    by_class = np.bincount(patients.truths, minlength=len(results.classes)).tolist()
    return {
        "patients": len(patients.sources),
        "slices": f"{len(slices.sources):,}",
        "classes": ", ".join(f"{count} {name}" for name, count in zip(results.classes, by_class, strict=True)),
    }


def _describe_features(described: Mapping[str, Any]) -> str:
    """Which features are graded: "bottleneck features, 1024 x 15 x 15"; empty where it is not said."""
    shape = " \u00d7 ".join(str(side) for side in described["feature_shape"] or [])
    level = f"{described['level']} features".replace("_", " ") if described["level"] else ""
    return ", ".join(text for text in (level, shape) if text)


def _score_table(results: Grading) -> Texts:
    """Measures that do not favour the larger class, a group of rows for each unit."""
    groups: list[Texts] = []
    for unit in UNITS:
        rows = [
            {
                **parts.legend_entry(results.arms, arm),
                "cells": [parts.measured_cell(results.measure(unit, arm, name), DIGITS) for name in TITLES],
            }
            for arm in results.arms
        ]
        groups.append({"title": UNIT_TITLES[unit], "rows": rows})
    return {"columns": list(TITLES.values()), "groups": groups, "trainings": len(results.experiment["seeds"])}


def _accuracy_table(results: Grading) -> Texts:
    """The paper's Table 3 of our classifiers: accuracy per class and in all, per slice as there, and per patient."""
    names = {**{name: name for name in results.classes}, "accuracy": "All"}
    groups = [
        {
            "title": UNIT_TITLES[unit],
            "size": "",
            "rows": [
                {
                    **parts.legend_entry(results.arms, arm),
                    "cells": [_estimate_text(results, unit, arm, name) for name in names],
                }
                for arm in results.arms
            ],
        }
        for unit in reversed(UNITS)
    ]
    return {"columns": list(names.values()), "groups": groups}


def _published(published: Mapping[str, Any], arms: list[Arm]) -> Texts | None:
    """The paper's Table 3 with the balanced accuracy that follows from it, and whether that is a gain."""
    if not published:
        return None
    titles = {arm.name: arm.title for arm in arms}
    classes = list(dict.fromkeys(name for entry in published.values() for name in entry["accuracy"] if name != TOTAL))
    rows, balanced = [], {}
    for arm, entry in published.items():
        known, title = entry["accuracy"], entry.get("title", titles.get(arm, parts.plain_title(arm)))
        if set(classes) <= set(known):
            balanced[title] = sum(known[name] for name in classes) / len(classes) + 1e-9  # .4765 is to be .477
        cells = [
            format_number(value) for value in (*(known.get(name) for name in (*classes, TOTAL)), balanced.get(title))
        ]
        rows.append({"title": title, "cells": cells})
    return {"classes": classes, "rows": rows, "sentence": _judge_published(balanced)}


def _judge_published(balanced: Mapping[str, float]) -> str:
    """The paper's first arm against its best other one in balanced accuracy; nothing to say about fewer than two."""
    if len(balanced) < 2:
        return ""
    (first, before), *others = balanced.items()
    best, after = max(others, key=lambda pair: pair[1])
    gain = "a gain" if after > before else "no gain"
    return (
        f"Balanced accuracy, the mean of the published class accuracies, is {format_number(before)} for "
        f"\u201c{first}\u201d and {format_number(after)} for \u201c{best}\u201d: {gain}."
    )


def _sweep_figure(results: Grading, place: int, title: str) -> Texts:
    """Balanced accuracy and class accuracies against the number of synthetic samples, with the lines' legend."""
    points = results.sweep(title)
    lines = {BALANCED: TITLES[BALANCED], **{name: name for name in results.classes}}
    panels = {
        UNIT_TITLES[unit]: {
            shown: [_estimate(results, unit, arm, name) for _, arm in points] for name, shown in lines.items()
        }
        for unit in UNITS
    }

    def draw(width: int, name: str) -> Markup:
        numbers = [count for count, _ in points]
        return draw_sweep(panels, numbers, chance=1 / len(results.classes), width=width, name=name)

    styles = [line_style(index) for index in range(len(lines))]
    legend = [
        {"title": shown if name == BALANCED else f"Accuracy of {name}", "role": role, "marker": marker}
        for (name, shown), (role, _, marker) in zip(lines.items(), styles, strict=True)
    ]
    return {"title": title, "drawn": parts.both_widths(draw, f"s{place}"), "legend": legend}


def _generated(generated: Mapping[str, Any], classes: list[str]) -> list[Texts]:
    """Groups of rows by set, a row for each class and one for all: asked, generated, kept, and share accepted."""
    groups = []
    for name, counts in generated.items():
        numbers = [counts[key] for key in ("asked", "generated", "kept")]
        by_class = [number if isinstance(number, dict) else {} for number in numbers]
        rows = [
            {
                "title": each,
                "cells": [*(_count_text(n.get(each)) for n in by_class), format_number(counts["acceptance"].get(each))],
            }
            for each in classes
        ]
        totals = [sum(number.values()) if isinstance(number, dict) else number for number in numbers]
        rows.append({"title": "All", "cells": [*map(_count_text, totals), DASH]})
        groups.append({"title": parts.plain_title(name), "rows": rows})
    return groups


def _count_text(count: float | None) -> str:
    return DASH if count is None else f"{count:,}"


def _estimate(results: Grading, unit: str, arm: Arm, name: str) -> Estimate:
    return estimate_trainings(results.measure(unit, arm, name))


def _estimate_text(results: Grading, unit: str, arm: Arm, name: str) -> str:
    return format_estimate(_estimate(results, unit, arm, name), DIGITS)
