from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from scripts.report.ensemble import Choice, Family, read_ensemble
from scripts.scores.results_files import ResultsError

PATH = Path("experiment.json")
ARMS = ["s1", "s5", "r1", "snap5"]
FAMILIES = [{"title": "S", "arms": {"5": "s5", "1": "s1"}}, {"title": "R", "arms": {"1": "r1"}}]
CHOICE = {"order": [3, 0], "coverage": [0.4, 0.5], "single": [0.2, 0.4], "k": 5, "images_per_member": 30, "system": "x"}
SHARE = {"value": None, "low": None, "high": None, "n": 0}
ENTRY = {"images": 1, "lesion_images": 0, "label_percent": {}, "components": None}
ENTRY |= {"rim_share": SHARE, "outside_head_share": SHARE}


def read(**values: Any) -> Any:
    return read_ensemble({"families": FAMILIES, **values}, ARMS, PATH)


def test_families_come_in_order_of_members_and_the_rest_may_lack() -> None:
    ensemble = read()
    assert ensemble.families == [Family("S", {1: "s1", 5: "s5"}), Family("R", {1: "r1"})]
    assert list(ensemble.families[0].arms) == [1, 5]
    assert (ensemble.hours, ensemble.published, ensemble.choice, ensemble.collapsed) == ({}, {}, None, [])


def test_everything_is_read() -> None:
    families = [*FAMILIES, {"title": "Snapshots", "arms": {"5": "snap5"}, "alternative_to": "S"}]
    published = {"mean": {"real": 0.729, "never run": 0.6}}
    annotations = {"labels": [], "parts": {"synthetic": ENTRY}, "members": [{"member": 0, **ENTRY}]}
    ensemble = read(
        families=families,
        device_hours={"real": 0, "s1": 0.5, "s5": None},
        published=published,
        choice=CHOICE,
        annotations=annotations,
        collapsed=["member_0"],
    )
    assert ensemble.families[2].alternative_to == "S"
    assert ensemble.hours == {"s1": 0.5}  # none, or not known
    assert ensemble.choice == Choice([3, 0], [0.4, 0.5], [0.2, 0.4], 5, 30)
    assert (ensemble.published, ensemble.annotations, ensemble.collapsed) == (published, annotations, ["member_0"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"families": []}, "has no families"),
        ({"families": ["S"]}, "family 'S'; expected a title"),
        ({"families": [{"title": "S", "arms": {"0": "s1"}}]}, "has '0' members"),
        ({"families": [{"title": "S", "arms": {"one": "s1"}}]}, "has 'one' members"),
        ({"families": [{"title": "S", "arms": {"1": "real"}}]}, "names the arm 'real'"),
        ({"families": [{"title": "S", "arms": {"1": ["s1"]}}]}, "names the arm"),
        ({"families": [{"title": "S", "arms": {"1": "s1", "5": "s1"}}]}, "each arm once"),
        ({"families": [{"title": "S", "arms": {"1": "s1"}, "alternative_to": "S"}]}, "alternative to 'S'"),
        ({"device_hours": {"s1": -1}}, "device_hours of 's1' is -1"),
        ({"device_hours": {"s1": "1 h"}}, "is '1 h'"),
        ({"device_hours": [1]}, r"device_hours is \[1\]"),
        ({"published": {"mean": {"s1": 72.9}}}, "holds 72.9"),
        ({"published": {"mean": 0.7}}, "holds 0.7"),
        ({"choice": {**CHOICE, "order": [3, 3]}}, "ensemble.choice is"),
        ({"choice": {**CHOICE, "coverage": [0.4]}}, "ensemble.choice is"),
        ({"choice": {**CHOICE, "single": [0.4, 40]}}, "ensemble.choice is"),
        ({"choice": {**CHOICE, "training_coverage": [0.4]}}, "ensemble.choice is"),
        ({"choice": {"order": [0]}}, "ensemble.choice is"),
        ({"annotations": {"labels": [], "parts": {"synthetic": []}, "members": []}}, r"has the entry \[\]"),
        ({"annotations": {"parts": {}}}, "ensemble.annotations is"),
        ({"annotations": {"labels": [], "parts": {"synthetic": {}}, "members": []}}, "has the entry {}"),
        (
            {"annotations": {"labels": [], "parts": {"synthetic": {**ENTRY, "rim_share": 1}}, "members": []}},
            "rim_share in .* is 1",
        ),
        ({"collapsed": "member_0"}, "collapsed is 'member_0'"),
    ],
)
def test_malformed_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ResultsError, match=rf"^experiment\.json: .*{message}"):
        read(**values)


def test_no_object_is_refused() -> None:
    with pytest.raises(ResultsError, match="has no families"):
        read_ensemble([], ARMS, PATH)
