from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Engine, Events
from torch import nn

from scripts.handlers.export import ExportCandidates, ExportWeights, KeepBest, last_epoch
from scripts.networks.checkpoints import CheckpointError, load_checkpoint
from scripts.networks.knowledge import Knowledge
from scripts.networks.recipe import Recipe

KNOWN = Knowledge(["p2"], ["p3"], settings={"image_size_pixels": 32})


def network(value: float = 0.0) -> nn.Module:
    one = nn.Linear(1, 1, bias=False)
    nn.init.constant_(one.weight, value)
    one.recipe = Recipe("scripts.networks.one.Line", {"width": 1})
    return one


def stored(file: Path) -> float:
    return load_checkpoint(file)["weight"].item()


def said_beside(file: Path) -> dict[str, object]:
    return json.loads(file.with_suffix(".json").read_text())


def show(keeper: KeepBest, values: list[float]) -> list[float]:
    """What the file holds after each value; the weight is the number of the value."""
    held = []
    for n, value in enumerate(values):
        nn.init.constant_(keeper.network.weight, n)
        keeper(SimpleNamespace(state=SimpleNamespace(metrics={"dice": value})))
        held.append(stored(keeper.file))
    return held


@pytest.mark.parametrize(
    ("values", "held"),
    [
        ([0.1, 0.3, 0.2, 0.3, 0.4], [0, 1, 1, 1, 4]),
        ([math.nan, math.nan, 0.0, math.nan], [0, 0, 2, 2]),
        ([0.5, math.nan, 0.4, 0.6], [0, 0, 0, 3]),
    ],
)
def test_the_best_is_kept_and_nan_is_never_better(tmp_path, values, held):
    assert show(KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN), values) == held


@pytest.mark.parametrize("value", [0.0, math.nan])
def test_the_file_of_an_earlier_run_is_replaced_by_the_first_value(tmp_path, value):
    show(KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN), [0.1, 0.9])
    assert show(KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN), [value]) == [0]


def test_a_resumed_run_knows_its_best(tmp_path):
    first = KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN)
    show(first, [0.1, 0.5])
    second = KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN)
    second.load_state_dict(first.state_dict())
    assert show(second, [0.4, 0.45, 0.6]) == [1, 1, 2]


def test_the_best_is_written_at_the_end_of_a_validation(tmp_path):
    validator = Engine(lambda engine, batch: None)
    validator.state.metrics["dice"] = 0.5
    KeepBest(network(7), tmp_path / "model.pt", "dice", KNOWN).attach(validator)
    validator.run([0, 1])
    assert stored(tmp_path / "model.pt") == 7


@pytest.mark.parametrize(("interval", "held"), [(1, [1, 2, 3, 4, 5]), (2, [None, 2, 2, 4, 5]), (9, [None] * 4 + [5])])
def test_weights_are_exported_by_interval_and_at_the_end(tmp_path, interval, held):
    exported, file, found = network(), tmp_path / "generator.pt", []
    trainer = Engine(lambda engine, batch: nn.init.constant_(exported.weight, engine.state.epoch))
    ExportWeights(exported, file, KNOWN, interval).attach(trainer)
    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: found.append(stored(file) if file.exists() else None))
    trainer.run([0], max_epochs=5)
    assert found == held


def test_other_ranks_write_nothing(tmp_path):
    state = SimpleNamespace(metrics={"dice": 0.5}, rank=1, epoch=1, max_epochs=1)
    KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN)(SimpleNamespace(state=state))
    ExportWeights(network(), tmp_path / "generator.pt", KNOWN)(SimpleNamespace(state=state))
    assert list(tmp_path.iterdir()) == []


def test_the_file_holds_tensors_alone(tmp_path):
    show(KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN), [0.1])
    assert isinstance(torch.load(tmp_path / "model.pt", weights_only=True)["weight"], torch.Tensor)


def test_a_resumed_run_restores_a_file_that_is_gone(tmp_path):
    first = KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN)
    show(first, [0.1, 0.5, 0.2])
    state = first.state_dict()
    (tmp_path / "model.pt").unlink()
    KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN).load_state_dict(state)
    assert stored(tmp_path / "model.pt") == 1


def test_a_finished_run_exports_again_if_its_file_is_gone(tmp_path):
    trainer = Engine(lambda engine, batch: None)
    ExportWeights(network(3), tmp_path / "generator.pt", KNOWN).attach(trainer)
    trainer.add_event_handler(Events.STARTED, lambda engine: setattr(engine.state, "epoch", 2))
    trainer.run([0], max_epochs=2)
    assert stored(tmp_path / "generator.pt") == 3


def test_candidates_are_written_at_their_epochs(tmp_path):
    one = network()
    handler = ExportCandidates(one, tmp_path / "generators", [2, 5, 10], KNOWN)
    for epoch in range(1, 7):
        nn.init.constant_(one.weight, epoch)
        handler(SimpleNamespace(state=SimpleNamespace(epoch=epoch)))
    handler(SimpleNamespace(state=SimpleNamespace(epoch=10, rank=1)))
    files = sorted((tmp_path / "generators").glob("*.pt"))
    assert {file.name: stored(file) for file in files} == {"epoch_0002.pt": 2, "epoch_0005.pt": 5}
    assert said_beside(files[0])["trained_on"] == ["p2"]


@pytest.mark.parametrize("epochs", [1, [], [0], ["1"], [1.5]])
def test_candidate_epochs_must_be_a_list_of_epochs(tmp_path, epochs):
    with pytest.raises(ValueError, match=r"candidate_epochs is .+, expected a list of epochs from 1"):
        ExportCandidates(network(), tmp_path, epochs, KNOWN)


def test_the_last_candidate_ends_the_training():
    assert last_epoch([10, 200, 50]) == 200


def test_a_training_without_any_candidate_does_not_start(tmp_path):
    engine = Engine(lambda engine, batch: None)
    ExportCandidates(network(), tmp_path, [10, 50], KNOWN).attach(engine)
    with pytest.raises(ValueError, match="max_epochs is 3, but the first generator to be kept is that of epoch 10"):
        engine.run([0], max_epochs=3)


def test_what_is_known_of_a_network_lies_beside_it(tmp_path):
    engine = SimpleNamespace(state=SimpleNamespace(epoch=1, max_epochs=1, metrics={"dice": 0.5}))
    ExportWeights(network(), tmp_path / "generator.pt", KNOWN)(engine)
    KeepBest(network(), tmp_path / "model.pt", "dice", KNOWN)(engine)
    for name in ("generator", "model"):
        said = said_beside(tmp_path / f"{name}.pt")
        assert (said["trained_on"], said["validated_on"]) == (["p2"], ["p3"])
        assert said["network"] == {"name": "scripts.networks.one.Line", "arguments": {"width": 1}}
        assert said["settings"] == {"image_size_pixels": 32}


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_that_are_not_finite_leave_the_last_ones(tmp_path, value):
    engine = SimpleNamespace(state=SimpleNamespace(epoch=1, max_epochs=1))
    exported = network(1)
    handler = ExportWeights(exported, tmp_path / "generator.pt", KNOWN)
    handler(engine)
    nn.init.constant_(exported.weight, value)
    with pytest.raises(CheckpointError, match=r"generator\.pt: 'weight' holds NaN or infinity"):
        handler(engine)
    assert stored(tmp_path / "generator.pt") == 1
