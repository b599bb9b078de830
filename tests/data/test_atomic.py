from __future__ import annotations

from pathlib import Path

import pytest

from scripts.data.atomic import remove_left_behind, replacing


def test_a_file_appears_whole_in_a_new_folder(tmp_path: Path) -> None:
    file = tmp_path / "new" / "label.nii.gz"
    with replacing(file) as temporary:
        temporary.write_text("whole")
        assert not file.exists()
        assert temporary.name.endswith("label.nii.gz")  # by which libraries choose the format
    assert {path.name: path.read_text() for path in file.parent.iterdir()} == {"label.nii.gz": "whole"}


def test_after_an_error_the_old_file_is_there_alone(tmp_path: Path) -> None:
    file = tmp_path / "table.csv"
    file.write_text("old")

    def write_half() -> None:
        with replacing(file) as temporary:
            temporary.write_text("ha")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"table.csv": "old"}


def test_what_killed_runs_left_behind_of_a_file_is_removed(tmp_path: Path) -> None:
    for name in (".tmp-12-state.pt", ".tmp-34-state.pt", ".tmp-12-model.pt", "state.pt"):
        (tmp_path / name).touch()
    remove_left_behind(tmp_path / "state.pt")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".tmp-12-model.pt", "state.pt"]
