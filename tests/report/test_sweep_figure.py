from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from scripts.report.comparisons import Estimate
from scripts.report.sweep_figure import draw_sweep, line_style

NAN = float("nan")


def draw(*, width: int = 820, low: float = 0.4, panels: int = 2) -> str:
    lines = {
        "Balanced accuracy": [Estimate(0.5, low, 0.6, 9), Estimate(0.6, low, 0.7, 9)],
        "HGG": [Estimate(0.9, low, 1.0, 9), Estimate(0.8, low, 0.9, 9)],
    }
    titles = ("Per patient", "Per slice")[:panels]
    return str(draw_sweep(dict.fromkeys(titles, lines), [0, 1200], chance=0.5, width=width, name="s"))


@pytest.mark.parametrize("width", [820, 350])
def test_a_panel_for_each_unit_in_the_pages_colours(width: int) -> None:
    svg = draw(width=width)
    ElementTree.fromstring(svg)
    assert not re.findall(r"#[0-9a-f]{6}\b", svg)
    assert [svg.count(f">{title}<") for title in ("Per patient", "Per slice")] == [1, 1]
    assert svg.count(">1,200<") == (2 if width >= 500 else 1)  # stacked panels share their axis
    assert "with 0, 1,200 synthetic features. Per patient. Balanced accuracy: 0.500, 0.600; HGG: 0.900, 0.800." in svg


def test_unknown_intervals_are_not_drawn() -> None:
    assert [draw(panels=1, low=low).count("stroke-opacity: 0.7") for low in (NAN, 0.4)] == [0, 4]


def test_seven_lines_look_different() -> None:
    assert len({line_style(place) for place in range(7)}) == 7
