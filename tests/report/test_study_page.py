from __future__ import annotations

import json
import re
from collections.abc import Callable
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scripts.report.page import write_report

MakeStudy = Callable[..., Path]


class Reader(HTMLParser):
    """Collects headings and table rows, tells unbalanced tags, and anything fetched from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.complaints: list[str] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "img"):
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        self.complaints += [f"{k}={v}" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("data:")]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.complaints.append(f"unbalanced {tag}")

    def handle_data(self, data: str) -> None:
        if "h2" in self.open:
            self.headings.append(data)
        if "td" in self.open or "th" in self.open:
            self.rows[-1][-1] += data


def read(folder: Path) -> tuple[str, Reader]:
    html = write_report(folder).read_text(encoding="utf-8")
    text = re.sub(r"<style.*?</style>|<[^>]+>", "", html[html.index("<body>") :], flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(text)), Reader(html)


def test_page_is_sound_and_ordered(make_study: MakeStudy) -> None:
    text, page = read(make_study(full_arms=("original", "classical")))
    assert page.complaints == []
    assert page.open == []
    assert page.headings == [
        "Learning curves",
        "What the GAN adds",
        "The publication's tables beside ours",
        "2.5% of the data: 1 patient, 40 slices",
        "10% of the data: 4 patients, 160 slices",
        "25% of the data: 10 patients, 400 slices",
        "100% of the data: 40 patients, 1,600 slices",
        "What was run",
        "How to read this",
    ]
    assert "the data set's own split, 1 seed" in text
    assert "None" not in text
    assert not re.search(r"\bnan\b", text)


def test_verdict_comes_first_and_says_what_each_fraction_shows(make_study: MakeStudy) -> None:
    text, _ = read(make_study(full_arms=("original", "classical")))
    answer = (
        "In part: GAN + classical beat Classical augmentation at 2.5% and 10% of the data; at 25% it cannot be told."
    )
    assert text.index(answer) < text.index("Learning curves")
    verdict = text[: text.index("Learning curves")]
    assert verdict.count("GAN + classical raised Dice by +0.0") == 2
    assert "Cannot tell whether GAN + classical changed Dice against Classical augmentation" in verdict
    assert "GAN raised Dice by +0.0" in verdict  # the GAN alone, against the original
    assert "GAN + classical and Classical augmentation were not both run." in verdict


def test_tables_hold_ours_and_the_published_figures(make_study: MakeStudy) -> None:
    _, page = read(make_study())
    original = [row for row in page.rows if row[0] == "\u25cfOriginal"]
    tables = original[:4], original[4:8], original[8:12]
    assert [row[-1] for row in tables[0]] == ["0.244", "0.478", "0.565", "0.628"]
    assert re.fullmatch(r"0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]", tables[0][0][1])
    assert [tables[1][0][n] for n in (2, 4)] == ["0.408", "0.360"]
    assert tables[1][3][1:] == ["\u2013"] * 4  # no detections at 100%
    assert tables[2][0][2] == "0.772"
    assert ["Trained on", "EDH"] in page.rows  # a type that ours lack


def test_selection_table(make_study: MakeStudy) -> None:
    text, page = read(make_study(added={0.1: 0.0}))
    rows = {row[0]: row[1:] for row in page.rows}
    assert rows["epoch_0010"] == ["40", "0.40", "0.0123", "0.0561", "\u2013", "0.121", "2.0"]
    assert rows["epoch_0050 (chosen)"][1] == "0.61 [0.55, 0.68]"
    assert rows["Real, held out"][-3:] == ["35%", "0.121", "\u2013"]
    assert (
        "Images kept: 31 of 40. Rejected: FCN score under 0.25: 3; sharpness in units of the real median under 0.5: 4;"
        in text
    )


def test_leaking_scorer_is_marked(make_study: MakeStudy) -> None:
    folder = make_study(added={0.1: 0.0})
    path = folder / "fraction_0.1" / "selection.json"
    least = {"candidates": [{"name": "only"}], "scorer": "LEAKS: trained on more patients than this fraction"}
    path.write_text(json.dumps(least))
    text, page = read(folder)
    assert ["only", *["\u2013"] * 7] in page.rows
    assert re.search(r'class="small leaks">Scorers: LEAKS', (folder / "report.html").read_text())
    assert "Images kept" not in text


def test_least_study_makes_a_page(make_study: MakeStudy) -> None:
    folder = make_study(added={0.1: 0.0}, patients=3, extras=False)
    study = json.loads((folder / "study.json").read_text())
    least = {key: study[key] for key in ("title", "gan", "alternative")}
    least["fractions"] = [{"fraction": 0.1, "folder": "fraction_0.1"}]
    (folder / "study.json").write_text(json.dumps(least))
    text, page = read(folder)
    assert page.complaints == []
    assert "Too few patients to tell: 3" in text
    assert "Table 2" not in text
    assert page.headings[3] == "10% of the data"


@pytest.mark.parametrize(("seeds", "words"), [(1, "own split; seeds 0"), (2, "own split; seeds 0, 1")])
def test_seeds_are_averaged_and_named(make_study: MakeStudy, seeds: int, words: str) -> None:
    text, _ = read(make_study(added={0.1: 0.0}, seeds=seeds))
    assert words in text
    assert "14 patients scored" in text
