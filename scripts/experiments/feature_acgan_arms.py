"""The arms of the Feature AC-GAN experiment (Mehra, Soliman and Sahoo, table 3): what the classifier is trained on.

`real` takes real features alone, as `linear` does with a linear classifier. `class_weights`, `oversampling` and `smote`
are the cheap ways to balance classes. `features_1200` adds so many generated features, `images_1200` those of so many
images that an AC-GAN of images made.
"""

from __future__ import annotations

import re

from scripts.experiments.arms import Arm

PATTERN = re.compile(r"(features|images)_([1-9]\d*)")
REAL_ARMS = {
    "real": Arm("Real features only", "baseline"),
    "linear": Arm("Real only, linear classifier", "alternative", {"classifier": "linear"}),
    "class_weights": Arm("Real only, class weights", "alternative", {"balancing": "class_weights"}),
    "oversampling": Arm("Real only, oversampling", "alternative", {"balancing": "oversampling"}),
    "smote": Arm("Real only, SMOTE", "alternative", {"balancing": "smote"}),
}


def make_arms(names: list[str]) -> dict[str, Arm]:
    """The workflow's arms by name; `generator` is the space that is generated in, "features" or "images".

    Raises:
        ValueError: no `real`, or an unknown name.
    """
    if "real" not in names:
        raise ValueError(f"arms is {names}: expected real among them, which all others are compared with. Add it.")
    return {name: REAL_ARMS[name] if name in REAL_ARMS else _make_arm(name) for name in names}


def synthetic_count(arms: dict[str, Arm], space: str) -> int:
    """The most synthetic features that an arm of this space takes, 0 without such an arm."""
    return max((arm.options["synthetic_count"] for arm in arms.values() if arm.generator == space), default=0)


def _make_arm(name: str) -> Arm:
    found = PATTERN.fullmatch(name)
    if found is None:
        raise ValueError(
            f"Arm {name!r} is unknown: expected one of {list(REAL_ARMS)}, or features_ or images_ and the number of "
            "synthetic features to add, such as features_1200."
        )
    space, count = found[1], int(found[2])
    what = "generated features" if space == "features" else "features of generated images"
    return Arm(f"Real + {count:,} {what}", "gan", {"synthetic_count": count}, space)
