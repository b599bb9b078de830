from __future__ import annotations

import torch

from scripts.experiments.benchmark_table import format_markdown, format_table, time_rows


def test_table_by_hand() -> None:
    lines = format_table({"plain": [4.0, 2.0, 6.0], "fast": [1.0, 0.5, 3.0]}).splitlines()
    assert lines[1].split()[1:] == ["2.000", "4.000", "1.00", "1.00"]
    assert lines[2].split()[1:] == ["0.500", "1.000", "4.00", "4.00"]


def test_markdown_by_hand() -> None:
    table = format_markdown("two", {"plain": [4.0, 2.0, 6.0], "fast": [1.0, 0.5, 3.0]}, 8)
    assert table.splitlines() == [
        "",
        "| two | median ms | images/s | times as fast |",
        "| --- | --- | --- | --- |",
        "| plain | 4000 | 2 | 1.00 |",
        "| fast | 1000 | 8 | 4.00 |",
    ]
    assert format_markdown("two", {"plain": [0.25]}).splitlines()[3] == "| plain | 250 | 1.00 |"


def test_every_repeat_builds_each_row_anew_warms_it_up_and_times_it() -> None:
    calls = []

    def build(name: str):
        calls.append(f"build {name}")
        return lambda engine, batch: calls.append(f"{name} {batch['image']} {engine.state.device}")

    rows = {name: (lambda name=name: build(name)) for name in ("a", "b")}
    seconds = time_rows(rows, {"image": 7}, repeats=2, device=torch.device("cpu"))
    once = ["build a", "a 7 cpu", "a 7 cpu", "build b", "b 7 cpu", "b 7 cpu"]
    assert calls == once * 2
    assert [len(times) for times in seconds.values()] == [2, 2]
