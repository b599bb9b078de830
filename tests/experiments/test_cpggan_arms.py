from __future__ import annotations

import pytest

from scripts.experiments.cpggan_arms import make_arms


def test_names_say_how_many_synthetic_slices_and_what_is_augmented():
    arms = make_arms(["real", "real_plain", "gan_0.5", "gan_all_plain"])
    assert [arm.kind for arm in arms.values()] == ["baseline", "alternative", "gan", "gan"]
    assert arms["real_plain"].options == {"augmented_slices": "none"}
    assert arms["gan_0.5"].options == {"synthetic_ratio": 0.5, "augmented_slices": "both"}
    assert arms["gan_all_plain"].options == {"synthetic_ratio": "all", "augmented_slices": "real"}
    assert arms["real"].generator is None
    assert arms["gan_0.5"].generator


@pytest.mark.parametrize("name", ["gan", "gan_0", "gan_x", "synthetic", "gan_1_augmented"])
def test_an_unknown_arm_is_named(name):
    with pytest.raises(ValueError, match=f"Arm '{name}' is unknown: expected one of"):
        make_arms(["real", name])


def test_the_baseline_must_be_among_the_arms():
    with pytest.raises(ValueError, match="expected real among them"):
        make_arms(["gan_1"])
