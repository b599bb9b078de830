from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from scripts.experiments.benchmark_cpggan import (
    build_inference,
    build_training,
    gan_rows,
    make_batch,
    make_boxes,
    run,
    suppression_rows,
)

CPU = torch.device("cpu")
ENGINE = SimpleNamespace(state=SimpleNamespace(device=CPU))
LAYOUTS = (torch.contiguous_format, torch.channels_last)


def test_every_row_finds_the_same() -> None:
    plain, ours = (
        build_inference(layout=each, width=0.125, device=CPU)(ENGINE, make_batch(32, 2))["pred"] for each in LAYOUTS
    )
    assert [len(found["pred_boxes"]) for found in plain] == [len(found["pred_boxes"]) for found in ours]
    for one, other in zip(plain, ours, strict=True):
        torch.testing.assert_close(one["pred_scores"], other["pred_scores"], rtol=1e-3, atol=1e-6)


def test_every_row_makes_the_same_update() -> None:
    steps = [build_training(layout=each, width=0.125, device=CPU) for each in LAYOUTS]
    losses = [[step(ENGINE, make_batch(32, 2))["loss"] for _ in range(2)] for step in steps]
    assert losses[0][1] != losses[0][0]
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("build", [build_inference, build_training])
def test_features_have_the_layout_of_their_row(layout: Any, build: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts: list[bool] = []
    forward = nn.Conv2d.forward

    def watch(self: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        layouts.append(x.shape[1] == 1 or x.is_contiguous(memory_format=layout))  # one channel: both at once
        return forward(self, x)

    monkeypatch.setattr(nn.Conv2d, "forward", watch)
    build(layout=layout, width=0.125, device=CPU)(ENGINE, make_batch(64, 2))
    assert len(layouts) == 75  # convolutions of YOLOv3
    assert all(layouts)


def test_each_call_of_a_gan_is_the_next_iteration_at_full_size() -> None:
    for build in gan_rows({"image_size": 8, "feature_base": 32, "feature_max": 4}, 2, device=CPU).values():
        step = build()
        first, second = (step(ENGINE, make_batch(8, 2)) for _ in range(2))
        assert (first["resolution"], first["alpha"]) == (second["resolution"], second["alpha"]) == (8, 1.0)
        assert first["loss"] != second["loss"]


def test_all_rows_keep_the_same_boxes() -> None:
    batch = make_boxes(2000, CPU)
    monai, ours, *first = (build()(ENGINE, batch)["kept"].tolist() for build in suppression_rows().values())
    assert ours == monai
    assert first == [monai[:100]] * 2
    assert 100 < len(monai) < 2000


def test_all_tables_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    gan = {"resolution": 8, "gan_batch_size": 2, "features": (32, 4)}
    run(detectors=((0.125, 32),), batch_sizes=(1, 2), **gan, box_count=50, repeats=1, device="cpu")
    titles = [line.split("|")[1].strip() for line in capsys.readouterr().out.splitlines() if "median ms" in line]
    assert titles == [
        "inference, YOLOv3 of width 0.125, 32 px, batch 1",
        "inference, YOLOv3 of width 0.125, 32 px, batch 2",
        "training, YOLOv3 of width 0.125, 32 px, batch 2",
        "training, 8 px, features (32, 4), batch 2",
        "NMS of 50 boxes",
    ]
