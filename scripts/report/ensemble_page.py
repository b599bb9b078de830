"""The page's section on ensembles of generators: do more members help, and what do they cost?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from scripts.metrics.statistics import bonferroni
from scripts.report import parts
from scripts.report.annotation_table import annotation_tables
from scripts.report.comparisons import Comparison, compare_pair, correct, estimate_arm
from scripts.report.cost_figure import CostLine, draw_dice_against_cost, family_style
from scripts.report.ensemble import MEAN, Choice, Ensemble, Family
from scripts.report.results import Arm, Results
from scripts.report.verdict import describe_replacements, format_estimate, format_number, headline_over_members

DASH = "\u2013"
BAND = "\u2501"
Place = tuple[Family, int]  # an arm's family and number of members


def ensemble_section(results: Results, ensemble: Ensemble) -> dict[str, Any]:
    """What `ensemble.html.j2` shows."""
    compared = compare_members(results, ensemble)
    overall = [c for c in compared if c.label is None]
    by_label = {label: [c for c in compared if c.label == label] for label in _measures(results)[1:]}
    places = _places(ensemble)
    return {
        "sentence": headline_over_members(
            {family.title: _within(overall, places, family) for family in ensemble.families}
        ),
        "replacements": describe_replacements(
            [
                (_describe_place(places[c.arm.name]), _describe_place(places[c.other.name]), c)
                for c in overall
                if places[c.arm.name][0] != places[c.other.name][0]
            ]
        ),
        "cost": _cost_figure(results, ensemble),
        "table": _score_table(results, ensemble),
        "comparisons": _comparison_groups(ensemble, overall),
        "by_label": [
            {"label": label, "n": mine[0].difference.n, "groups": _comparison_groups(ensemble, mine)}
            for label, mine in by_label.items()
            if mine
        ],
        "tested": sum(c.p is not None for c in compared),
        "choice": None if ensemble.choice is None else _choice(ensemble.choice),
        "annotations": None if ensemble.annotations is None else annotation_tables(ensemble.annotations),
        "collapsed": ensemble.collapsed,
    }


def compare_members(results: Results, ensemble: Ensemble) -> list[Comparison]:
    """Every test of the section: mean Dice and each label's, Bonferroni-corrected over all (as the paper corrects).

    Within a family, every larger number of members against every smaller one; and each family that is an alternative
    to another against it, where both have the same number or cost the same. A single label is the mean over labels, and
    tested once.
    """
    arms = {arm.name: arm for arm in results.arms}
    families = {family.title: family for family in ensemble.families}
    pairs: list[tuple[str, str]] = []
    for family in ensemble.families:
        numbers = sorted(family.arms, reverse=True)
        pairs += [(family.arms[a], family.arms[b]) for i, a in enumerate(numbers) for b in numbers[i + 1 :]]
        if family.alternative_to is not None:
            other = families[family.alternative_to]
            alike = [(a, b) for a in family.arms.values() for b in other.arms.values() if _cost_alike(ensemble, a, b)]
            pairs += dict.fromkeys([(family.arms[n], other.arms[n]) for n in numbers if n in other.arms] + alike)
    found = [
        compare_pair(results, arms[arm], arms[other], label=label)
        for label in _measures(results)
        for arm, other in pairs
    ]
    return correct(found, bonferroni)


def _cost_alike(ensemble: Ensemble, arm: str, other: str) -> bool:
    hours = ensemble.hours.get(arm), ensemble.hours.get(other)
    return None not in hours and math.isclose(*hours, rel_tol=1e-6)  # type: ignore[arg-type]


def _measures(results: Results) -> list[str | None]:
    """The mean over labels (None), then each label where there are several."""
    labels = results.scores.labels
    return [None, *(labels if len(labels) > 1 else [])]


def _places(ensemble: Ensemble) -> dict[str, Place]:
    return {arm: (family, number) for family in ensemble.families for number, arm in family.arms.items()}


def _describe_place(place: Place) -> str:
    return f"{place[1]} of \u201c{place[0].title}\u201d"


def _within(
    compared: Sequence[Comparison], places: Mapping[str, Place], family: Family
) -> dict[tuple[int, int], Comparison]:
    """A family's own comparisons by their two numbers of members."""
    return {
        (places[c.arm.name][1], places[c.other.name][1]): c
        for c in compared
        if places[c.arm.name][0] == family == places[c.other.name][0]
    }


