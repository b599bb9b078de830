from __future__ import annotations

from typing import Any

from scripts.report.annotation_table import annotation_tables


def entry(**values: Any) -> dict[str, Any]:
    share = {"value": 0.02, "low": 0.01, "high": 0.035, "n": 9}
    return {
        "images": 1200,
        "lesion_images": 0.5,
        "label_percent": {"core": 1.25, "edema": None},
        "components": 1.5,
        "rim_share": share,
        "outside_head_share": {"value": None, "low": None, "high": None, "n": 0},
        **values,
    }


def test_cells_by_hand() -> None:
    near = {"nearest_training": {"median": 0.0814, "least": 0.0321}}
    parts = {"synthetic": entry(**near), "training": entry(images=90)}
    tables = annotation_tables({"labels": ["core", "edema"], "parts": parts, "members": []})
    assert tables["columns"] == ["Real, training", "Synthetic"]
    assert {row["title"]: row["cells"] for row in tables["rows"]} == {
        "Images": ["90", "1,200"],
        "With lesion, %": ["50.0", "50.0"],
        "core, % of the image": ["1.25", "1.25"],
        "Separate lesions": ["1.50", "1.50"],
        "False rims, % of the lesion": ["2.00 [1.00, 3.50]"] * 2,
        "Nearest training image, median (least)": ["\u2013", "0.081 (0.032)"],
    }  # rows without any number are left out


def test_members_are_rows_under_the_same_measures() -> None:
    members = [{"member": 0, **entry()}, {"member": 3, **entry(components=2.0)}]
    tables = annotation_tables({"labels": ["core"], "parts": {"synthetic": entry()}, "members": members})
    place = tables["member_columns"].index("Separate lesions")
    assert [(row["title"], row["cells"][place]) for row in tables["member_rows"]] == [("0", "1.50"), ("3", "2.00")]
