"""`--tracking mlflow`, as MONAI adds it to a config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.mark.slow
def test_mlflow_keeps_losses_and_scores(run_bundle: Callable[..., str], tmp_path: Path) -> None:
    """A segmenter, a GAN that it judges, and the segmenter's evaluation, one experiment each."""
    mlflow = pytest.importorskip("mlflow")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    client = mlflow.tracking.MlflowClient(tracking_uri=store)

    def track(config: str) -> tuple[Any, Callable[[str], int]]:
        """The metrics of a run, last values and how many there are of one."""
        options = {"runs_dir": tmp_path, "tracking": "mlflow", "tracking_uri": store, "experiment_name": config}
        run_bundle(config, options=options)
        (run,) = client.search_runs([client.get_experiment_by_name(config).experiment_id])
        return run.data.metrics, lambda name: len(client.get_metric_history(run.info.run_id, name))

    metrics, count = track("train")
    assert {"loss", "train_loss", "mean_dice"} <= set(metrics)
    assert (count("train_loss"), count("mean_dice")) == (8, 2)  # iterations, epochs
    metrics, count = track("redgan_train")
    assert {"loss", "train_loss", "generator_hinge", "discriminator_hinge"} <= set(metrics)
    assert (count("train_loss"), count("generator_hinge")) == (8, 2)
    metrics, _ = track("evaluate")
    assert 0 <= metrics["mean_dice"] <= 1
