"""`--tracking mlflow`, as MONAI adds it to a config."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.slow
def test_mlflow_keeps_losses_and_scores(run_bundle: Callable[..., str], tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow")
    store = f"sqlite:///{tmp_path}/mlflow.db"
    options = {"runs_dir": tmp_path, "tracking": "mlflow", "tracking_uri": store, "experiment_name": "smoke"}
    run_bundle("train", options=options)
    client = mlflow.tracking.MlflowClient(tracking_uri=store)
    experiment = client.get_experiment_by_name("smoke")
    (run,) = client.search_runs([experiment.experiment_id])
    assert {"loss", "mean_dice"} <= set(run.data.metrics)
    assert len(client.get_metric_history(run.info.run_id, "mean_dice")) == 2  # epochs
