"""The grammar of arms: what a network is trained on, by name.

    real | synthetic:<source> | real+<source>, then any of the task's +modifiers
    <source> = <system>[:<variant>][:<amount>]

An amount is a number, or `all`; `members=5` is the variant `members` with the amount 5. So `real+classical`,
`synthetic:redgan:spade`, `real+cpggan:1+classical`, `real+pggan_ensemble:members=5`, `real+lcgan+classical`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from scripts.nearest_name import OptionError, suggest

AMOUNT = re.compile(r"\d+(\.\d+)?|all")


@dataclass(frozen=True)
class Source:
    """Where synthetic items come from; `amount` is NaN where none is named, and infinity for all there are."""

    system: str
    variant: str = ""
    amount: float = math.nan

    @property
    def has_amount(self) -> bool:
        return not math.isnan(self.amount)

    @property
    def folder(self) -> str:
        """Name of its folder, without the amount unless that is the variant's own."""
        return self.variant or "balanced"


@dataclass(frozen=True)
class Arm:
    """One way of training: on real items or not, on a source's, and with which modifiers."""

    name: str
    real: bool
    source: Source | None
    modifiers: tuple[str, ...]

    @property
    def slug(self) -> str:
        """Name of its folders."""
        return self.name.replace(":", "-").replace("=", "-")

    @property
    def pure(self) -> bool:
        """Whether it trains on real items as they are."""
        return self.source is None and not self.modifiers


def parse_arm(name: str, systems: Collection[str], modifiers: Mapping[str, object]) -> Arm:
    """The arm of a name.

    Args:
        name: in the grammar above.
        systems: that may be a source.
        modifiers: of the task.

    Raises:
        OptionError: the name does not fit the grammar.
    """
    first, *others = name.split("+")
    head, _, rest = first.partition(":")
    if head not in ("real", "synthetic") or (head == "real") == bool(rest):
        raise OptionError(
            f"arm {name!r} does not begin with real or synthetic:<system>, such as real+redgan or synthetic:redgan"
        )
    source = _parse_source(rest, name, systems) if rest else None
    if source is None and others and others[0].split(":")[0] not in modifiers:
        source = _parse_source(others.pop(0), name, [*systems, *modifiers])
    for modifier in others:
        if modifier not in modifiers:
            raise OptionError(f"arm {name!r}: no modifier {modifier}{suggest(modifier, modifiers)}")
    return Arm(name, head == "real", source, tuple(others))


def _parse_source(text: str, arm: str, systems: Collection[str]) -> Source:
    system, *rest = text.split(":")
    if system not in systems:
        raise OptionError(f"arm {arm!r}: no system {system}{suggest(system, systems)}")
    variant, amount = "", math.nan
    for each in rest:
        key, equals, value = each.partition("=")
        if AMOUNT.fullmatch(value if equals else key):
            amount = math.inf if each == "all" else float(value if equals else key)
        if equals or not AMOUNT.fullmatch(key):
            variant = key
    return Source(system, variant, amount)
