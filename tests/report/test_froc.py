from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest

from scripts.report.comparisons import Estimate
from scripts.report.froc import FrocLine, draw_froc
from scripts.report.results import Arm

ARMS = [Arm("real", "Real", "baseline", {}), Arm("rich", "More", "alternative", {}), Arm("gan", "GAN", "gan", {})]
NAN = float("nan")


def draw(*names: str, width: int = 820, low: float = 0.5, operating: tuple[float, float] | None = None) -> str:
    curve = [(0.5, 0.4), (1.0, 0.6), (4.0, 0.7)]
    points = [(1.0, Estimate(0.6, low, 0.7, 9)), (4.0, Estimate(0.7, low, 0.9, 9))]
    return str(draw_froc({name: FrocLine(curve, points, operating) for name in names}, ARMS, width=width, name="f"))


@pytest.mark.parametrize("width", [820, 350])
def test_one_line_per_arm_in_the_pages_colours(width: int) -> None:
    svg = draw("gan", "real", width=width)
    ElementTree.fromstring(svg)
    assert re.findall(r'<g id="f-f-(\w+)">', svg) == ["real", "gan"]
    assert not re.findall(r"#[0-9a-f]{6}\b", svg)
    assert [svg.count(f">{rate}<") for rate in ("1", "4")] == [1, 1]
    assert "Real 0.600 at 1, 0.700 at 4; GAN 0.600 at 1, 0.700 at 4." in svg  # the description for screen readers


def test_arm_without_a_line_is_left_out() -> None:
    assert re.findall(r'<g id="f-f-(\w+)">', draw("gan")) == ["gan"]


def test_unknown_interval_and_operating_point_are_not_drawn() -> None:
    assert [draw("real", low=low).count("stroke-opacity: 0.7") for low in (NAN, 0.5)] == [0, 2]
    assert draw("real", operating=(2.0, 0.65)).count("<use") == draw("real").count("<use") + 1
