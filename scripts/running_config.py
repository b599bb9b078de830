"""The config that is running: MONAI hands its parser to no component, so it is looked up on the call stack."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow, run, run_workflow, update_kwargs
from monai.utils import ensure_tuple


@dataclass(frozen=True)
class Call:
    """What `monai.bundle run` was asked.

    Attributes:
        options: the overrides of the command line and of `--args_file`, ids as they were written.
        files: the config files, in their order.
    """

    options: dict[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()


def running_config() -> ConfigParser | None:
    """The parser that builds the component from which this is called; None where no parser does."""
    return next((frame.f_locals["self"] for frame in _frames() if _owner(frame, ConfigParser)), None)


def run_ids() -> set[str]:
    """The ids that the running workflow evaluates: MONAI's own, or those of `--run_id`, `--init_id`, `--final_id`."""
    for frame in _frames():
        if _owner(frame, ConfigWorkflow):
            workflow = frame.f_locals["self"]
            return {workflow.init_id, workflow.run_id, workflow.final_id}
    return set()


def running_call() -> Call | None:
    """The call of MONAI's runner; None for a workflow or a parser that Python code made itself."""
    for frame in _frames():
        if frame.f_code in (run.__code__, run_workflow.__code__):
            given = frame.f_locals
            overrides = {"config_file": given.get("config_file"), **given.get("override", given.get("kwargs", {}))}
            asked = update_kwargs(given["args_file"], **overrides)
            files = tuple(str(file) for file in ensure_tuple(asked.pop("config_file", None) or ()))
            own = {*inspect.signature(run).parameters, *inspect.signature(ConfigWorkflow).parameters, "workflow_name"}
            return Call({name: value for name, value in asked.items() if name not in own}, files)
    return None


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _owner(frame: FrameType, kind: type) -> bool:
    return isinstance(frame.f_locals.get("self"), kind)
