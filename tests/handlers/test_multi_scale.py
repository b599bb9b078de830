from __future__ import annotations

from typing import Any

import pytest
import torch
from ignite.engine import Engine

from scripts.handlers.multi_scale import MultiScale


@pytest.mark.parametrize(("size", "sizes"), [(416, list(range(320, 609, 32))), (64, [64, 96]), (32, [32])])
def test_sizes_are_to_the_networks_as_320_to_608_are_to_416(size: int, sizes: list[int]) -> None:
    assert MultiScale(size).sizes == sizes


def test_ten_iterations_share_a_size_and_a_run_draws_the_same_again() -> None:
    image = torch.full((2, 1, 64, 64), -1.0)
    image[:, :, 16:32, 32:64] = 1
    batch = {"image": image, "boxes": torch.tensor([[[16.0, 32, 32, 64]]] * 2)}

    def run(seed: int) -> list[int]:
        seen = []

        def step(engine: Engine, batch: dict[str, Any]) -> None:
            side = batch["image"].shape[-1]
            x0, y0, x1, y1 = (int(end) for end in batch["boxes"][0, 0])
            assert (x0, y0, x1, y1) == (side / 4, side / 2, side / 2, side)
            assert batch["image"][0, 0, x0 + 1 : x1 - 1, y0 + 1 : y1].min() == 1
            assert float(batch["image"].mean()) == pytest.approx(float(image.mean()), abs=0.02)
            seen.append(side)

        engine = Engine(step)
        MultiScale(64, seed).attach(engine)
        engine.run([batch] * 25, max_epochs=4)
        return seen

    sides = run(0)
    assert all(len(set(sides[start : start + 10])) == 1 for start in range(0, 100, 10))
    assert set(sides) == {64, 96}
    assert run(0) == sides != run(1)
