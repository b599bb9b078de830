from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from scripts.metrics.statistics import bonferroni
from scripts.report.comparisons import (
    Comparison,
    Estimate,
    compare_all,
    compare_arms,
    compare_pair,
    correct,
    estimate_arm,
)
from scripts.report.results import Arm, read_results

GAN, REAL = Arm("gan", "GAN", "gan", {}), Arm("real", "Real only", "baseline", {})


def comparison(p: float | None, low: float, high: float) -> Comparison:
    return Comparison(GAN, REAL, None, Estimate((low + high) / 2, low, high, 9), p, p)


@pytest.mark.parametrize(
    ("p", "low", "high", "finding"),
    [
        (0.01, 0.01, 0.03, "raised"),
        (0.01, -0.03, -0.01, "lowered"),
        (0.01, -0.01, 0.03, "cannot tell"),  # the test rejects, the interval spans 0
        (0.08, 0.01, 0.03, "cannot tell"),  # the interval excludes 0, the corrected test does not reject
        (None, 0.01, 0.03, "too few"),
    ],
)
def test_finding(p: float | None, low: float, high: float, finding: str) -> None:
    assert comparison(p, low, high).finding == finding


def test_pairs(make_results: Callable[..., Path]) -> None:
    results = read_results(make_results(gains={"classical": 0, "oversampling": 0, "gan": 0}, extras=False))
    pairs = [(c.arm.name, c.other.name) for c in compare_arms(results)]
    assert pairs == [
        ("classical", "real"),
        ("oversampling", "real"),
        ("gan", "real"),
        ("gan", "classical"),
        ("gan", "oversampling"),
    ]


def test_difference_is_paired_by_patient(make_results: Callable[..., Path]) -> None:
    results = read_results(make_results(gains={"gan": 0.05}, noise=0.01, extras=False))
    found = compare_arms(results, "CS")[0]
    gan, real = results.scores.by_patient("gan"), results.scores.by_patient("real")
    differences = np.array([gan[name] - real[name] for name in gan if name.startswith("CS")])
    expected = stats.permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.difference.mean == pytest.approx(differences.mean())
    assert found.difference.high < 0.1 < estimate_arm(results, GAN, class_name="CS").high  # far narrower than unpaired


def test_holm_leaves_out_what_is_not_tested() -> None:
    given = [comparison(p, 0.1, 0.2) for p in (0.01, None, 0.04)]
    corrected = [c.p_adjusted for c in correct([replace(c, p_adjusted=None) for c in given])]
    assert corrected == [pytest.approx(0.02), None, pytest.approx(0.04)]


def test_bonferroni_counts_only_what_is_tested() -> None:
    given = [comparison(p, 0.1, 0.2) for p in (0.01, None, 0.04, 0.5)]
    corrected = [c.p_adjusted for c in correct(given, bonferroni)]
    assert corrected == [pytest.approx(0.03), None, pytest.approx(0.12), 1.0]


def test_one_labels_difference_is_over_the_patients_who_have_it(make_study: Callable[..., Path]) -> None:
    results = read_results(make_study(extras=False) / "fraction_0.1")
    arm, other = results.arms[1], results.baseline
    found = compare_pair(results, arm, other, label="IVH")
    dice, other_dice = (results.scores.by_patient(name, label="IVH") for name in (arm.name, other.name))
    assert (found.label, found.difference.n) == ("IVH", 9)  # every third patient has no IVH
    assert found.difference.mean == pytest.approx(np.mean([dice[name] - other_dice[name] for name in dice]))
    assert compare_pair(results, arm, other).label is None


def test_overall_and_classes_are_two_families(make_results: Callable[..., Path]) -> None:
    folder = make_results(gains={"gan": 0.2}, noise=0.001, classes={"A": 8, "B": 7, "C": 5}, extras=False)
    overall, per_class = compare_all(read_results(folder))
    assert [c.p_adjusted for c in overall] == [overall[0].p]
    assert [c.p_adjusted for c in per_class] == [pytest.approx(2 * 2 / 2**8), pytest.approx(2 / 2**7), None]


def test_single_class_is_not_repeated(make_results: Callable[..., Path]) -> None:
    _, per_class = compare_all(read_results(make_results(classes={"A": 8}, extras=False)))
    assert per_class == []


def test_estimate_of_one_label(make_study: Callable[..., Path]) -> None:
    results = read_results(make_study(extras=False) / "fraction_0.1")
    both, later = (estimate_arm(results, results.baseline, label=label) for label in ("IPH", "IVH"))
    assert (both.n, later.n) == (14, 9)  # every third patient has no IVH
    assert both.mean > later.mean + 0.1
