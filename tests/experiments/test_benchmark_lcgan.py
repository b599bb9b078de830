from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from scripts.experiments.benchmark_lcgan import IMAGE_CHANNELS, MASK_CHANNELS, ROWS, build_step
from scripts.experiments.benchmark_table import make_batch


def test_every_row_computes_the_plain_iteration() -> None:
    """Without dropout, whose masks depend on how often it is drawn."""
    engine = SimpleNamespace(state=SimpleNamespace(device=torch.device("cpu")))
    batch = make_batch(IMAGE_CHANNELS, 64, 1, labels=MASK_CHANNELS)
    losses = []
    for changes in list(ROWS.values())[:-1]:  # the last row differs by bf16's rounding
        step = build_step(changes, image_size=64, width=2, device=torch.device("cpu"))
        step.generator.dropout = 0.0
        output = step(engine, batch)
        losses.append([output[key] for key in ("generator_bce", "l1", "discriminator_bce")])
    for other in losses[1:]:
        assert other == pytest.approx(losses[0], rel=1e-4, abs=1e-6)
