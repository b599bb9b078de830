from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events
from monai.bundle import ConfigParser
from torch import nn

from scripts.handlers.epoch_seed import EpochSeed
from scripts.handlers.training_state import TrainingState, learning_options
from scripts.networks.checkpoints import CheckpointError, load_checkpoint, save_atomically
from scripts.networks.knowledge import Knowledge


class Run:
    """A tiny training with noise, Adam and a schedule; `stop` raises in the middle of that epoch."""

    def __init__(
        self, folder: Path, *, data: str = "data", patients: str = "ab", width: int = 3, interval: int = 1
    ) -> None:
        torch.manual_seed(1)
        self.network = nn.Linear(width, 2)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.1)
        self.scheduler = torch.optim.lr_scheduler.MultiStepLR(self.optimizer, [2, 4])
        self.steps = 0
        parts = {"network": self.network, "optimizer": self.optimizer, "scheduler": self.scheduler}
        datasets = [SimpleNamespace(fingerprint=data), None]
        self.state = TrainingState(folder / "checkpoint.pt", parts, datasets, Knowledge([*patients]), interval)

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


def test_another_network_or_other_data_are_refused(tmp_path):
    Run(tmp_path)(1)
    with pytest.raises(CheckpointError, match=r"'weight' is \(2, 3\) there and \(2, 5\) here\. Name weights"):
        Run(tmp_path, width=5)(2)
    with pytest.raises(CheckpointError, match="with 3 iterations per epoch, now there are 4: the data or the batch"):
        Run(tmp_path)(2, batches=4)


def test_a_checkpoint_without_a_part_is_refused(tmp_path):
    Run(tmp_path)(1)
    run = Run(tmp_path)
    run.state.save_dict["ema"] = nn.Linear(1, 1)
    with pytest.raises(CheckpointError, match="holds no state of 'ema'"):
        run(2)


@pytest.mark.parametrize("change", [lambda state: state["state"][0].update(exp_avg=torch.ones(2)), dict.clear])
def test_an_optimiser_of_other_shapes_is_refused(tmp_path, change):
    Run(tmp_path)(1)
    content = load_checkpoint(tmp_path / "checkpoint.pt")
    change(content["optimizer"])
    save_atomically(content, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match="the state of 'optimizer' is not that of its network"):
        Run(tmp_path)(2)


def test_other_ranks_save_nothing(tmp_path):
    run, engine = Run(tmp_path), Engine(lambda engine, batch: None)
    engine.state.rank = 1
    run.state.attach(engine)
    engine.run([0], max_epochs=1)
    assert not (tmp_path / "checkpoint.pt").exists()


CONFIG = {
    "learning_rate": 0.1,
    "loss": {"_target_": "DiceLoss", "squared_pred": True},
    "max_epochs": 1,
    "output_dir": "there",
    "model_file": "there/model.pt",
    "train": {"handlers": [{"interval": 1}]},
}


def run_config(folder: Path, epochs: int = 1, **options: Any) -> None:
    """Epochs of nothing, kept by the component of a config with these options."""
    state = {"_target_": "scripts.handlers.training_state.TrainingState", "save_dict": {}, "data": []}
    state["knowledge"] = {"_target_": "scripts.networks.knowledge.describe_weights", "trained_on": ["a"]}
    config = {**CONFIG, "state": {**state, "file": str(folder / "checkpoint.pt")}, "max_epochs": epochs, **options}
    engine = Engine(lambda engine, batch: None)
    ConfigParser(config).get_parsed_content("state").attach(engine)
    engine.run([0], max_epochs=epochs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"learning_rate": 0.2},
            r"with learning_rate 0\.1, now it is 0\.2\. Train into another --output_dir",
        ),
        ({"loss": {"_target_": "DiceLoss", "squared_pred": False}}, "loss::squared_pred True, now it is False"),
        ({"loss": {"_target_": "DiceLoss"}}, "loss::squared_pred True, now it is absent"),
        ({"minimum_lesion_pixels": 5}, "minimum_lesion_pixels absent, now it is 5"),
    ],
)
def test_changed_options_are_named_with_both_values(tmp_path, options, message):
    run_config(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        run_config(tmp_path, 2, **options)


def test_three_of_many_changed_options_are_named(tmp_path):
    run_config(tmp_path)
    others = dict.fromkeys("abcde", 1)
    with pytest.raises(CheckpointError, match=r"with a absent, now it is 1; b .*; c absent, now it is 1 and 2 more"):
        run_config(tmp_path, **others)


def test_a_run_may_go_on_longer_and_elsewhere_with_other_pictures(tmp_path):
    run_config(tmp_path)
    changed = {"output_dir": "here", "model_file": "here/model.pt", "train": {"handlers": [{"interval": 2}]}}
    run_config(tmp_path, 3, worker_count=4, **changed)
    assert load_checkpoint(tmp_path / "checkpoint.pt")["progress"]["epoch"] == 3


def test_what_may_change_can_be_fixed(tmp_path):
    assert "max_epochs" not in learning_options(ConfigParser(CONFIG))
    assert learning_options(ConfigParser(CONFIG), ["max_epochs"])["max_epochs"] == 1


def test_of_a_file_that_is_read_its_content_counts(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("first")
    seen = learning_options(ConfigParser({"plan_file": str(file)}))
    assert seen == learning_options(ConfigParser({"plan_file": str(file.rename(tmp_path / "b.json"))}))
    (tmp_path / "b.json").write_text("second")
    assert seen != learning_options(ConfigParser({"plan_file": str(tmp_path / "b.json")}))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"data": "other"}, "other training data: other slices, pixels, classes, splits or preprocessing. Train into"),
        ({"patients": "a"}, "other training data: trained_on had 'b'. Train into"),
        ({"patients": "abc"}, "other training data: trained_on now has 'c'. Train into"),
    ],
)
def test_other_data_or_patients_are_refused(tmp_path, other, message):
    Run(tmp_path)(1)
    with pytest.raises(CheckpointError, match=message):
        Run(tmp_path, **other)(2)


def test_another_number_of_processes_is_refused(tmp_path, monkeypatch):
    Run(tmp_path)(1)
    monkeypatch.setattr("scripts.handlers.training_state._process_count", lambda: 2)
    with pytest.raises(CheckpointError, match="was written by 1 processes, now there are 2: start as many, since each"):
        Run(tmp_path)(2)


def test_a_checkpoint_of_an_earlier_version_is_refused(tmp_path):
    torch.save({"settings": {}, "progress": {"epoch": 1, "epoch_length": 3}}, tmp_path / "checkpoint.pt")
    with pytest.raises(CheckpointError, match=r"checkpoint\.pt is no checkpoint of this version\. Train into another"):
        Run(tmp_path)(2)
