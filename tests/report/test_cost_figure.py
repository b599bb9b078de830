from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from scripts.report.comparisons import Estimate
from scripts.report.cost_figure import CostLine, draw_dice_against_cost, family_style

NAN = float("nan")
REAL = Estimate(0.7, 0.65, 0.75, 9)


def point(cost: float, members: int, mean: float, low: float = NAN) -> tuple[float, int, Estimate]:
    return cost, members, Estimate(mean, low, mean + 0.05, 9)


def draw(*lines: CostLine, baseline: Estimate = REAL, width: int = 820) -> str:
    return str(draw_dice_against_cost(lines, baseline, "Hours", width=width, name="e"))


@pytest.mark.parametrize("width", [820, 350])
def test_drawing_is_xml_in_the_pages_colours_with_every_number(width: int) -> None:
    svg = draw(CostLine("A", 0, [point(0.4, 21, 0.5, 0.4), point(2.0, 47, 0.6, 0.5)]), width=width)
    ElementTree.fromstring(svg)
    assert not re.findall(r"#[0-9a-f]{6}\b", svg)
    assert (svg.count(">21<"), svg.count(">47<")) == (1, 1)
    assert "Without synthetic images 0.700. A: 21 members 0.500 at 0.4, 47 members 0.600 at 2." in svg


def test_unknown_intervals_are_not_drawn() -> None:
    known, unknown = (draw(CostLine("A", 0, [point(1, 1, 0.5, low)])) for low in (0.4, NAN))
    assert [svg.count("stroke-opacity: 0.7") for svg in (known, unknown)] == [1, 0]
    alone = draw(CostLine("A", 0, [point(1, 1, 0.5)]), baseline=Estimate(0.7, NAN, NAN, 1))
    assert ["opacity: 0.16" in svg for svg in (known, alone)] == [True, False]  # the baseline's band


def test_families_at_one_cost_stand_side_by_side() -> None:
    svg = draw(CostLine("A", 0, [point(1, 21, 0.5)]), CostLine("B", 1, [point(1, 47, 0.5)]))
    a, b = (float(re.search(rf'x="([\d.]+)"[^>]*>{n}<', svg)[1]) for n in (21, 47))  # type: ignore[index]
    assert 4 < b - a < 20


def test_six_families_look_different() -> None:
    assert len({family_style(place)[0] for place in range(6)}) == 6
    assert len({family_style(place)[1] for place in range(6)}) == 6
