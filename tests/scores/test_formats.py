from __future__ import annotations

import math

import pytest

from scripts.scores import formats

MINUS, DASH = "\u2212", "\u2013"


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, DASH), (math.nan, DASH), (-0.0001, "0.000"), (-0.5, f"{MINUS}0.500"), (1234.5, "1,234.500")],
)
def test_numbers_have_true_minus_signs_and_no_negative_zero(value: float | None, text: str) -> None:
    assert formats.format_number(value) == text


def test_signs_stand_before_what_does_not_round_to_zero() -> None:
    assert [formats.format_signed(value, 2) for value in (0.5, -0.5, 0.001)] == ["+0.50", f"{MINUS}0.50", "0.00"]


@pytest.mark.parametrize(
    ("p", "text"),
    [(math.nan, DASH), (0.0004, "< .001"), (0.0042, ".004"), (0.0496, ".050"), (0.3, ".30"), (0.999, "1")],
)
def test_p_values(p: float, text: str) -> None:
    assert formats.format_p(p) == text


def test_a_p_value_in_a_sentence() -> None:
    assert [formats.state_p(p) for p in (0.0004, 0.2, 1.0)] == ["p < .001", "p = .20", "p = 1"]


@pytest.mark.parametrize(("seconds", "text"), [(48, "48 s"), (725, "12 min 5 s"), (12000, "3 h 20 min")])
def test_durations(seconds: float, text: str) -> None:
    assert formats.format_seconds(seconds) == text


def test_an_interval_with_an_unknown_end_is_not_shown() -> None:
    assert formats.format_interval(-0.1, 0.25, 2) == f"[{MINUS}0.10, 0.25]"
    assert formats.format_interval(math.nan, 0.25) == ""


def test_words() -> None:
    assert (formats.count(1, "fold"), formats.count(1200, "slice")) == ("1 fold", "1,200 slices")
    assert formats.join_words(["a", "b", "c"]) == "a, b and c"
    assert (formats.format_share(0.025), formats.format_amount(math.inf)) == ("2.5%", "all")
    assert (formats.format_plain(0.001), formats.plain_title("held_out")) == ("0.001", "Held out")
