from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from torch import nn

from scripts.handlers.compared_images import ComparedImages, encode_images, true_boxes


class Sums(ComparedImages[float]):
    known_parts = ("training",)

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, list[float]] = {}

    def measure(self, engine: Any) -> Iterator[tuple[str, float]]:
        assert not torch.is_grad_enabled()
        for part, value in engine.state.batch:
            yield part, value + sum(self.rows.get(part, []))

    def finish(self, engine: Any) -> None:
        self.found = self.rows


def test_rows_come_by_part_each_with_those_before_it_and_each_run_starts_anew() -> None:
    handler, engine = Sums(), Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([[("made", 1.0), ("made", 2.0)], [("made", 4.0)]])
    assert handler.found == {"training": [], "made": [1, 3, 8]}
    engine.run([[("training", 5.0)]])
    assert handler.found == {"training": [5]}


def test_a_batch_is_encoded_as_one() -> None:
    class Means(nn.Module):
        def encode(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean(dim=(2, 3)).double()

    engine = Engine(lambda engine, batch: None)
    engine.state.device = torch.device("cpu")
    engine.state.batch = [{"image": torch.full((2, 4, 4), float(n))} for n in range(3)]
    features = encode_images(engine, Means())
    assert features.dtype == np.float32
    np.testing.assert_array_equal(features, [[0, 0], [1, 1], [2, 2]])


def test_boxes_that_fill_up_are_no_true_ones() -> None:
    element = {"boxes": torch.arange(12.0).reshape(3, 4), "box_classes": torch.tensor([0, -1, 2])}
    np.testing.assert_array_equal(true_boxes(element), [[0, 1, 2, 3], [8, 9, 10, 11]])
