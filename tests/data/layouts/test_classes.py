"""Leaving out images without class."""

from __future__ import annotations

import logging

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.files import leave_out_unclassed

ITEMS = [
    {"patient": "b", "label": "b.nii", "class": None},
    {"patient": "a", "label": "a.nii", "class": "HGG"},
    {"patient": "c", "label": None, "class": None},
]


def test_labelled_patients_without_class_are_left_out_and_named(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert leave_out_unclassed(ITEMS, "grade", "Add it.") == ITEMS[1:]
    assert caplog.messages == ["Left out for want of a grade: b."]


def test_nothing_is_said_where_all_have_one(caplog: pytest.LogCaptureFixture) -> None:
    assert leave_out_unclassed(ITEMS[1:2], "grade", "Add it.") == ITEMS[1:2]
    assert not caplog.messages


def test_no_class_at_all_is_refused() -> None:
    with pytest.raises(DatasetError, match=r"No image has a grade, expected one for each patient\. Add it\."):
        leave_out_unclassed(ITEMS[:1], "grade", "Add it.")
