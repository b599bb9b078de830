from __future__ import annotations

import base64
from pathlib import Path

import pytest
from markupsafe import Markup

from scripts.report.blocks import NARROW, WIDE, Image, draw_figure, embed_pictures, interval_cell
from scripts.scores.evidence import Share
from scripts.scores.json_files import ResultsError
from scripts.scores.results import Picture, Results


def test_a_cell_has_its_interval_beside_it_in_the_same_unit() -> None:
    cell = interval_cell(Share(0.0525, 0.04, 0.065), 1, scale=100)
    assert (cell.value, cell.beside) == ("5.2", "[4.0, 6.5]")


def test_a_figure_is_drawn_for_desktop_and_phone_under_names_of_their_own() -> None:
    figure = draw_figure(lambda width, name: Markup(f"{width} {name}"), "x", "caption")
    assert (figure.wide, figure.narrow) == (f"{WIDE} xw", f"{NARROW} xn")


def test_pictures_of_one_section_are_embedded_byte_for_byte(results: Results, folder: Path) -> None:
    (image,) = embed_pictures(folder, results.pictures, "cases")
    assert isinstance(image, Image)
    assert base64.b64decode(image.source.partition(",")[2]) == (folder / "pictures/cases.png").read_bytes()
    assert [(mark.title, mark.colour) for mark in image.legend] == [("core <i>", "#e69f00")]


def test_what_is_no_png_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("<svg/>")
    with pytest.raises(ResultsError, match="no PNG image"):
        embed_pictures(tmp_path, [Picture("x.png", "x")], "pictures")
