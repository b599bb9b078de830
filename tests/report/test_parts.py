from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from scripts.report import parts
from scripts.report.comparisons import Comparison, Estimate
from scripts.report.results import Arm

REAL, GAN = Arm("real", "Real only", "baseline", {}), Arm("gan", "GAN", "gan", {})
FOUND = Comparison(GAN, REAL, None, Estimate(0.1, 0.05, 0.2, 9), 0.01, 0.03)


def test_axis_holds_zero_and_every_interval() -> None:
    alone = replace(FOUND, difference=Estimate(-0.3, float("nan"), float("nan"), 1))
    assert parts.comparison_axis([FOUND, alone]) == (-0.3, 0.2)
    assert parts.comparison_axis([FOUND]) == (0, 0.2)
    assert parts.comparison_axis([]) == (-1, 1)


def test_row_of_a_comparison() -> None:
    row = parts.comparison_row("warm1", FOUND, "2.5%", (0.0, 0.2))
    assert (row["other"], row["difference"], row["p"], row["p_adjusted"], row["finding"]) == (
        "2.5%",
        "+0.100 [0.050, 0.200]",
        ".01",
        ".03",
        "raised",
    )
    assert 'fill="var(--warm1)"' in row["drawing"]


@pytest.mark.parametrize(
    ("folds", "seeds", "short", "full"),
    [
        ([None], [0], "the data set's own split, 1 seed", "the data set's own split; seeds 0"),
        ([None], [0, 1], "the data set's own split, 2 seeds", "the data set's own split; seeds 0, 1"),
        ([0, 1], [3], "2 folds \u00d7 1 seed", "folds 0, 1; seeds 3"),
        ([4], [0, 1], "1 fold \u00d7 2 seeds", "folds 4; seeds 0, 1"),
    ],
)
def test_splits_as_text(folds: list, seeds: list[int], short: str, full: str) -> None:
    assert parts.describe_splits({"folds": folds, "seeds": seeds}) == {"short": short, "full": full}


@pytest.mark.parametrize(
    ("seconds", "text"), [(41.0, "41 s"), (59.7, "1 min 0 s"), (725, "12 min 5 s"), (12_000, "3 h 20 min")]
)
def test_format_seconds(seconds: float, text: str) -> None:
    assert parts.format_seconds(seconds) == text


def test_pictures_stand_in_the_order_of_their_captions(tmp_path: Path) -> None:
    for name in ("held_out", "maps", "tsne"):
        Image.new("L", (2, 2)).save(tmp_path / f"{name}.png")
    entries = parts.picture_entries(tmp_path.glob("*.png"), {"tsne": "By t-SNE.", "maps": "Maps."})
    assert [entry["caption"] for entry in entries] == ["By t-SNE.", "Maps.", "Held out"]
    assert all(entry["source"].startswith("data:image/png;base64,") for entry in entries)
