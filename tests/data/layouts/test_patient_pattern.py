"""Where `--patient_pattern` is searched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.data.contract import DatasetError, Item
from scripts.data.layouts.options import name_by_pattern


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
