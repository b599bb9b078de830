from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from scripts.data.atomic import WriteError
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights, save_atomically


def full_disk(*_) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["torch.save", "os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_file_whole_and_nothing_else(tmp_path, monkeypatch, function):
    file = tmp_path / "checkpoint.pt"
    save_atomically({"epoch": torch.tensor(1)}, file)
    monkeypatch.setattr(function, full_disk)
    with pytest.raises(WriteError, match=r"Cannot write .*checkpoint\.pt: the disk is full, .*[KM]iB free"):
        save_atomically({"epoch": torch.tensor(2)}, file)
    monkeypatch.undo()
    assert load_checkpoint(file) == {"epoch": 1}
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(WriteError, match=r"Cannot write .*run/checkpoint\.pt: .*a file lies where a folder must be"):
        save_atomically({}, tmp_path / "run" / "checkpoint.pt")


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"No checkpoint .*absent\.pt\. Train that network first"):
        load_checkpoint(tmp_path / "absent.pt")


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99])
def test_a_truncated_checkpoint_is_one_clear_error(tmp_path, share):
    file = tmp_path / "model.pt"
    save_atomically(nn.Linear(20, 20).state_dict(), file)
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    with pytest.raises(
        CheckpointError, match=r"model\.pt is no readable checkpoint \(.+\)\. Train it again, or"
    ) as caught:
        load_checkpoint(file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"no checkpoint", b"\x80\x04N.", b"PK\x03\x04", bytes(300)])
def test_another_kind_of_file_is_one_clear_error(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pt is no readable checkpoint"):
        load_checkpoint(tmp_path / "model.pt")


def test_code_in_a_checkpoint_is_not_run(tmp_path):
    torch.save({"weight": Path("x")}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="no readable checkpoint"):
        load_checkpoint(tmp_path / "model.pt")


def test_weights_of_another_configuration_name_the_first_that_differs():
    weights = nn.Linear(2, 3).state_dict()
    with pytest.raises(CheckpointError, match=r"'bias' is \(3,\) there and \(4,\) here"):
        load_weights(nn.Linear(2, 4), weights, "model.pt")
    with pytest.raises(CheckpointError, match=r"'bias' is \(3,\) there and absent here"):
        load_weights(nn.Linear(2, 3, bias=False), weights, "model.pt")


def test_a_whole_checkpoint_in_place_of_weights_is_refused():
    weights = {"network": nn.Linear(2, 3).state_dict(), "weight": [1.0], "bias": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=r"'network' is a .*Dict there and absent here"):
        load_weights(nn.Linear(2, 3), weights, "checkpoint.pt")


def test_contents_that_are_no_dictionary_are_refused():
    with pytest.raises(CheckpointError, match="holds a list, expected weights by name"):
        load_weights(nn.Linear(2, 3), [1, 2], "model.pt")
