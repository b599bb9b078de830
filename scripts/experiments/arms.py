"""The grammar of arms: what a network is trained on, by name.

    real | synthetic:<source> | real+<source>, then any of the task's +modifiers
    <source> = <system>[:<variant>][:new_masks][:<amount>]

`new_masks` asks for masks or boxes that no patient has, in place of the patients' own. An amount is a number, or `all`;
`members=5` is the variant `members` with the amount 5. So `real+classical`, `synthetic:redgan:spade`,
`real+cpggan:1+classical`, `real+pggan_ensemble:members=5`, `real+lcgan:new_masks+classical`.

The modifier `pretraining` parts an arm in two trainings: `real+redgan+pretraining` first trains as `synthetic:redgan`
does, and then goes on as `real` from those weights.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from scripts.nearest_name import OptionError, suggest

PRETRAINING = "pretraining"
NEW_MASKS = "new_masks"
AMOUNT = re.compile(r"\d+(\.\d+)?|all")


@dataclass(frozen=True)
class Source:
    """Where synthetic items come from; `amount` is NaN where none is named, and infinity for all there are."""

    system: str
    variant: str = ""
    amount: float = math.nan
    new_masks: bool = False

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

    @property
    def is_pretrained(self) -> bool:
        """Whether it trains on its source's items alone before it trains on real ones alone."""
        return PRETRAINING in self.modifiers

    def stages(self) -> tuple[Arm, Arm]:
        """The arms that a pretrained one trains as, one after the other: the first is in the grammar, too."""
        others = tuple(modifier for modifier in self.modifiers if modifier != PRETRAINING)
        source = self.name.split("+")[1]
        first = Arm("+".join([f"synthetic:{source}", *others]), False, self.source, others)
        return first, replace(self, source=None, modifiers=others)


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
    arm = Arm(name, head == "real", source, tuple(others))
    if arm.is_pretrained and (source is None or not arm.real):
        raise OptionError(
            f"arm {name!r}: pretraining is on synthetic items and ends on real ones, expected real+<system>+pretraining"
        )
    return arm


def _parse_source(text: str, arm: str, systems: Collection[str]) -> Source:
    system, *rest = text.split(":")
    if system not in systems:
        raise OptionError(f"arm {arm!r}: no system {system}{suggest(system, systems)}")
    variant, amount = "", math.nan
    for each in (each for each in rest if each != NEW_MASKS):
        key, equals, value = each.partition("=")
        if AMOUNT.fullmatch(value if equals else key):
            amount = math.inf if each == "all" else float(value if equals else key)
        if equals or not AMOUNT.fullmatch(key):
            variant = key
    return Source(system, variant, amount, NEW_MASKS in rest)
