"""What the pages of the report are built from: templates, table rows, pictures, and the file they end up in."""

from __future__ import annotations

import base64
import math
import os
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from scripts.metrics.measure import Measure
from scripts.report import figures
from scripts.report.comparisons import Comparison, estimate_trainings
from scripts.report.results import Arm
from scripts.report.verdict import format_difference, format_estimate, format_number, format_p
from scripts.scores.results_files import ResultsError

TEMPLATES = Path(__file__).parent / "templates"
WIDE, NARROW = 820, 350  # widths of figures in CSS pixels: desktop, phone


def template(name: str) -> jinja2.Template:
    """A page's template, which refuses names that it is not given."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["unbroken"] = keep_together
    return environment.get_template(name)


def write_page(target: Path, html: str) -> None:
    """Write a page whole or not at all."""
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


def keep_together(text: str) -> str:
    """The text with no line breaks inside intervals and p-values."""
    return re.sub(r"\[[^]]*\]|\bp [=<] [.\d]+", lambda match: match[0].replace(" ", "\u00a0"), text)


def both_widths(draw: Callable[[int, str], Markup | None], name: str) -> dict[str, Markup] | None:
    """A figure drawn for desktop and for phone; the page's style shows one of them."""
    wide, narrow = draw(WIDE, f"{name}w"), draw(NARROW, f"{name}n")
    return None if wide is None or narrow is None else {"wide": wide, "narrow": narrow}


def legend_entry(arms: Sequence[Arm], arm: Arm) -> dict[str, str]:
    """Title, colour role and marker of one of the arms."""
    role, _, marker = figures.arm_style(arms, arm)
    return {"title": arm.title, "role": role, "marker": marker}


def comparison_groups(arms: Sequence[Arm], comparisons: Sequence[Comparison]) -> list[dict[str, Any]]:
    """Table rows by arm, on one axis for the drawings."""
    axis = comparison_axis(comparisons)
    groups = []
    for arm in arms:
        role = figures.arm_style(arms, arm)[0]
        rows = [comparison_row(role, c, c.other.title, axis) for c in comparisons if c.arm.name == arm.name]
        if rows:
            groups.append({**legend_entry(arms, arm), "rows": rows})
    return groups


def comparison_axis(comparisons: Iterable[Comparison]) -> tuple[float, float]:
    """The ends of an axis with 0 and all the differences and their intervals on it."""
    estimates = [c.difference for c in comparisons]
    ends = [0.0] + [v for e in estimates for v in (e.low, e.high, e.mean) if not math.isnan(v)]
    return (min(ends), max(ends)) if max(ends) > min(ends) else (-1.0, 1.0)


def comparison_row(role: str, comparison: Comparison, title: str, axis: tuple[float, float]) -> dict[str, Any]:
    """A table row of one comparison, drawn on the axis in a colour role."""
    return {
        "other": title,
        "drawing": figures.draw_interval(comparison.difference, axis, role),
        "difference": format_difference(comparison.difference),
        "p": format_p(comparison.p).removeprefix("p = ").removeprefix("p "),
        "p_adjusted": format_p(comparison.p_adjusted).removeprefix("p = ").removeprefix("p "),
        "finding": comparison.finding,
    }


def measured_cell(trainings: Sequence[Measure], digits: int = 3, published: float | None = None) -> dict[str, str]:
    """A table cell of a measure: mean over trainings and interval, their standard deviation, and the paper's figure."""
    values = [training.value for training in trainings]
    return {
        "value": format_estimate(estimate_trainings(trainings), digits),
        "spread": f"\u00b1 {format_number(float(np.std(values, ddof=1)), digits)}" if len(values) > 1 else "",
        "published": "" if published is None else format_number(published, 2),
    }


def embed_picture(path: Path) -> str:
    """A PNG as a data URL.

    Raises:
        ResultsError: the file is no PNG.
    """
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG"):
        raise ResultsError(
            f"{path} is not a PNG image; the job that draws it failed: remove the file and run it again."
        )
    return f"data:image/png;base64,{base64.b64encode(content).decode('ascii')}"


def picture_entries(pictures: Iterable[Path], captions: Mapping[str, str] | None) -> list[dict[str, str]]:
    """Name, data URL and caption of PNGs: in the captions' order, then those without one, which their name captions."""
    captions = captions or {}
    order = {name: place for place, name in enumerate(captions)}
    return [
        {"name": path.stem, "source": embed_picture(path), "caption": captions.get(path.stem, plain_title(path.stem))}
        for path in sorted(pictures, key=lambda path: (order.get(path.stem, len(order)), path.stem))
    ]


def nearest_rows(found: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """Table rows of the distances to the nearest training sample, by part."""
    return [
        {
            "title": plain_title(name),
            "number": f"{part['images']:,}",
            "median": format_number(part["median"]),
            "least": format_number(part["least"]),
            "apart": "\u2013" if part.get("apart") is None else format_number(part["apart"]),
        }
        for name, part in found.items()
    ]


def plain_title(name: str) -> str:
    """A name of files as a title: "held_out" as "Held out"."""
    text = name.replace("_", " ")
    return f"{text[:1].upper()}{text[1:]}"


def provenance(experiment: dict[str, Any]) -> dict[str, Any]:
    """Time in all, time by job and versions as text, from `seconds` and `versions` of the JSON file."""
    seconds = experiment["seconds"] or {}
    return {
        "total": format_seconds(sum(seconds.values())) if seconds else None,
        "jobs": [(name, format_seconds(spent)) for name, spent in sorted(seconds.items(), key=lambda job: -job[1])],
        "versions": ", ".join(f"{name} {version}" for name, version in (experiment["versions"] or {}).items()),
    }


def describe_splits(experiment: dict[str, Any]) -> dict[str, str]:
    """Folds and seeds as text, in short and in full; fold None is the data set's own split."""
    folds, seeds = experiment["folds"], experiment["seeds"]
    count, listed = f"{len(seeds)} seed{'s' if len(seeds) != 1 else ''}", f"seeds {', '.join(map(str, seeds))}"
    if folds == [None]:
        return {"short": f"the data set's own split, {count}", "full": f"the data set's own split; {listed}"}
    short = f"{len(folds)} fold{'s' if len(folds) != 1 else ''} \u00d7 {count}"
    return {"short": short, "full": f"folds {', '.join(map(str, folds))}; {listed}"}


def format_seconds(seconds: float) -> str:
    """A duration as text: "48 s", "12 min 5 s", "3 h 20 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
