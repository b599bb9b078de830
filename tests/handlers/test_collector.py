from __future__ import annotations

from typing import Any

from ignite.engine import Engine, Events

from scripts.handlers.collector import Collector


class Batches(Collector):
    def __init__(self) -> None:
        self.collected: list[int] = []
        self.told: list[list[int]] = []

    def start(self, engine: Any) -> None:
        self.collected = []

    def add(self, engine: Any) -> None:
        self.collected.append(engine.state.batch)

    def finish(self, engine: Any) -> None:
        self.told.append(self.collected)


class BatchesOfRun(Batches):
    begin, end = Events.STARTED, Events.COMPLETED


def run(handler: Batches) -> list[list[int]]:
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([1, 2], max_epochs=2)
    return handler.told


def test_each_epoch_is_collected_by_itself() -> None:
    assert run(Batches()) == [[1, 2], [1, 2]]


def test_a_whole_run_is_collected_where_the_class_says_so() -> None:
    assert run(BatchesOfRun()) == [[1, 2, 1, 2]]
