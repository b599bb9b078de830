from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from scripts.inferers.chosen_members import choose_files
from scripts.networks.checkpoints import CheckpointError


@pytest.fixture
def members(tmp_path: Path) -> list[Path]:
    files = [tmp_path / f"member_{n}.pt" for n in range(3)]
    for file in files:
        file.write_bytes(file.name.encode())
    order = [hashlib.sha256(files[n].read_bytes()).hexdigest() for n in (2, 0, 1)]
    (tmp_path / "choice.json").write_text(json.dumps({"sha256": order}))
    return files


def test_all_files_without_a_choice(members):
    assert choose_files(members) == [str(file) for file in members]


@pytest.mark.parametrize(("count", "chosen"), [(1, [2]), (2, [2, 0]), (None, [2, 0, 1])])
def test_the_first_of_the_order(members, tmp_path, count, chosen):
    assert choose_files(members, tmp_path / "choice.json", count) == [str(members[n]) for n in chosen]


@pytest.mark.parametrize("count", [0, 4])
def test_a_count_out_of_range_is_refused(members, tmp_path, count):
    with pytest.raises(CheckpointError, match=f"chosen_count is {count}, expected 1 to 3"):
        choose_files(members, tmp_path / "choice.json", count)


def test_a_member_of_another_ensemble_is_refused(members, tmp_path):
    with pytest.raises(CheckpointError, match="none of the 2 generator_files has"):
        choose_files(members[:2], tmp_path / "choice.json", 2)


def test_what_cannot_be_chosen_by(members, tmp_path):
    with pytest.raises(CheckpointError, match="no choice_file to choose by"):
        choose_files(members, None, 2)
    with pytest.raises(CheckpointError, match="Cannot choose by"):
        choose_files(members, tmp_path / "absent.json", 2)
    with pytest.raises(CheckpointError, match="Cannot choose by"):
        choose_files([*members, tmp_path / "absent.pt"], tmp_path / "choice.json", 2)
