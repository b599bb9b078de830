from __future__ import annotations

from pathlib import Path

import pytest

from scripts.scores.csv_tables import write_table


def test_cells_with_commas_and_no_rows(tmp_path: Path) -> None:
    file = tmp_path / "new" / "t.csv"
    write_table(file, ("a", "b"), [("x, y", 1)])
    assert file.read_text().splitlines() == ["a,b", '"x, y",1']
    write_table(file, ("a", "b"), [])
    assert file.read_text().splitlines() == ["a,b"]


def test_failure_leaves_the_old_table_and_no_other_file(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    write_table(file, ("a",), [(1,)])
    before = file.read_bytes()
    with pytest.raises(ZeroDivisionError):
        write_table(file, ("a",), ((1 // n,) for n in (1, 0)))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == {file: before}
