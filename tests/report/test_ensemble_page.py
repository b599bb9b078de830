from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from html import unescape
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.metrics.statistics import sign_flip_test
from scripts.report.ensemble_page import compare_members, ensemble_section
from scripts.report.page import write_report
from scripts.report.results import Results, read_results
from tests.report.html_checker import Checker

GAINS = {"real": 0.0, "s1": -0.14, "s3": -0.1, "s5": -0.07, "r1": 0.0, "r5": 0.0, "snap5": -0.12}
FAMILIES = [
    {"title": "Synthetic <only>", "arms": {"1": "s1", "3": "s3", "5": "s5"}},
    {"title": "Real + synthetic", "arms": {"1": "r1", "5": "r5"}},
    {"title": "Snapshots", "arms": {"5": "snap5"}, "alternative_to": "Synthetic <only>"},
]
HOURS = {"real": 0, "s1": 0.4, "s3": 1.2, "s5": 2.0, "r1": 0.4, "r5": 2.0, "snap5": 0.4}
SHARE = {"value": 0.02, "low": 0.01, "high": 0.04, "n": 9}
PART = {"images": 40, "lesion_images": 0.6, "label_percent": {"ET": 1.5, "ED": 3.0}, "components": 1.2}
PART |= {"rim_share": SHARE, "outside_head_share": SHARE}
EXTRAS: dict[str, Any] = {
    "device_hours": HOURS,
    "published": {"mean": {"real": 0.729, "s1": 0.592}},
    "choice": {"order": [2, 0], "coverage": [0.4, 0.5], "single": [0.3, 0.4], "k": 5, "images_per_member": 300},
    "annotations": {"labels": ["ET", "ED"], "parts": {"training": PART, "synthetic": PART}, "members": []},
    "collapsed": ["member_1"],
}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes results of ensembles; every third patient has no ET."""

    def write(*, labels: tuple[str, ...] = ("ET", "ED"), patients: int = 18, seeds: int = 3, **ensemble: Any) -> Path:
        rng = np.random.default_rng(0)
        arms = [{"name": name, "kind": "gan" if name != "real" else "baseline"} for name in GAINS]
        experiment = {"title": "t", "dataset": {"name": "d"}, "arms": arms, "baseline": "real", "folds": [0]}
        experiment |= {"seeds": list(range(seeds)), "ensemble": {"families": FAMILIES, **ensemble}}
        (tmp_path / "experiment.json").write_text(json.dumps(experiment))
        level = rng.uniform(0.4, 0.8, patients)
        for name, gain in GAINS.items():
            for seed in range(seeds):
                path = tmp_path / "arms" / name / f"fold0_seed{seed}.csv"
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("w", newline="") as stream:
                    writer = csv.writer(stream)
                    writer.writerow(["patient", "class", "label", "dice", "iou", "hd95_mm", "volume_error_ml"])
                    for number in range(patients):
                        for label in labels:
                            dice = level[number] + gain + rng.normal(0, 0.02)
                            missing = label == "ET" and number % 3 == 2
                            writer.writerow([f"p{number}", "", label, "nan" if missing else dice, 0.5, 9, 1])
        return tmp_path

    return write


def section(folder: Path) -> dict[str, Any]:
    results = read_results(folder)
    assert results.ensemble is not None
    return ensemble_section(results, results.ensemble)


def compared(results: Results) -> dict[tuple[str, str, str | None], Any]:
    assert results.ensemble is not None
    return {(c.arm.name, c.other.name, c.label): c for c in compare_members(results, results.ensemble)}


def test_pairs_are_larger_against_smaller_and_other_members_of_the_same_number(make: Make) -> None:
    found = compared(read_results(make()))
    pairs = {("s5", "s3"), ("s5", "s1"), ("s3", "s1"), ("r5", "r1"), ("snap5", "s5")}
    assert set(found) == {(*pair, label) for pair in pairs for label in (None, "ET", "ED")}


def test_alternatives_are_also_tested_where_they_cost_the_same(make: Make) -> None:
    found = compared(read_results(make(device_hours={"s1": 0.4, "s3": 1.2, "s5": 2.0, "snap5": 0.4})))
    assert {(arm, other) for arm, other, _ in found if arm == "snap5"} == {("snap5", "s5"), ("snap5", "s1")}


def test_bonferroni_over_all_tests_by_hand(make: Make) -> None:
    results = read_results(make())
    found = compared(results)
    for (arm, other, label), comparison in found.items():
        a, b = (results.scores.by_patient(name, label=label) for name in (arm, other))
        assert comparison.difference.n == (12 if label == "ET" else 18)
        assert comparison.p_adjusted == pytest.approx(min(1, 15 * sign_flip_test([a[name] - b[name] for name in a])))


def test_single_label_is_tested_once(make: Make) -> None:
    found = compared(read_results(make(labels=("ED",))))
    assert {label for _, _, label in found} == {None}
    assert len(found) == 5


def test_table_says_mean_and_spread_over_trainings_by_hand(make: Make) -> None:
    folder = make(**EXTRAS)
    table, scores = section(folder)["table"], read_results(folder).scores
    assert (table["columns"], table["trainings"], table["published"]) == (["Mean", "ET", "ED"], "3 trainings", True)
    assert [[row["title"] for row in group["rows"]] for group in table["groups"]] == [
        ["real"],
        ["1 member", "3 members", "5 members"],
        ["1 member", "5 members"],
        ["5 members"],
    ]
    cell = table["groups"][1]["rows"][0]["cells"][0]
    trainings = list(scores.by_training("s1").values())
    spread = np.sqrt(sum((a - b) ** 2 for a, b in combinations(trainings, 2)) / (3 * 2))  # sample SD from pairs
    assert cell["spread"] == f"{sum(trainings) / 3:.3f} \u00b1 {spread:.3f}"
    assert cell["published"] == "0.592"
    assert [row["hours"] for row in table["groups"][1]["rows"]] == ["0.4", "1.2", "2"]


def test_one_training_has_no_spread(make: Make) -> None:
    table = section(make(seeds=1))["table"]
    assert (table["trainings"], table["published"], table["hours"]) == ("", False, False)
    assert table["groups"][0]["rows"][0]["cells"][0]["spread"] == ""


def test_sentence_follows_from_the_tests(make: Make) -> None:
    found = section(make())
    assert found["sentence"].startswith("More members raised Dice in \u201cSynthetic <only>\u201d (5 against 1: +0.0")
    assert "; cannot tell in \u201cReal + synthetic\u201d (5 against 1: " in found["sentence"]
    assert "5 of \u201cSnapshots\u201d scored lower than 5 of \u201cSynthetic <only>\u201d" in found["replacements"]


def test_cost_axis_is_hours_where_known_else_members(make: Make) -> None:
    known, part, unknown = (
        section(make(device_hours=hours))["cost"] for hours in (HOURS, HOURS | {"r5": None}, {"real": 0.0})
    )
    assert [cost["hours"] for cost in (known, part, unknown)] == [True, True, False]
    assert [cost["missing"] for cost in (known, part, unknown)] == [[], ["r5"], []]
    assert "5 members" in str(known["drawn"]["wide"])
    assert "Dice against Members" in str(unknown["drawn"]["narrow"])


def test_coverage_of_the_members_in_order(make: Make) -> None:
    choice = {**EXTRAS["choice"], "training_coverage": [0.62, None], "real_images": 1500}
    found = section(make(choice=choice))["choice"]
    assert found["rows"] == [
        {"member": 2, "together": "40.0%", "alone": "40.0%", "training": "62.0%"},
        {"member": 0, "together": "50.0%", "alone": "30.0%", "training": "\u2013"},
    ]
    assert (found["real"], found["ceiling"]) == ("1,500 held-out real images", True)
    assert not section(make(choice=EXTRAS["choice"]))["choice"]["ceiling"]


def test_page_is_sound_and_says_what_was_corrected(make: Make) -> None:
    html = write_report(make(**EXTRAS)).read_text(encoding="utf-8")
    page = Checker(html)
    assert (page.complaints, page.open) == ([], [])
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    text = re.sub(r"\s+", " ", unescape(re.sub(r"<style.*?</style>|<[^>]+>", " ", html, flags=re.DOTALL)))
    assert "<only>" not in html
    for words in (
        "Collapsed, so that their images hardly differ: member_1.",
        "p, Bonferroni",
        "p, Holm",
        "paper 0.729",
    ):
        assert words in text
    assert "corrects after Bonferroni instead, over all its 18 tests" in text
    assert "nan" not in text.replace("\u00a0", " ").split()


def test_least_ensemble_of_few_patients_makes_a_page(make: Make) -> None:
    html = write_report(make(labels=("ED",), patients=4, seeds=1)).read_text(encoding="utf-8")
    assert "Too few patients to tell whether more members help: 4" in html
    assert Checker(html).complaints == []
    for absent in ("Bonferroni instead", "label by label", "Covered alone", "Collapsed", "trainings"):
        assert absent not in html
