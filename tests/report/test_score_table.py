from __future__ import annotations

import dataclasses

from scripts.report.score_table import Place, difference_tables, score_cell, score_table
from scripts.scores.formats import DASH
from scripts.scores.results import Estimate, Results


def test_a_score_has_its_spread_over_trainings_and_its_interval(results: Results) -> None:
    cell = score_cell(results.score("segmentation", 1.0, "real+gan:2", "dice"), results.tasks[0].primary)
    assert cell.value == "0.740"
    assert cell.beside == "\u00b1 0.014"  # 0.73 and 0.75: 0.02 / sqrt(2)
    assert list(cell.below) == ["[0.690, 0.790]"]


def test_without_interval_the_patients_are_told_and_without_score_a_dash(results: Results) -> None:
    score = results.score("segmentation", 1.0, "real", "dice")
    assert score is not None
    few = dataclasses.replace(score, estimate=Estimate(0.7, float("nan"), float("nan"), 3), seeds={0: 0.7})
    cell = score_cell(few, results.tasks[0].primary)
    assert (cell.beside, list(cell.below)) == ("", ["n = 3"])
    assert score_cell(None, results.tasks[0].primary).value == DASH


def test_scores_are_grouped_by_fraction_and_arms_without_score_left_out(results: Results) -> None:
    scores = [s for s in results.scores if (s.arm, s.fraction) != ("real+gan:1", 0.5)]
    task = results.tasks[0]
    table = score_table(dataclasses.replace(results, scores=scores), task, [Place("Dice", task.primary)], "")
    assert [group.title for group in table.groups] == [
        "50% of the patients (4 patients, 41 slices)",
        "100% of the patients (9 patients, 90 slices)",
    ]
    assert [len(group.rows) for group in table.groups] == [3, 4]


def test_a_difference_is_told_with_its_tests_and_finding(results: Results) -> None:
    tested = results.differences_of("verdict", "segmentation", 1.0)
    (table,) = difference_tables(results, results.tasks[0], tested, "Differences")
    cells = table.groups[0].rows[0].cells
    assert [cell.value for cell in cells[1:]] == ["+0.040", ".01", ".02", "0.031", "raised"]
    assert (cells[1].beside, list(cells[1].below)) == ("[0.010, 0.070]", ["adjusted [0.005, 0.075]"])
    assert table.caption == (
        "Differences: Dice, above 0 is better; p is corrected over 1 test. The chance of training alone "
        "moves a difference by 0.004 (standard error)."
    )


def test_why_nothing_can_be_told_stands_below_the_finding(results: Results) -> None:
    few = results.differences_of("verdict", "segmentation", 0.5)
    (table,) = difference_tables(results, results.tasks[0], few, "Differences")
    cell = table.groups[0].rows[0].cells[-1]
    assert (cell.value, list(cell.below)) == ("too few", ["too few patients: 3, and the test needs 6"])
    assert "no test was made" in table.caption
