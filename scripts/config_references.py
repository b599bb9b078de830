"""References to other parts of a config where MONAI takes none."""

from __future__ import annotations

from typing import Any


def named_handler(handler: Any) -> Any:
    """The handler itself, for a place in `train#handlers`: MONAI reads a target from every entry of that list.

    `ConfigWorkflow.check_properties` and MONAI Label cannot take the plain reference `"@ema"` there.
    """
    return handler
