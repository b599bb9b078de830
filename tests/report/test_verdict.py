from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.report.comparisons import Comparison, Estimate, compare_all
from scripts.report.results import Arm, read_results
from scripts.report.verdict import (
    describe_arm,
    describe_class,
    describe_replacements,
    format_difference,
    format_p,
    headline,
    headline_over_fractions,
    headline_over_members,
    patients_needed,
)

GAN = Arm("gan", "GAN", "gan", {})
REAL = Arm("real", "Real only", "baseline", {})
OVER = Arm("over", "Oversampling", "alternative", {})
NAN = float("nan")


def compared(other: Arm, mean: float, low: float, high: float, p: float | None, n: int = 9) -> Comparison:
    return Comparison(GAN, other, None, Estimate(mean, low, high, n), p, p)


def test_sentence_of_a_gain_that_oversampling_matches() -> None:
    comparisons = [compared(REAL, 0.021, 0.003, 0.04, 0.03), compared(OVER, 0.004, -0.01, 0.02, 0.4)]
    assert describe_arm(GAN, comparisons) == (
        "GAN raised Dice by +0.021 [0.003, 0.040] against Real only (p = .03 after Holm), "
        "but not reliably against Oversampling: +0.004 [\u22120.010, 0.020] (p = .40)."
    )


def test_sentence_of_a_full_gain() -> None:
    comparisons = [compared(REAL, 0.05, 0.03, 0.07, 0.0004), compared(OVER, 0.03, 0.01, 0.05, 0.02)]
    assert describe_arm(GAN, comparisons) == (
        "GAN raised Dice by +0.050 [0.030, 0.070] against Real only (p < .001 after Holm); "
        "better than Oversampling: +0.030 [0.010, 0.050] (p = .02)."
    )


def test_sentence_of_no_finding() -> None:
    comparisons = [compared(REAL, 0.01, -0.03, 0.05, 0.6), compared(OVER, -0.04, -0.06, -0.02, 0.01)]
    assert describe_arm(GAN, comparisons) == (
        "Cannot tell whether GAN changed Dice against Real only: +0.010 [\u22120.030, 0.050] (p = .60); "
        "worse than Oversampling: \u22120.040 [\u22120.060, \u22120.020] (p = .01)."
    )


@pytest.mark.parametrize(
    ("n", "low", "words"), [(5, 0.01, "5 patients are too few"), (1, NAN, "one patient is too few")]
)
def test_sentence_of_too_few(n: int, low: float, words: str) -> None:
    text = describe_arm(GAN, [compared(REAL, 0.02, low, 0.03, None, n)])
    assert words in text
    assert "raised" not in text
    assert "nan" not in text


def test_sentence_of_a_class() -> None:
    comparisons = [compared(REAL, 0.05, 0.03, 0.07, 0.01), compared(OVER, 0.03, 0.01, 0.05, 0.02)]
    assert describe_class(comparisons) == (
        "Against Real only: raised by GAN: +0.050 [0.030, 0.070] (p = .01). "
        "Better than every cheap alternative too: GAN."
    )
    assert describe_class([compared(REAL, 0.05, NAN, NAN, None, 1)]) == (
        "One patient is too few to tell. Against Real only: GAN +0.050."
    )


@pytest.mark.parametrize(
    ("gains", "finding", "opening"),
    [
        ({"oversampling": 0.0, "gan": 0.1}, "raised", "Yes: GAN beat Real only and every cheap"),
        ({"gan": 0.1}, "raised", "Yes: GAN beat Real only. No cheap alternative"),
        ({"oversampling": 0.1, "gan": 0.1}, "cannot tell", "Partly: GAN beat Real only, but"),
        ({"oversampling": 0.0, "gan": 0.0}, "cannot tell", "Cannot tell"),
        ({"gan": -0.1}, "lowered", "No: GAN lowered"),
        ({"gan": 0.0, "synthetic": -0.1}, "cannot tell", "Cannot tell"),
        ({"oversampling": 0.1}, "cannot tell", "No arm with GAN images"),
    ],
)
def test_headline(make_results: Callable[..., Path], gains: dict[str, float], finding: str, opening: str) -> None:
    results = read_results(make_results(gains=gains, noise=0.02, extras=False))
    found, sentence = headline(results, compare_all(results)[0])
    assert found == finding
    assert sentence.startswith(opening)


def test_headline_of_too_few_patients_in_all(make_results: Callable[..., Path]) -> None:
    results = read_results(make_results(gains={"gan": 0.3}, classes={"A": 3, "B": 2}, extras=False))
    assert headline(results, compare_all(results)[0]) == (
        "too few",
        "Too few patients to tell: 5, and the test needs 6 or more.",
    )


@pytest.mark.parametrize(("comparisons", "n"), [(0, 6), (1, 6), (2, 7), (33, 11)])
def test_patients_needed(comparisons: int, n: int) -> None:
    assert patients_needed(comparisons) == n  # the least n with comparisons / 2 ** (n - 1) < .05


