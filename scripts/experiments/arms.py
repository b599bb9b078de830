"""What an experiment compares: ways to train the segmenter, and options as command lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Arm:
    """One way to train the segmenter.

    Attributes:
        title: as the report shows it.
        kind: "baseline", "alternative" (cheap, without a GAN) or "gan".
        options: overrides of the segmenter's training config.
        generator: name of the generator that makes its images, None without synthetic images.
        plan: options of `python -m scripts plan`; "{target}" stands for the experiment's target class.
    """

    title: str
    kind: str
    options: dict[str, Any] = field(default_factory=dict)
    generator: str | None = None
    plan: dict[str, str] = field(default_factory=dict)


def flags(options: dict[str, Any], target: str | None = None) -> str:
    """Options as a command line; "{target}" becomes the target class.

    None is left out: the bundle runner ignores it, so a config's default stays.
    """
    filled = {name: value.format(target=target) if isinstance(value, str) else value for name, value in options.items()}
    filled = {name: value for name, value in filled.items() if value is not None}
    shown = {name: json.dumps(value) if isinstance(value, list) else value for name, value in filled.items()}
    return " ".join(f"--{name} '{value}'" for name, value in shown.items())
