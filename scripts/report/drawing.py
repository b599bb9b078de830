"""Inline SVG whose colours and fonts are the page's own, so that drawings follow its light and dark themes."""

from __future__ import annotations

import io
import re
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# matplotlib draws in these stand-ins; `to_svg` turns each into a CSS variable of the page.
ROLES = ("ink", "muted", "rule", "baseline", "cool1", "cool2", "cool3", "warm1", "warm2", "warm3")
STAND_INS = {role: f"#0101{index + 1:02x}" for index, role in enumerate(ROLES)}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.size": 12,
    "text.color": STAND_INS["ink"],
    "axes.labelcolor": STAND_INS["muted"],
    "axes.edgecolor": STAND_INS["rule"],
    "xtick.color": STAND_INS["muted"],
    "ytick.color": STAND_INS["muted"],
    "grid.color": STAND_INS["rule"],
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,
}


def new_figure(width: int, height: int) -> tuple[Figure, Axes]:
    figure = blank_figure(width, height)
    return figure, figure.add_subplot()


def blank_figure(width: int, height: int) -> Figure:
    figure = Figure(figsize=(width / 72, height / 72), dpi=72, layout="constrained")
    FigureCanvasSVG(figure)
    return figure


def to_svg(figure: Figure, name: str, description: str) -> Markup:
    buffer = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True)
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", text)
    for role, stand_in in STAND_INS.items():
        text = text.replace(stand_in, f"var(--{role})")
    width, height = (float(value) for value in re.findall(r'(?:width|height)="([\d.]+)pt"', text)[:2])
    opening = (
        f'<svg role="img" aria-label="{escape(description)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width: {width:g}px" xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    )
    return Markup(opening + text[text.index(">") + 1 :])
