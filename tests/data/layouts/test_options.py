"""Options as Fire hands them over: text, tuples, lists, dictionaries."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.options import parse_label_values, parse_names, parse_pairs, parse_range


@pytest.mark.parametrize("value", ["background, oedema core", ("background", "oedema core")])
def test_names_are_read_from_text_and_tuples(value: Any) -> None:
    assert parse_names(value, "labels") == ["background", "oedema core"]


def test_a_single_name_is_a_list_of_one() -> None:
    assert parse_names("T1", "modality") == ["T1"]


@pytest.mark.parametrize("value", ["255:1,128:2", " {255: 1, 128: 2}", {255: 1, 128: 2}, {"255": 1, "128": "2"}])
def test_label_values_are_read_in_every_notation(value: Any) -> None:
    assert parse_label_values(value) == {255: 1, 128: 2}


@pytest.mark.parametrize("value", ["#ff0000:1,#0000FF:2", {"#ff0000": 1, "#0000ff": "2"}, "16711680:1,255:2"])
def test_values_may_be_colours(value: Any) -> None:
    assert parse_label_values(value) == {0xFF0000: 1, 255: 2}


@pytest.mark.parametrize("value", ["0,255", (0, 255), [0, 255.0]])
def test_a_range_is_two_numbers(value: Any) -> None:
    assert parse_range(value) == [0.0, 255.0]


@pytest.mark.parametrize("value", ["255", "white:1", "#ff00:1", "255:1,128", "1:2:3", 255, ""])
def test_wrong_label_values_are_refused(value: Any) -> None:
    with pytest.raises(DatasetError, match="label_values is"):
        parse_label_values(value)


@pytest.mark.parametrize("value", ["5,5", "1", 5, "a,b", (1, 2, 3)])
def test_wrong_ranges_are_refused(value: Any) -> None:
    with pytest.raises(DatasetError, match="intensity_range is"):
        parse_range(value)


@pytest.mark.parametrize("value", ["a,,b", "a,a"])
def test_empty_and_repeated_names_are_refused(value: str) -> None:
    with pytest.raises(DatasetError, match="--labels is"):
        parse_names(value, "labels")


@pytest.mark.parametrize("value", ["FLAIR:*flair*, T1:*t1*", {"FLAIR": "*flair*", "T1": "*t1*"}])
def test_pairs_keep_their_order(value: Any) -> None:
    assert list(parse_pairs(value, "images").items()) == [("FLAIR", "*flair*"), ("T1", "*t1*")]


@pytest.mark.parametrize("value", ["FLAIR", "FLAIR:", "a:b,a:c", "a:b:c", "a:b,", 5])
def test_wrong_pairs_are_refused(value: Any) -> None:
    with pytest.raises(DatasetError, match="--images is"):
        parse_pairs(value, "images")
