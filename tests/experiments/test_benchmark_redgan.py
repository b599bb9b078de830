from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from scripts.experiments.benchmark_redgan import ROWS, build_step, make_classed_batch


def test_every_row_computes_the_plain_iteration() -> None:
    engine, batch = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu"))), make_classed_batch(64)
    losses = []
    for changes in list(ROWS.values())[:-1]:  # the last row differs by bf16's rounding
        step = build_step(changes, image_size=64, width=2, device=torch.device("cpu"))
        output = step(engine, batch)
        losses.append([output[key] for key in ("generator_hinge", "feature_matching")])  # D's follows G's update
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-4, abs=1e-6)
