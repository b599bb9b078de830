"""Writes the report of an experiment: one HTML file that needs no network and no script.

`python -m scripts.report.page <results>` writes `<results>/report.html` and prints its path.
"""

from __future__ import annotations

import base64
import math
import os
import re
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import fire
import jinja2
from markupsafe import Markup

from scripts.report import figures
from scripts.report.comparisons import (
    MINIMUM_PATIENTS,
    Comparison,
    Estimate,
    compare_all,
    estimate_arm,
    scored_classes,
)
from scripts.report.results import Arm, Results, ResultsError, read_results
from scripts.report.verdict import (
    describe_arm,
    describe_class,
    format_difference,
    format_estimate,
    format_number,
    format_p,
    headline,
    patients_needed,
)

TEMPLATES = Path(__file__).parent / "templates"
WIDE, NARROW, CURVE = 820, 350, 390  # widths of figures in CSS pixels: desktop, phone, one of several curves
SQUARE = "\u25a0"
DISTANCES = (("frechet", "Fr\u00e9chet distance", 1), ("kernel", "Kernel distance \u00d7 1000", 1000))


def write_report(results_dir: str | Path, output: str | Path | None = None) -> Path:
    """Write the report of a results folder, whole or not at all.

    Args:
        results_dir: folder as `scripts.report.results.read_results` takes it.
        output: the HTML file; `report.html` in the results folder by default.

    Returns:
        The file's path.

    Raises:
        ResultsError: the folder is incomplete or inconsistent.
    """
    results = read_results(results_dir)
    target = Path(output) if output is not None else results.folder / "report.html"
    html = render_report(results)
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(html)
        os.chmod(temporary, 0o644)
        os.replace(temporary, target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def render_report(results: Results) -> str:
    """The report's HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = _keep_together
    overall, per_class = compare_all(results)
    finding, sentence = headline(results, overall)
    return environment.get_template("page.html.j2").render(
        experiment=results.experiment,
        finding=finding,
        headline=sentence,
        sentences=[describe_arm(arm, overall) for arm in results.of_kind("gan")],
        patients=overall[0].difference.n if overall else estimate_arm(results, results.baseline).n,
        arm_legend=[_legend_entry(results, arm) for arm in results.arms],
        arms=[_arm_row(results, arm) for arm in results.arms],
        comparisons=_comparison_groups(results, overall),
        classes=_class_sections(results, per_class),
        histogram=_both_widths(lambda width, name: figures.draw_class_histogram(results, width=width, name=name), "h"),
        plans=_plan_legend(results),
        dice=_both_widths(lambda width, name: figures.draw_dice_by_class(results, width=width, name=name), "d"),
        pictures=[(path.stem, _embed_picture(path)) for path in _ordered_pictures(results)],
        quality=[_quality_section(name, entry) for name, entry in results.quality.items()],
        curves=[
            (path.stem, *figures.draw_loss_curve(path, width=CURVE, name=f"c{index}"))
            for index, path in enumerate(results.curves)
        ],
        provenance=_provenance(results.experiment),
        method={
            "minimum": MINIMUM_PATIENTS,
            "overall": sum(c.p is not None for c in overall),
            "per_class": sum(c.p is not None for c in per_class),
            "needed": patients_needed(sum(c.p is not None for c in per_class)),
            "left_out": results.scores.left_out,
            "rows": len(results.scores.keys),
        },
    )


def _keep_together(text: str) -> str:
    """The text with no line breaks inside intervals and p-values."""
    return re.sub(r"\[[^]]*\]|\bp [=<] [.\d]+", lambda match: match[0].replace(" ", "\u00a0"), text)


def _both_widths(draw: Callable[[int, str], Markup | None], name: str) -> dict[str, Markup] | None:
    """A figure drawn for desktop and for phone; the page's style shows one of them."""
    wide, narrow = draw(WIDE, f"{name}w"), draw(NARROW, f"{name}n")
    return None if wide is None or narrow is None else {"wide": wide, "narrow": narrow}


def _legend_entry(results: Results, arm: Arm) -> dict[str, str]:
    role, _, marker = figures.arm_style(results, arm)
    return {"title": arm.title, "role": role, "marker": marker}


def _plan_legend(results: Results) -> list[dict[str, str]]:
    entries = [{"title": "Real", "role": "baseline", "marker": SQUARE}]
    for first, plan in figures.synthetic_plans(results):
        titles = ", ".join(arm.title for arm in results.arms if arm.synthetic == plan)
        role = figures.arm_style(results, first)[0]
        entries.append({"title": f"Synthetic, for {titles}", "role": role, "marker": SQUARE})
    return entries


def _arm_row(results: Results, arm: Arm) -> dict[str, Any]:
    hd95 = estimate_arm(results, arm, metric="hd95_mm")
    dice = estimate_arm(results, arm)
    return {
        **_legend_entry(results, arm),
        "synthetic": f"{sum(arm.synthetic.values()):,}" if any(arm.synthetic.values()) else "\u2013",
        "dice": format_estimate(dice),
        "iou": format_number(estimate_arm(results, arm, metric="iou").mean),
        "hd95": format_number(hd95.mean, 1) + (f" (n = {hd95.n})" if hd95.n < dice.n else ""),
        "volume": format_number(estimate_arm(results, arm, metric="volume_error_ml").mean, 2),
    }


def _comparison_groups(results: Results, comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Table rows by arm, on one axis for the drawings."""
    ends = [0.0] + [end for c in comparisons for end in _ends(c.difference)]
    axis = (min(ends), max(ends)) if max(ends) > min(ends) else (-1.0, 1.0)
    groups = []
    for arm in results.arms:
        rows = [
            {
                "other": c.other.title,
                "drawing": figures.draw_interval(c.difference, axis, figures.arm_style(results, arm)[0]),
                "difference": format_difference(c.difference),
                "p": format_p(c.p).removeprefix("p = ").removeprefix("p "),
                "p_holm": format_p(c.p_holm).removeprefix("p = ").removeprefix("p "),
                "finding": c.finding,
            }
            for c in comparisons
            if c.arm == arm
        ]
        if rows:
            groups.append({**_legend_entry(results, arm), "rows": rows})
    return groups


def _ends(estimate: Estimate) -> list[float]:
    return [value for value in (estimate.low, estimate.high, estimate.mean) if not math.isnan(value)]


def _class_sections(results: Results, per_class: Sequence[Comparison]) -> list[dict[str, Any]]:
    sections = []
    for name in scored_classes(results):
        mine = [c for c in per_class if c.class_name == name]
        sections.append(
            {
                "name": name,
                "n": estimate_arm(results, results.baseline, class_name=name).n,
                "sentence": describe_class(mine),
                "groups": _comparison_groups(results, mine),
            }
        )
    return sections


def _ordered_pictures(results: Results) -> list[Path]:
    order = {name: index for index, name in enumerate(results.class_names)}
    return sorted(results.pictures, key=lambda path: (order.get(path.stem, len(order)), path.stem))


def _embed_picture(path: Path) -> str:
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise ResultsError(
            f"{path} is not a PNG image; the job that draws it failed: remove the file and run it again."
        )
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


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


def _provenance(experiment: dict[str, Any]) -> dict[str, Any]:
    seconds = experiment["seconds"] or {}
    return {
        "total": format_seconds(sum(seconds.values())) if seconds else None,
        "jobs": [(name, format_seconds(spent)) for name, spent in sorted(seconds.items(), key=lambda job: -job[1])],
        "versions": ", ".join(f"{name} {version}" for name, version in (experiment["versions"] or {}).items()),
    }


def format_seconds(seconds: float) -> str:
    """A duration as text: "48 s", "12 min 5 s", "3 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


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
