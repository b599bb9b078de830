"""A ranking by hand: three tests over the page, of which one difference holds over all of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from scripts.report.blocks import Row, Table
from scripts.report.sections import leaderboard
from scripts.scores.results import Difference, Estimate, Results


@pytest.fixture
def ranked(results: Results) -> Results:
    """At one fraction: +.04 to the baseline holds, +.03 to the alternative is raised in its family alone."""

    def differ(arm: str, other: str, value: float, p_page: float) -> Difference:
        numbers = (Estimate(value, value - 0.01, value + 0.01, 8), 0, 0, 0.01, 0.02, 0.004, 0.0078, 0.03)
        place = ("segmentation", 1.0, "dice", "", "", arm, other, "verdict")
        return Difference(*place, *numbers, "raised", p_page=p_page)

    tested = [
        differ("real+gan:2", "real", 0.04, 0.03),
        differ("real+gan:2", "real+classical", 0.03, 0.06),
        dataclasses.replace(differ("real+gan:1", "real", -0.02, 0.01), finding="lowered"),
    ]
    arms = [dataclasses.replace(arm, copies="failed" if arm.kind == "gan" else "") for arm in results.arms]
    return dataclasses.replace(results, fractions=[1.0], differences=tested, arms=arms)


def rows(results: Results) -> list[Row]:
    section = leaderboard.build(results, Path())
    assert section is not None
    (table,) = section.blocks
    assert isinstance(table, Table)
    assert [group.title for group in table.groups] == ["Segmentation, Dice", "Detection, mAP"]
    assert "over all tests of this page (3)" in table.caption
    return list(table.groups[0].rows)


def test_arms_stand_by_score_with_the_two_that_count_marked(ranked: Results) -> None:
    assert [row.title for row in rows(ranked)] == [
        "Real + GAN, 1:2",
        "Real + GAN, 1:1",
        "Real, classical (best cheap alternative)",
        "Real <only> (baseline)",
    ]


def test_only_what_is_significant_over_all_tests_of_the_page_holds(ranked: Results) -> None:
    best, second, *others = rows(ranked)
    told = [(cell.value, list(cell.below), cell.style) for cell in [*best.cells[1:3], second.cells[1]]]
    assert told == [
        ("+0.040", ["p = .03, holds"], "raised"),
        ("+0.030", ["p = .06"], ""),
        ("\u22120.020", ["p = .01, holds"], "lowered"),
    ]
    assert [cell.value for row in others for cell in row.cells[1:3]] == ["\u2013"] * 4


def test_a_set_that_failed_its_memorisation_audit_is_flagged(ranked: Results) -> None:
    cell = rows(ranked)[0].cells[3]
    assert (cell.value, cell.style) == ("yes", "lowered")
    assert [cell.value for cell in rows(ranked)[0].cells[4:6]] == ["84", "2 h 30 min"]


def test_a_metric_where_lower_is_better_ranks_upwards(ranked: Results) -> None:
    task = ranked.tasks[0]
    turned = dataclasses.replace(task, metrics=[dataclasses.replace(task.primary, better="lower"), *task.metrics[1:]])
    assert rows(dataclasses.replace(ranked, tasks=[turned, ranked.tasks[1]]))[0].title == "Real <only> (baseline)"
