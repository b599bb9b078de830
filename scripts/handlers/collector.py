"""The base of handlers that collect something in every iteration, and make something of it at the end."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from ignite.engine import Engine, Events


class Collector(ABC):
    """Attached to an engine: starts anew with each epoch, or, as subclasses say, with each run.

    Attributes:
        begin: the event of `start`.
        end: the event of `finish`.
    """

    begin: Any = Events.EPOCH_STARTED
    end: Any = Events.EPOCH_COMPLETED

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(self.begin, self.start)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self.add)
        engine.add_event_handler(self.end, self.finish)

    @abstractmethod
    def start(self, engine: Any) -> None:
        """Forgets what was collected before."""

    @abstractmethod
    def add(self, engine: Any) -> None:
        """Collects what the iteration gave."""

    @abstractmethod
    def finish(self, engine: Any) -> None:
        """Computes and writes what the collected tells."""
