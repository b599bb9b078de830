"""The grammar of arms."""

from __future__ import annotations

import math
import re

import pytest

from scripts.experiments.arms import Arm, Source, parse_arm
from scripts.nearest_name import OptionError

SYSTEMS = ["redgan", "pggan_ensemble"]
MODIFIERS = {"classical": None, "oversampling": None, "pretraining": None}


def parse(name: str) -> Arm:
    return parse_arm(name, SYSTEMS, MODIFIERS)


def test_real_items_alone_and_with_modifiers() -> None:
    assert parse("real") == Arm("real", True, None, ())
    assert parse("real+classical+oversampling").modifiers == ("classical", "oversampling")


def test_a_source_with_variant_and_amount() -> None:
    assert parse("real+redgan:single:0.5").source == Source("redgan", "single", 0.5)
    assert parse("synthetic:redgan:spade") == Arm("synthetic:redgan:spade", False, Source("redgan", "spade"), ())


def test_new_masks_go_with_variants_and_amounts() -> None:
    assert parse("real+redgan:single:new_masks:0.5").source == Source("redgan", "single", 0.5, new_masks=True)
    assert parse("real+redgan:new_masks").source != parse("real+redgan").source


def test_a_variant_that_counts() -> None:
    assert parse("real+pggan_ensemble:members=5+classical").source == Source("pggan_ensemble", "members", 5)


def test_all_of_a_source() -> None:
    source = parse("real+redgan:all").source
    assert source is not None
    assert math.isinf(source.amount)


def test_equal_sources_are_equal_without_an_amount_too() -> None:
    assert parse("real+redgan").source == parse("real+redgan+classical").source


def test_a_pretrained_arm_trains_as_its_source_alone_and_then_as_real() -> None:
    first, second = parse("real+redgan:single:0.5+classical+pretraining").stages()
    assert first == parse("synthetic:redgan:single:0.5+classical")
    assert (second.real, second.source, second.modifiers) == (True, None, ("classical",))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("reel", "begin with real or synthetic:<system>"),
        ("synthetic", "begin with real or synthetic:<system>"),
        ("real+redgam", "did you mean redgan?"),
        ("real+redgan+clasical", "did you mean classical?"),
        ("synthetic:nothing", "no system nothing"),
        ("real+pretraining", "expected real+<system>+pretraining"),
        ("synthetic:redgan+pretraining", "expected real+<system>+pretraining"),
    ],
)
def test_a_name_outside_the_grammar_is_refused_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(OptionError, match=re.escape(said)):
        parse(name)
