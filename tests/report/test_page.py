from __future__ import annotations

import csv
import dataclasses
import re
from pathlib import Path

import pytest

from scripts.report.page import find_sections, render, write_report
from scripts.scores.json_files import ResultsError
from scripts.scores.results import Evidence, Results
from tests.report.html_checker import Checker


def test_every_section_file_is_reached_and_orders_differ() -> None:
    files = {file.stem for file in Path("scripts/report/sections").glob("*.py")} - {"__init__"}
    modules = find_sections()
    assert {module.__name__.rpartition(".")[2] for module in modules} == files
    orders = [module.ORDER for module in modules]
    assert orders == sorted(set(orders))


def test_a_rich_study_shows_every_section_once(results: Results, folder: Path) -> None:
    sections = [module.build(results, folder) for module in find_sections()]
    page = render(results, folder)
    for section in sections:
        assert section is not None
        assert page.count(f'<section id="{section.id}">') == 1
    assert page.count('<a href="#') == len(sections) - 1


def test_the_page_is_sound_html_and_its_first_heading_is_for_screen_readers(results: Results, folder: Path) -> None:
    page = render(results, folder)
    checker = Checker(page)
    assert (checker.complaints, checker.open) == ([], [])
    assert '<h2 class="unseen">Verdict</h2>' in page
    assert ".unseen {" in page


def test_names_with_html_are_escaped(results: Results, folder: Path) -> None:
    page = render(results, folder)
    for tag in ("<only>", "<b>", "<i>", "<s>"):
        assert tag not in page
    assert "Real &lt;only&gt;" in page


def test_the_page_needs_neither_network_nor_script_and_tells_no_path(results: Results, folder: Path) -> None:
    page = render(results, folder)
    assert "<script" not in page
    assert not re.search(r"(src|href)=.(https?:)?//|url\(h|@import|<link", page)
    assert str(folder) not in page


def test_identifiers_are_unique(results: Results, folder: Path) -> None:
    found = re.findall(r'\bid="([^"]+)"', render(results, folder))
    assert len(found) == len(set(found))


def test_no_tick_is_written_in_tex(results: Results, folder: Path) -> None:
    page = render(results, folder)
    assert "mathdefault" not in page
    assert not re.search(r"<text[^>]*>[^<]*\$", page)


def test_the_files_hold_the_numbers_of_the_results(results: Results, folder: Path) -> None:
    write_report(folder)
    rows = read_rows(folder / "scores.csv")
    assert [float(row["value"]) for row in rows] == [score.estimate.value for score in results.scores]
    assert float(rows[0]["sd_over_seeds"]) == pytest.approx(0.02 / 2**0.5)  # of two seeds 0.02 apart
    rows = read_rows(folder / "differences.csv")
    assert [(row["p"], row["finding"]) for row in rows] == [(str(d.p), d.finding) for d in results.differences]
    found = [r for r in read_rows(folder / "patients.csv") if (r["task"], r["patient"]) == ("detection", "p3")]
    assert float(found[0]["value"]) == pytest.approx(0.73)  # the first arm's 0.70 + 3 * 0.01


def read_rows(file: Path) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_page_goes_where_it_is_asked_to(folder: Path) -> None:
    target = write_report(folder, folder / "curves" / "other.html")
    assert target.is_file()
    assert (folder / "curves" / "scores.csv").is_file()
    assert not (folder / "report.html").exists()


def test_a_missing_picture_is_an_error_that_writes_nothing(results: Results, folder: Path) -> None:
    (folder / results.pictures[0].file).unlink()
    with pytest.raises(ResultsError, match=r"pictures\.png is missing or no PNG image"):
        write_report(folder)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    "name", ["quality", "memorisation", "presence", "selection", "annotations", "choice", "counts", "froc", "cases"]
)
def test_there_is_no_section_without_evidence(results: Results, folder: Path, name: str) -> None:
    bare = dataclasses.replace(results, evidence=Evidence(), pictures=[])
    (module,) = [module for module in find_sections() if module.__name__.endswith(f".{name}")]
    assert module.build(bare, folder) is None
    assert f'id="{name}"' not in render(bare, folder)
