"""The arms of the CPGGAN experiment (Han et al. 2019, table 1): what the detector is trained on.

`real` takes real slices alone. `gan_1` draws one synthetic slice for each real one, `gan_2` two, and `gan_all` takes
all that there are, as the paper does. Classical augmentation changes real and synthetic slices alike, with `_plain`
behind the name only the real ones; `real_plain` goes without.
"""

from __future__ import annotations

import re
from typing import Any

from scripts.experiments.arms import Arm

PATTERN = re.compile(r"gan_(all|\d+(?:\.\d+)?)(_plain)?")
REAL_ARMS = {
    "real": Arm("Real only", "baseline", {"augmented_slices": "both"}),
    "real_plain": Arm("Real only, without classical augmentation", "alternative", {"augmented_slices": "none"}),
}


def make_arms(names: list[str]) -> dict[str, Arm]:
    """The workflow's arms by name.

    Raises:
        ValueError: no `real`, an unknown name, or a ratio of 0.
    """
    if "real" not in names:
        raise ValueError(f"arms is {names}: expected real among them, which all others are compared with. Add it.")
    return {name: REAL_ARMS[name] if name in REAL_ARMS else _make_arm(name) for name in names}


def _make_arm(name: str) -> Arm:
    found = PATTERN.fullmatch(name)
    if found is None or (found[1] != "all" and not float(found[1])):
        raise ValueError(
            f"Arm {name!r} is unknown: expected one of {list(REAL_ARMS)}, gan_all, or gan_ and the synthetic slices "
            "per real one, such as gan_1 or gan_0.5. Synthetic slices without classical augmentation: gan_1_plain."
        )
    amount = "all synthetic" if found[1] == "all" else f"synthetic, 1:{found[1]}"
    options: dict[str, Any] = {"synthetic_ratio": "all" if found[1] == "all" else float(found[1])}
    options["augmented_slices"] = "real" if found[2] else "both"
    return Arm(f"Real + {amount}{', these not augmented' * bool(found[2])}", "gan", options, "cpggan")
