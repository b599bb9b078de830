from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from scripts.report import page, parts
from scripts.scores.results_files import ResultsError

VOID = {"meta", "img", "br", "link", "input"}


class Checker(HTMLParser):
    """Notes unbalanced tags, images without text, and anything fetched from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.complaints: list[str] = []
        self.headings: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img" and not given.get("alt"):
            self.complaints.append("image without alt")
        if tag in ("script", "link", "iframe"):
            self.complaints.append(tag)
        for name in ("src", "href", "xlink:href"):
            if given.get(name) and not str(given[name]).startswith(("data:", "#")):
                self.complaints.append(f"{name}={given[name]}")
        if given.get("id"):
            self.ids.append(str(given["id"]))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.complaints.append(f"unbalanced {tag}")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


@pytest.fixture
def report(make_results: Callable[..., Path]) -> str:
    return page.write_report(make_results()).read_text(encoding="utf-8")


def test_page_is_sound_and_self_contained(report: str) -> None:
    checker = Checker()
    checker.feed(report)
    assert checker.complaints == []
    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert "url(http" not in report
    assert report.count("<table>") == report.count("<caption>")


def test_order_of_sections(report: str) -> None:
    checker = Checker()
    checker.feed(report)
    assert checker.headings == [
        "All patients",
        "By class",
        "Pictures",
        "Image quality, against what real images score",
        "Training curves",
        "Published figures beside ours",
        "What was run",
        "How to read this",
    ]
    assert report.index("Partly: GAN") < report.index("All patients")


def test_names_are_escaped(report: str) -> None:
    assert "&lt;five centres&gt;" in report
    assert "<five" not in report


def test_numbers_stand_in_the_page(report: str) -> None:
    text = re.sub(r"<[^>]+>", "", report)
    assert "48.2 [41.0, 55.4]" in text
    assert "11.3 [9.8, 12.8]" in text
    assert "12.1 [9.0, 15.0]" in text  # kernel distance, times 1000
    assert "1 h 24 min, the sum of 3 jobs" in text  # 5063.4 s
    assert "3f2a9c1" in text
    assert "One patient is too few to tell" in text
    assert "nan" not in text.replace("\u00a0", " ").split()


def test_picture_is_embedded_whole(make_results: Callable[..., Path]) -> None:
    folder = make_results()
    report = page.write_report(folder).read_text()
    sources = re.findall(r'src="data:image/png;base64,([^"]+)"', report)
    assert [base64.b64decode(s) for s in sources] == [
        (folder / "pictures" / f"{n}.png").read_bytes() for n in ("CS", "DU")
    ]


def test_caption_takes_the_place_of_the_usual_one_and_comes_first(make_results: Callable[..., Path]) -> None:
    path = make_results() / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"captions": {"DU": "Four <members>."}}))
    report = page.write_report(path.parent).read_text()
    assert report.count("Four &lt;members&gt;.") == 2  # caption and alternative text
    assert "DU. Top to bottom" not in report
    assert report.index("Four &lt;members") < report.index("CS. Top to bottom")


def test_least_folder_makes_a_page(make_results: Callable[..., Path]) -> None:
    folder = make_results(gains={"gan": 0.0}, classes={"A": 1}, folds=1, extras=False)
    path = folder / "experiment.json"
    least = {key: value for key, value in json.loads(path.read_text()).items() if key in page_required()}
    least["dataset"] = {"name": "d"}
    path.write_text(json.dumps(least))
    checker = Checker()
    checker.feed(page.write_report(folder, folder / "elsewhere" / "r.html").read_text())
    assert checker.complaints == []
    assert checker.headings == ["All patients", "Dice", "What was run", "How to read this"]


def page_required() -> set[str]:
    return {"title", "dataset", "arms", "baseline", "folds", "seeds"}


def test_quality_with_unknown_interval_and_no_ceiling(make_results: Callable[..., Path]) -> None:
    folder = make_results()
    quality = {"frechet": {"value": 3.0, "low": None, "high": float("nan"), "floor": 1.0, "n": 3}}
    quality["specificity"] = {"balanced_accuracy": 0.5, "ceiling": None, "recall": {"EZ": 0.5}}
    (folder / "quality.json").write_text(json.dumps({"Red-GAN": quality}))
    text = re.sub(r"<[^>]+>", " ", page.write_report(folder).read_text())
    assert re.search(r"\(n = 3\)\s+3\.00\s+1\.00\s", text)
    assert re.search(r"0\.50\s+\u2013", text)


def test_failure_leaves_the_old_page_and_no_other_file(
    make_results: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = make_results(extras=False)
    page.write_report(folder)
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(parts.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        page.write_report(folder)
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_broken_picture_is_named(make_results: Callable[..., Path]) -> None:
    folder = make_results()
    (folder / "pictures" / "CS.png").write_bytes(b"")
    with pytest.raises(ResultsError, match=r"CS\.png is not a PNG"):
        page.write_report(folder)
    assert not (folder / "report.html").exists()


def test_command_prints_the_path_and_explains_errors(make_results: Callable[..., Path], tmp_path: Path) -> None:
    folder = make_results(extras=False)
    command = [sys.executable, "-m", "scripts.report.page"]
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(folder / "report.html")
    failed = subprocess.run([*command, str(tmp_path / "none")], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: ")
    assert "Traceback" not in failed.stderr
