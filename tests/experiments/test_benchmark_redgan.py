from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from scripts.experiments.benchmark_redgan import build_step, format_table, list_variants, make_batch


def test_every_row_computes_the_plain_iteration() -> None:
    engine, batch = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu"))), make_batch(64)
    losses = []
    for variant in list_variants()[:-1]:  # the last row differs by bf16's rounding
        step = build_step(variant, image_size=64, width=2, device=torch.device("cpu"))
        output = step(engine, batch)
        losses.append([output[key] for key in ("generator_hinge", "feature_matching")])  # D's follows G's update
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-4, abs=1e-6)


def test_table_by_hand() -> None:
    lines = format_table({"plain": [4.0, 2.0, 6.0], "fast": [1.0, 0.5, 3.0]}).splitlines()
    assert lines[1].split()[1:] == ["2.000", "4.000", "1.00", "1.00"]
    assert lines[2].split()[1:] == ["0.500", "1.000", "4.00", "4.00"]
