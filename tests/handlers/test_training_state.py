from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.handlers.epoch_seed import EpochSeed
from scripts.handlers.training_state import TrainingState, load_network, load_networks
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, load_weights, save_atomically


class Run:
    """A tiny training with noise, Adam and a schedule; `stop` raises in the middle of that epoch."""

    def __init__(self, folder: Path, *, settings: dict | None = None, width: int = 3, interval: int = 1) -> None:
        torch.manual_seed(1)
        self.network = nn.Linear(width, 2)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [2, 4])
        self.steps = 0
        parts = {"network": self.network, "optimizer": self.optimizer, "scheduler": self.scheduler}
        self.state = TrainingState(folder / "checkpoint.pt", parts, settings, interval)

    def __call__(self, epochs: int, *, stop: int | None = None, batches: int = 3) -> nn.Module:
        def step(engine: Engine, batch: float) -> None:
            if engine.state.epoch == stop and batch == 1:
                raise KeyboardInterrupt
            self.steps += 1
            self.optimizer.zero_grad()
            (batch + self.network(torch.randn(4, self.network.in_features))).square().mean().backward()
            self.optimizer.step()

        engine = Engine(step)
        EpochSeed(7).attach(engine)
        engine.add_event_handler(Events.EPOCH_COMPLETED, lambda: self.scheduler.step())
        self.state.attach(engine)
        engine.run(list(range(batches)), max_epochs=epochs)
        return self.network


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))


@pytest.mark.parametrize(("interval", "steps"), [(1, 9), (2, 12)])
def test_a_stopped_run_goes_on_to_the_same_weights(tmp_path, interval, steps):
    whole = Run(tmp_path / "whole")(6)
    with pytest.raises(KeyboardInterrupt):
        Run(tmp_path / "stopped", interval=interval)(6, stop=4)
    resumed = Run(tmp_path / "stopped", interval=interval)
    assert same(resumed(6), whole)
    assert resumed.steps == steps  # from the start of the first epoch that is not saved


def test_of_a_finished_run_nothing_is_trained_again(tmp_path):
    finished = Run(tmp_path)(3)
    again = Run(tmp_path)
    assert same(again(3), finished)
    assert again.steps == 0
    longer = Run(tmp_path)
    assert same(longer(5), Run(tmp_path / "other")(5))
    assert longer.steps == 6


@pytest.mark.parametrize(("interval", "saved"), [(1, [1, 2, 3, 4, 5]), (3, [3, 5])])
def test_the_interval_and_the_last_epoch(tmp_path, monkeypatch, interval, saved):
    found = []
    plain = save_atomically
    monkeypatch.setattr(
        "scripts.handlers.training_state.save_atomically",
        lambda content, file: (found.append(content["progress"]["epoch"]), plain(content, file)),
    )
    Run(tmp_path, interval=interval)(5)
    assert found == saved


def test_other_settings_are_refused_with_both_values(tmp_path):
    Run(tmp_path, settings={"seed": 1, "fold": None})(1)
    with pytest.raises(CheckpointError, match=r"written with seed = 1, now it is 2\. Train into another --output_dir"):
        Run(tmp_path, settings={"seed": 2, "fold": None})(2)


def test_another_network_or_other_data_are_refused(tmp_path):
    Run(tmp_path)(1)
    with pytest.raises(CheckpointError, match=r"'weight' is \(2, 3\) there and \(2, 5\) here\. Pass the options"):
        Run(tmp_path, width=5)(2)
    with pytest.raises(CheckpointError, match="with 3 iterations per epoch, now there are 4: the data or the batch"):
        Run(tmp_path)(2, batches=4)


def test_a_checkpoint_without_a_part_is_refused(tmp_path):
    Run(tmp_path)(1)
    run = Run(tmp_path)
    run.state.save_dict["ema"] = nn.Linear(1, 1)
    with pytest.raises(CheckpointError, match="holds no state of 'ema'"):
        run(2)


def test_what_a_killed_save_left_behind_is_removed(tmp_path):
    (tmp_path / ".checkpoint.pt.123.tmp").write_bytes(b"half")
    (tmp_path / ".model.pt.123.tmp").write_bytes(b"of another handler")
    Run(tmp_path)(1)
    assert sorted(os.listdir(tmp_path)) == [".model.pt.123.tmp", "checkpoint.pt"]


def test_other_ranks_save_nothing(tmp_path):
    run, engine = Run(tmp_path), Engine(lambda engine, batch: None)
    engine.state.rank = 1
    run.state.attach(engine)
    engine.run([0], max_epochs=1)
    assert not (tmp_path / "checkpoint.pt").exists()


def full_disk(*_) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.mark.parametrize("function", ["torch.save", "os.fsync", "os.replace"])
def test_a_full_disk_leaves_the_old_file_whole_and_nothing_else(tmp_path, monkeypatch, function):
    file = tmp_path / "checkpoint.pt"
    save_atomically({"epoch": torch.tensor(1)}, file)
    monkeypatch.setattr(function, full_disk)
    with pytest.raises(CheckpointError, match=r"Cannot write .*checkpoint\.pt: the disk is full\. Free space, or name"):
        save_atomically({"epoch": torch.tensor(2)}, file)
    monkeypatch.undo()
    assert load_checkpoint(file) == {"epoch": 1}
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(CheckpointError, match=r"Cannot write .*run/checkpoint\.pt: .*name another folder"):
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


def test_weights_of_another_configuration_name_the_first_that_differs(tmp_path):
    save_atomically(nn.Linear(2, 3).state_dict(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"'bias' is \(3,\) there and \(4,\) here"):
        load_network(nn.Linear(2, 4), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"'bias' is \(3,\) there and absent here"):
        load_network(nn.Linear(2, 3, bias=False), tmp_path / "model.pt")
    assert same(
        load_network(nn.Linear(2, 3), tmp_path / "model.pt"), load_network(nn.Linear(2, 3), tmp_path / "model.pt")
    )


def test_a_whole_checkpoint_in_place_of_weights_is_refused():
    weights = {"network": nn.Linear(2, 3).state_dict(), "weight": [1.0], "bias": torch.zeros(3)}
    with pytest.raises(CheckpointError, match=r"'network' is a .*Dict there and absent here"):
        load_weights(nn.Linear(2, 3), weights, "checkpoint.pt")


def test_contents_that_are_no_dictionary_are_refused(tmp_path):
    save_atomically([1, 2], tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match="holds a list, expected weights by name"):
        load_network(nn.Linear(2, 3), tmp_path / "model.pt")


def test_one_network_per_file(tmp_path: Path) -> None:
    for n in (1, 2):
        save_atomically({"weight": torch.full((1, 1), float(n))}, tmp_path / f"{n}.pt")
    loaded = load_networks(nn.Linear(1, 1, bias=False), [tmp_path / "1.pt", tmp_path / "2.pt"])
    assert [network.weight.item() for network in loaded] == [1, 2]
