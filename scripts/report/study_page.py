"""The page of a study over fractions of the data: does the GAN add something on top of classical augmentation?"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from scripts.report import figures, parts
from scripts.report.comparisons import MINIMUM_PATIENTS, Comparison, Estimate, compare_all
from scripts.report.results import Arm
from scripts.report.study import ArmScores, Fraction, Study, compare_over_fractions, score_arm
from scripts.report.verdict import describe_arm, format_estimate, format_number, headline_over_fractions

MEASURES = ("dice", "precision", "recall")
FILTERS = (
    ("fcn_score", "FCN score"),
    ("sharpness", "sharpness in units of the real median"),
    ("realness", "probability of being real"),
)
DASH = "\u2013"
Column = tuple[str, Callable[[Fraction, Arm], str]]  # title, and the text of a row's cell
Scores = dict[tuple[str, str, str | None], ArmScores]  # by the fraction's title, arm and label (None: all)


def render_study(study: Study) -> str:
    """The page's HTML."""
    added = compare_over_fractions(study, study.gan, study.alternative)
    alone = compare_over_fractions(study, study.gan_alone, study.baseline)
    finding, sentence = headline_over_fractions(added)
    scores = {
        (fraction.title, arm.name, label): score_arm(fraction, arm, label=label)
        for fraction in study.fractions
        for arm in study.arms
        if fraction.has(arm)
        for label in (None, *study.labels)
    }
    experiment = study.fractions[-1].results.experiment
    return parts.template("study.html.j2").render(
        title=study.description["title"],
        experiment={**experiment, **{k: study.description[k] for k in ("command", "commit", "hardware")}},
        patients=len(study.fractions[-1].results.scores.by_patient(study.baseline.name)),
        splits=parts.describe_splits(experiment),
        finding=finding,
        headline=sentence,
        verdicts=[_verdict(study, fraction, added, alone) for fraction in study.fractions],
        curves=_learning_curves(study, scores),
        arm_legend=[parts.legend_entry(study.arms, arm) for arm in study.arms],
        differences=_difference_groups(study, added, alone),
        tables=_tables(study, scores),
        fractions=[_fraction_section(study, fraction) for fraction in study.fractions],
        provenance=parts.provenance(study.description),
        method={
            "minimum": MINIMUM_PATIENTS,
            "added": sum(c.p is not None for c in added.values()),
            "alone": sum(c.p is not None for c in alone.values()),
            "alternative": study.alternative.title,
            "detections": any(fraction.detections for fraction in study.fractions),
            "left_out": {f.title: f.results.scores.left_out for f in study.fractions if f.results.scores.left_out},
        },
    )


def _verdict(
    study: Study, fraction: Fraction, added: Mapping[str, Comparison], alone: Mapping[str, Comparison]
) -> dict[str, Any]:
    """The fraction's sentences: the GAN on top of the alternative first, then the GAN alone."""
    pairs = [(study.gan, study.alternative, added.get(fraction.title))]
    if study.gan_alone is not None:
        pairs.append((study.gan_alone, study.baseline, alone.get(fraction.title)))
    sentences = [
        f"{arm.title} and {other.title} were not both run." if comparison is None else describe_arm(arm, [comparison])
        for arm, other, comparison in pairs
    ]
    return {"title": fraction.title, "size": fraction.size, "sentences": sentences}


def _learning_curves(study: Study, scores: Scores) -> dict[str, Any] | None:
    panels: dict[str, figures.Curves] = {}
    for measure in MEASURES:
        curves = {
            arm.name: [
                (f.share, getattr(scores[f.title, arm.name, None], measure)) for f in study.fractions if f.has(arm)
            ]
            for arm in study.arms
        }
        if any(estimate.n for points in curves.values() for _, estimate in points):
            panels[measure.capitalize()] = curves
    ticks = {f.share: f.title if f.patients is None else f"{f.title}\n{f.patients:,}" for f in study.fractions}
    return parts.both_widths(
        lambda width, name: figures.draw_learning_curves(panels, study.arms, ticks, width=width, name=name), "l"
    )


def _difference_groups(
    study: Study, added: Mapping[str, Comparison], alone: Mapping[str, Comparison]
) -> list[dict[str, Any]]:
    """Both differences at every fraction, drawn on one axis."""
    axis = parts.comparison_axis([*added.values(), *alone.values()])
    groups = []
    for compared in (added, alone):
        if compared:
            first = next(iter(compared.values()))
            entry = parts.legend_entry(study.arms, first.arm)
            rows = [parts.comparison_row(entry["role"], c, title, axis) for title, c in compared.items()]
            groups.append({**entry, "title": f"{first.arm.title}, against {first.other.title}", "rows": rows})
    return groups


