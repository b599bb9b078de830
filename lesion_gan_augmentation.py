"""The bundle in Python, see docs/python.md: what its commands do, as functions that return and raise.

In a clone this file lies beside `scripts`; installed, it is the package that holds `scripts`, `configs` and `models`.
What is asked for is imported then, so that the command line starts without torch.
"""

import importlib
import sys
from typing import Any

_HOMES = {
    "scripts.data.contract": ("Dataset", "DatasetError", "read_dataset"),
    "scripts.data.doctor": ("Diagnosis", "doctor"),
    "scripts.data.phantom": ("write_phantom",),
    "scripts.data.plan": ("Plan", "plan"),
    "scripts.data.prepare": ("prepare",),
    "scripts.experiments.command": ("study",),
    "scripts.exports.export": ("Exported", "export"),
    "scripts.inferers.generation": (
        *("Generated", "GeneratedImages", "Generator"),
        *("generate", "load_generator", "read_masks", "synthesise"),
    ),
    "scripts.nearest_name": ("OptionError",),
    "scripts.scores.results": ("Results", "read_results"),
    "scripts.transforms.injection": ("RandInjectSyntheticd",),
}
__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    home = next((home for home, names in _HOMES.items() if name in names), None)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(home), name)


def console() -> int:
    """The command `lesion-gan`."""
    return int(importlib.import_module("scripts.__main__").main(sys.argv[1:]))