def _comparison_groups(ensemble: Ensemble, compared: Sequence[Comparison]) -> list[dict[str, Any]]:
    places, axis = _places(ensemble), parts.comparison_axis(compared)
    groups = []
    for place, family in enumerate(ensemble.families):
        entry, rows = _family_entry(family, place), []
        for c in (c for c in compared if places[c.arm.name][0] == family):
            other, number = places[c.other.name]
            title = f"{places[c.arm.name][1]} against {number}" + (f" of \u201c{other.title}\u201d" * (other != family))
            rows.append(parts.comparison_row(entry["role"], c, title, axis))
        if rows:
            groups.append({**entry, "rows": rows})
    return groups


def _family_entry(family: Family, place: int) -> dict[str, str]:
    role, _, marker = family_style(place)
    return {"title": family.title, "role": role, "marker": marker}


def _cost_figure(results: Results, ensemble: Ensemble) -> dict[str, Any]:
    """Dice against hours of training, or against the number of members where no arm's hours are known."""
    arms, hours = {arm.name: arm for arm in results.arms}, ensemble.hours
    missing = [arms[name].title for name in _places(ensemble) if hours and name not in hours]
    lines = []
    for place, family in enumerate(ensemble.families):
        points = [
            (hours.get(name, float(number)), number, estimate_arm(results, arms[name]))
            for number, name in family.arms.items()
            if not hours or name in hours
        ]
        if points:
            lines.append(CostLine(family.title, place, sorted(points, key=lambda point: point[0])))
    title = "Hours of one device spent on training generators" if hours else "Members"
    baseline = {"title": f"{results.baseline.title} (line and band)", "role": "baseline", "marker": BAND}
    return {
        "drawn": parts.both_widths(
            lambda width, name: draw_dice_against_cost(
                lines, estimate_arm(results, results.baseline), title, width=width, name=name
            ),
            "e",
        ),
        "legend": [baseline, *(_family_entry(ensemble.families[line.place], line.place) for line in lines)],
        "hours": bool(hours),
        "missing": missing,
    }


def _score_table(results: Results, ensemble: Ensemble) -> dict[str, Any]:
    """The paper's Table 1: the baseline, then each family's arms by their number of members."""
    arms = {arm.name: arm for arm in results.arms}
    first = _score_row(results, ensemble, results.baseline, results.baseline.title)
    groups: list[dict[str, Any]] = [{"title": "", "rows": [first]}]
    for place, family in enumerate(ensemble.families):
        rows = [
            _score_row(results, ensemble, arms[name], f"{number} {family.unit}{'s' if number != 1 else ''}")
            for number, name in family.arms.items()
        ]
        groups.append({**_family_entry(family, place), "rows": rows})
    cells = [cell for group in groups for row in group["rows"] for cell in row["cells"]]
    return {
        "columns": ["Mean" if label is None else label for label in _measures(results)],
        "groups": groups,
        "hours": bool(ensemble.hours),
        "trainings": _count_trainings(results) if any(cell["spread"] for cell in cells) else "",
        "published": any(cell["published"] for cell in cells),
    }


def _count_trainings(results: Results) -> str:
    seeds, folds = len(results.experiment["seeds"]), len(results.experiment["folds"])
    return f"{seeds} trainings" if folds == 1 else f"{seeds} seeds, each the mean of its {folds} folds"


def _score_row(results: Results, ensemble: Ensemble, arm: Arm, title: str) -> dict[str, Any]:
    cells = []
    for label in _measures(results):
        trainings = list(results.scores.by_training(arm.name, label=label).values())
        published = ensemble.published.get(label or MEAN, {}).get(arm.name)
        cells.append(
            {
                "dice": format_estimate(estimate_arm(results, arm, label=label)),
                "spread": _format_spread(trainings) if len(trainings) > 1 else "",
                "published": "" if published is None else format_number(published),
            }
        )
    hours = ensemble.hours.get(arm.name)
    return {"title": title, "cells": cells, "hours": DASH if hours is None else f"{hours:.3g}"}


def _format_spread(values: Sequence[float]) -> str:
    return f"{format_number(float(np.mean(values)))} \u00b1 {format_number(float(np.std(values, ddof=1)))}"


def _choice(choice: Choice) -> dict[str, Any]:
    """Rows of the members in the order in which they were chosen."""
    alone = dict(zip(sorted(choice.order), choice.single, strict=True))
    ceiling = choice.training_coverage or [None] * len(choice.order)
    rows = [
        {
            "member": member,
            "together": _percent(together),
            "alone": _percent(alone[member]),
            "training": _percent(training),
        }
        for member, together, training in zip(choice.order, choice.coverage, ceiling, strict=True)
    ]
    return {
        "rows": rows,
        "k": choice.k,
        "images": f"{choice.images_per_member:,}",
        "real": "real images" if choice.real_images is None else f"{choice.real_images:,} held-out real images",
        "ceiling": any(share is not None for share in ceiling),
    }


def _percent(share: float | None) -> str:
    return DASH if share is None else f"{100 * share:.1f}%"