@pytest.mark.parametrize(
    ("p", "text"),
    [
        (0.03125, "p = .03"),
        (0.0004, "p < .001"),
        (0.0042, "p = .004"),
        (0.0498, "p = .050"),
        (0.999, "p = 1"),
        (None, "not tested"),
    ],
)
def test_format_p(p: float | None, text: str) -> None:
    assert format_p(p) == text


def test_format_difference_has_no_negative_zero() -> None:
    assert format_difference(Estimate(-0.0002, -0.01, 0.0, 8)) == "0.000 [\u22120.010, 0.000]"
    assert format_difference(Estimate(-0.5, NAN, NAN, 1)) == "\u22120.500"


def at_fractions(*findings: str) -> dict[str, Comparison]:
    chosen = {
        "raised": compared(OVER, 0.02, 0.01, 0.03, 0.01),
        "lowered": compared(OVER, -0.02, -0.03, -0.01, 0.01),
        "cannot tell": compared(OVER, 0.0, -0.03, 0.03, 0.9),
        "too few": compared(OVER, 0.02, 0.01, 0.03, None, 4),
    }
    return dict(zip(("2.5%", "10%", "25%"), (chosen[finding] for finding in findings), strict=False))


@pytest.mark.parametrize(
    ("findings", "finding", "sentence"),
    [
        (("raised", "raised", "raised"), "raised", "Yes: GAN beat Oversampling at 2.5%, 10% and 25% of the data."),
        (
            ("raised", "cannot tell", "too few"),
            "cannot tell",
            "In part: GAN beat Oversampling at 2.5% of the data; at 10% and 25% it cannot be told.",
        ),
        (
            ("raised", "cannot tell", "lowered"),
            "cannot tell",
            "Mixed: GAN beat Oversampling at 2.5% of the data and scored lower at 25%; at 10% it cannot be told.",
        ),
        (("lowered", "lowered"), "lowered", "No: GAN scored lower than Oversampling at 2.5% and 10% of the data."),
        (
            ("cannot tell", "cannot tell"),
            "cannot tell",
            "Cannot tell: no reliable gain of GAN over Oversampling was measured at 2.5% and 10% of the data.",
        ),
        (("too few",), "too few", "Too few patients to tell: 4, and the test needs 6 or more."),
        ((), "cannot tell", "No fraction of the data was run with and without GAN images, so nothing can be judged."),
    ],
)
def test_headline_over_fractions(findings: tuple[str, ...], finding: str, sentence: str) -> None:
    assert headline_over_fractions(at_fractions(*findings)) == (finding, sentence)


RAISED, LOWERED = compared(REAL, 0.05, 0.03, 0.07, 0.01), compared(REAL, -0.02, -0.03, -0.01, 0.02)
UNCLEAR, FEW = compared(REAL, 0.01, -0.01, 0.03, 0.4), compared(REAL, 0.01, -0.01, 0.03, None, n=4)


@pytest.mark.parametrize(
    ("by_family", "sentence"),
    [
        (
            {"A": {(5, 3): UNCLEAR, (5, 1): RAISED, (3, 1): UNCLEAR}, "B": {(5, 1): UNCLEAR}, "C": {}},
            "More members raised Dice in \u201cA\u201d (5 against 1: +0.050 [0.030, 0.070], p = .01); "
            "cannot tell in \u201cB\u201d (5 against 1: +0.010 [\u22120.010, 0.030], p = .40).",
        ),
        (
            {"A": {(5, 3): LOWERED, (5, 1): UNCLEAR, (3, 1): RAISED}},
            "Cannot tell whether more members help in \u201cA\u201d "
            "(5 against 1: +0.010 [\u22120.010, 0.030], p = .40; "
            "yet 5 against 3 lowered it: \u22120.020 [\u22120.030, \u22120.010], p = .02; "
            "yet 3 against 1 raised it: +0.050 [0.030, 0.070], p = .01).",
        ),
        (
            {"A": {(3, 1): LOWERED}},
            "More members lowered Dice in \u201cA\u201d "
            "(3 against 1: \u22120.020 [\u22120.030, \u22120.010], p = .02).",
        ),
        (
            {"A": {(3, 1): FEW}},
            "Too few patients to tell whether more members help: 4, and the test needs 6.",
        ),
        (
            {"A": {}},
            "No arms that differ only in the number of members were run, so nothing can be said about it.",
        ),
    ],
)
def test_sentence_on_more_members(by_family: dict, sentence: str) -> None:
    assert headline_over_members(by_family) == sentence


def test_sentence_on_other_members() -> None:
    assert describe_replacements([("5 B", "5 A", LOWERED), ("3 C", "1 A", UNCLEAR), ("1 C", "1 A", FEW)]) == (
        "At the same number or the same training cost: 5 B scored lower than 5 A "
        "(\u22120.020 [\u22120.030, \u22120.010], p = .02); 3 C cannot be told from 1 A "
        "(+0.010 [\u22120.010, 0.030], p = .40)."
    )
    assert describe_replacements([("1 C", "1 A", FEW)]) == ""
