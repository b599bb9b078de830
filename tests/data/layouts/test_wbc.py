"""White blood cells."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from scripts.data.contract import DatasetError
from scripts.data.layouts.wbc import read_wbc


def make_cells(root: Path, classes: str) -> Path:
    (root / "cells").mkdir()
    for name in ("001.bmp", "001.png", "002.bmp", "002.png"):
        (root / "cells" / name).touch()
    (root / "classes.csv").write_text(f"image ID,class label\n{classes}")
    return root


def test_cells_are_matched_with_masks_and_classes(tmp_path: Path) -> None:
    first, second = read_wbc(make_cells(tmp_path, "1,5\n2,1\n")).splits["training"]
    assert (first["class"], second["class"]) == ("basophil", "neutrophil")
    assert first["label"] == str(tmp_path / "cells" / "001.png")
    assert first["patient"] != second["patient"]


@pytest.mark.parametrize(
    ("classes", "message"), [("1,6\n2,1\n", "row 2: class '6'"), ("1,1\n", "no row for image 002")]
)
def test_wrong_classes_are_named(tmp_path: Path, classes: str, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        read_wbc(make_cells(tmp_path, classes))


def test_a_cell_without_mask_is_named(tmp_path: Path) -> None:
    (make_cells(tmp_path, "1,5\n2,1\n") / "cells" / "002.png").unlink()
    with pytest.raises(DatasetError, match=r"no mask 002\.png"):
        read_wbc(tmp_path)


@pytest.mark.realdata
def test_the_shared_cells(real_data: Path) -> None:
    dataset = read_wbc(real_data / "wbc")
    counts = Counter(item["class"] for item in dataset.items)
    assert [counts[name] for name in dataset.classes] == [176, 53, 48, 22, 1]
