"""Options as Fire hands them over: text, tuples, lists, dictionaries."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.data.contract import DatasetError, Item
from scripts.data.layouts.options import name_by_pattern, parse_label_values, parse_names, parse_pairs, parse_range


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


def find(pattern: str, *images: str, **keys: Any) -> list[str]:
    items: list[Item] = [{"image": f"/data/{image}", **keys} for image in images]
    name_by_pattern(items, Path("/data"), pattern)
    return [item["patient"] for item in items]


def test_the_name_comes_before_the_path() -> None:
    assert find("^([^_]+)_", "x_y/p1_a.png", "x_y/p2_a.nii.gz") == ["p1", "p2"]


def test_a_pattern_with_a_slash_is_searched_in_the_path() -> None:
    assert find("^([^/]+)/", "p1/a.png", "p2/b.png") == ["p1", "p2"]


def test_what_no_name_holds_is_searched_in_the_path() -> None:
    assert find(r"(pat\d+)", "pat1/a.png", "pat2/a.png") == ["pat1", "pat2"]


def test_a_patient_or_case_that_the_source_names_comes_first() -> None:
    assert find("^([^-]+)-", "q-0.png", patient="P7-2019") == ["P7"]
    assert find(r"^(c\d)-", "q-0.png", case="c3-001") == ["c3"]


@pytest.mark.parametrize(
    ("pattern", "message"), [("^(x)", "finds no patient in"), ("p", "has 0 groups"), ("(", "is no regular expression")]
)
def test_a_wrong_pattern_is_explained(pattern: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        find(pattern, "p07_slice3.png")