def _tables(study: Study, scores: Scores) -> dict[str, Any]:
    """The paper's tables with the published figures beside ours, and two of ours and theirs in more detail."""
    named = {label: f"{label} [95%]" for label in study.labels}
    only_published = [name for name in study.published_labels if name not in named]
    by_label = [column for name in named for column in _columns(study, scores, "dice", named[name], name)]
    found = [(name, measure) for name in named for measure in ("precision", "recall")]
    detail = [c for name, measure in found for c in _columns(study, scores, measure, f"{name}, {measure} [95%]", name)]
    columns: dict[str, list[Column]] = {
        "dice": _columns(study, scores, "dice", "Dice [95%]"),
        "found": [
            column
            for measure in ("precision", "recall")
            for column in _columns(study, scores, measure, f"{measure.capitalize()} [95%]")
        ],
        "by_label": by_label,
        "found_by_label": detail,
        "other_labels": [(name, partial(_published, study, "dice_by_label", name)) for name in only_published],
    }
    return {name: _table(study, chosen) for name, chosen in columns.items()}


def _columns(study: Study, scores: Scores, measure: str, title: str, label: str | None = None) -> list[Column]:
    """The column of a measure, and one of published figures where there are any."""

    def ours(fraction: Fraction, arm: Arm) -> str:
        return format_estimate(getattr(scores[fraction.title, arm.name, label], measure))

    theirs = partial(_published, study, measure if label is None else f"{measure}_by_label", label)
    known = any(theirs(fraction, arm) != DASH for fraction in study.fractions for arm in study.arms)
    return [(title, ours), *([("Published", theirs)] if known else [])]


def _published(study: Study, table: str, label: str | None, fraction: Fraction, arm: Arm) -> str:
    return format_number(study.published(table, arm, fraction.share, label=label))


def _table(study: Study, columns: Sequence[Column]) -> dict[str, Any] | None:
    """Rows fraction by fraction and arm by arm; None where no cell holds a number."""
    groups: list[dict[str, Any]] = [
        {
            "title": f"{fraction.title} of the data",
            "size": fraction.size,
            "rows": [
                {**parts.legend_entry(study.arms, arm), "cells": [cell(fraction, arm) for _, cell in columns]}
                for arm in study.arms
                if fraction.has(arm)
            ],
        }
        for fraction in study.fractions
    ]
    cells = {cell for group in groups for row in group["rows"] for cell in row["cells"]}
    return {"columns": [title for title, _ in columns], "groups": groups} if cells - {DASH} else None


def _fraction_section(study: Study, fraction: Fraction) -> dict[str, Any]:
    overall, _ = compare_all(fraction.results)
    return {
        "title": fraction.title,
        "size": fraction.size,
        "comparisons": parts.comparison_groups(study.arms, overall),
        "tested": sum(c.p is not None for c in overall),
        "selection": None if fraction.selection is None else _selection(fraction.selection),
        "pictures": [(path.stem.replace("_", " "), parts.embed_picture(path)) for path in fraction.results.pictures],
    }


def _selection(selection: dict[str, Any]) -> dict[str, Any]:
    """Rows of the candidates and of real images, and what the filters let through."""
    rules: dict[str, Any] = selection["rules"] or {}
    filters: dict[str, Any] = selection["filters"] or {}
    counts = filters.get("rejected") or {}
    rejected = [
        f"{title} under {rules[f'minimum_{key}']:g}: {counts[key]:,}"
        for key, title in FILTERS
        if counts.get(key) is not None and rules.get(f"minimum_{key}") is not None
    ]
    real = [(f"Real, {name.replace('_', ' ')}", entry) for name, entry in (selection["real"] or {}).items() if entry]
    return {
        "system": selection["system"],
        "criterion": selection["criterion"],
        "scorer": selection["scorer"],
        "leaks": str(selection["scorer"] or "").startswith("LEAKS"),
        "notes": selection["notes"] or [],
        "candidates": [_selection_row(entry["name"], entry) for entry in selection["candidates"]],
        "real": [_selection_row(name, entry) for name, entry in real],
        "kept": None if filters.get("kept") is None else f"{filters['kept']:,} of {filters.get('images', 0):,}",
        "rejected": rejected,
    }


def _selection_row(name: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    score = entry.get("fcn_score") or {}
    value, low, high = (math.nan if score.get(key) is None else score[key] for key in ("value", "low", "high"))
    return {
        "name": name,
        "images": DASH if entry.get("images") is None else f"{entry['images']:,}",
        "fcn_score": format_estimate(Estimate(value, low, high, 0), 2),
        "laplacian_variance": format_number(entry.get("laplacian_variance"), 4),
        "fourier_mean": format_number(entry.get("fourier_mean"), 4),
        "called_real": DASH if entry.get("called_real") is None else f"{100 * entry['called_real']:.0f}%",
        "nearest_training": format_number(entry.get("nearest_training"), 3),
        "mean_rank": format_number(entry.get("mean_rank"), 1),
        "chosen": bool(entry.get("chosen")),
    }
