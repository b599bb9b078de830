from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import pytest

from scripts.report.blocks import Mark
from scripts.report.charts import Horizontal, Line, draw_bars, draw_dots, draw_lines, draw_losses, interval_axis
from scripts.scores.evidence import Share

MARK = Mark("Arm & <b>", "warm1", "\u25c6")


def read_texts(svg: str) -> list[str]:
    return [text.strip() for text in re.findall(r"<text[^>]*>([^<]*)<", svg)]


@pytest.mark.parametrize("values", [(-0.013, 0.047), (0.2, math.nan), (-3.0, -1.0), (0.0, 0.0)])
def test_an_axis_of_differences_holds_0_and_all_values(values: Sequence[float]) -> None:
    axis = interval_axis(values)
    for value in (0.0, *(value for value in values if value == value)):
        assert 20 <= axis.x(value) <= 140
    assert 0.0 in axis.ticks


def test_the_head_of_an_axis_stands_over_the_lines_of_its_drawings() -> None:
    axis = interval_axis([-0.4, 0.4])
    head = re.findall(r'<text x="([\d.]+)"', axis.draw_head())
    lines = re.findall(r'<line x1="([\d.]+)"', axis.draw(Share(0.1, 0.0, 0.2), (math.nan, math.nan), "warm1"))
    assert head == [lines[0], str(axis.x(0)), lines[len(axis.ticks) - 1]]


def test_an_unknown_interval_is_not_drawn() -> None:
    axis = interval_axis([-1, 1])
    drawing = axis.draw(Share(0.5, math.nan, math.nan), (math.nan, math.nan), "warm1")
    assert drawing.count("<line") == len(axis.ticks)
    assert "nan" not in drawing


def test_colours_are_the_pages_and_names_are_escaped() -> None:
    svg = draw_dots({"": [(MARK, Share(0.5, 0.4, 0.6))]}, "Dice", width=820, name="d")
    assert "var(--warm1)" in svg
    assert "#0101" not in svg
    assert "<b>" not in svg
    assert "Arm &amp; &lt;b&gt; 0.500" in svg


def test_log_axes_are_written_without_tex() -> None:
    line = Line(MARK, [(0.01, Share(1, 0, 2)), (1.0, Share(2, 1, 3))])
    horizontal = Horizontal("Share", {0.01: "1%", 1.0: "100%"}, log=True)
    texts = read_texts(draw_lines({"Dice": [line]}, horizontal, width=820, name="l"))
    assert {"1%", "100%"} <= set(texts)
    assert not any("$" in text or "^" in text for text in texts)


def test_losses_over_orders_of_magnitude_are_logarithmic_and_plain() -> None:
    steps = np.arange(1.0, 4.0)
    losses = {"G": np.array([0.001, 1.0, 1000.0]), "D": np.array([0.5, math.nan, 0.5])}
    svg, legend = draw_losses("GAN", "epoch", steps, losses, width=390, name="x")
    assert {"0.001", "1,000"} & set(read_texts(svg))
    assert not any("$" in text for text in read_texts(svg))
    assert [mark.title for mark in legend] == ["G", "D"]


def test_bars_tell_real_and_added_images() -> None:
    svg = draw_bars({"A": 50, "B": 0}, [(MARK, {"A": 30})], width=820, name="b")
    assert {"50 + 30", "0"} <= set(read_texts(svg))
