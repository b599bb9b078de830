"""Two processes train one network: equal weights, one writer, and a resumed run that ends where a whole one does."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

Runner = Callable[..., str]
GAN = ["generator", "discriminator"]
NETWORKS = {
    "train": ["network"],
    "redgan_train": GAN,
    "lcgan_train": GAN,
    "feature_acgan_train": GAN,
    "feature_acgan_classifier_train": ["network"],
}


def weights(folder: Path, name: str, rank: int) -> dict[str, torch.Tensor]:
    """What a rank ended with, less the running statistics, which on a CPU each rank takes from its own batches."""
    loaded = torch.load(folder / f"{name}_{rank}.pt", weights_only=True)
    return {key: value for key, value in loaded.items() if "running" not in key}


def assert_equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> None:
    assert first.keys() == second.keys()
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


@pytest.fixture
def features(write_features: Callable[..., Path], tmp_path: Path) -> Path:
    return write_features(tmp_path / "features", {"training": "HHHLLL" * 3, "validation": "HHHLLL"})


@pytest.fixture
def train(run_bundle: Runner, features: Path, tmp_path: Path) -> Callable[..., str]:
    """Trains on two ranks, each of which leaves its weights in the run's folder."""

    def run(workflow: str, folder: Path, *, max_epochs: int) -> str:
        file = "@runs_dir + '/%s_%d.pt' % ('{0}', @rank)"
        saving = [f"$torch.save(@{n}.module.state_dict(), {file.format(n)})" for n in NETWORKS[workflow]]
        leaving = json.loads((Path(__file__).parents[2] / "configs" / "multi_gpu_train.json").read_text())["finalize"]
        overlay = tmp_path / "finalize.json"
        rank = {"_target_": "scripts.engines.ranks.current_rank"}
        overlay.write_text(json.dumps({"rank": rank, "finalize": [*saving, *leaving]}))
        options = {"runs_dir": folder, "max_epochs": max_epochs, "samples_per_epoch": 12}
        options |= {"features_dir": features} if workflow.startswith("feature_acgan") else {}
        return run_bundle(workflow, "multi_gpu_train", str(overlay), ranks=2, options=options)

    return run


@pytest.fixture
def segmenter(run_bundle: Runner, tmp_path: Path) -> Path:
    run_bundle("train", options={"runs_dir": tmp_path / "one", "max_epochs": 1})
    return tmp_path / "one" / "segmenter"


def check_run(folder: Path, workflow: str, *, launches: int) -> None:
    for name in NETWORKS[workflow]:
        assert_equal(weights(folder, name, 0), weights(folder, name, 1))
    events = [file.name.split(".")[-2] for file in folder.rglob("events.out.tfevents.*")]  # process ids
    assert len(set(events)) == launches, "another process than rank 0 wrote for TensorBoard"
    (curves,) = folder.rglob("curves.csv")
    with open(curves, newline="") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2"]


@pytest.mark.slow
@pytest.mark.parametrize("workflow", NETWORKS)
def test_two_ranks_train_one_network(workflow: str, train: Runner, segmenter: Path, tmp_path: Path) -> None:
    for folder in ("whole", "resumed"):
        (tmp_path / folder).mkdir()
        if workflow == "redgan_train":
            (tmp_path / folder / "segmenter").symlink_to(segmenter)
    train(workflow, tmp_path / "whole", max_epochs=2)
    train(workflow, tmp_path / "resumed", max_epochs=1)
    assert "after epoch 1 of 2" in train(workflow, tmp_path / "resumed", max_epochs=2)
    check_run(tmp_path / "whole", workflow, launches=1)
    check_run(tmp_path / "resumed", workflow, launches=2)
    for name in NETWORKS[workflow]:
        assert_equal(weights(tmp_path / "whole", name, 0), weights(tmp_path / "resumed", name, 0))
