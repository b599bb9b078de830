from __future__ import annotations

import pytest

from scripts.experiments.feature_acgan_arms import make_arms, synthetic_count


def test_names_say_space_and_number() -> None:
    arms = make_arms(["real", "smote", "features_300", "features_4800", "images_1200"])
    assert [arm.kind for arm in arms.values()] == ["baseline", "alternative", "gan", "gan", "gan"]
    assert arms["smote"].options == {"balancing": "smote"}
    assert arms["features_4800"].title == "Real + 4,800 generated features"
    assert arms["images_1200"].generator == "images"
    assert synthetic_count(arms, "features") == 4800
    assert synthetic_count(make_arms(["real"]), "images") == 0


@pytest.mark.parametrize("name", ["features", "features_0", "features_1.5", "pictures_5"])
def test_an_unknown_arm_is_refused_with_the_names_there_are(name: str) -> None:
    with pytest.raises(ValueError, match=f"Arm '{name}' is unknown: expected one of .*linear"):
        make_arms(["real", name])


def test_the_baseline_is_needed() -> None:
    with pytest.raises(ValueError, match="expected real among them"):
        make_arms(["smote"])
