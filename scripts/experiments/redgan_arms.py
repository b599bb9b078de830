"""The arms of the Red-GAN experiment: what each trains the segmenter on, and which generator makes its images."""

from __future__ import annotations

from typing import Any

from scripts.experiments.arms import Arm

# Overrides of configs/redgan_train.json. Table 1 of the paper compares the second and third, both without class.
GENERATORS: dict[str, dict[str, Any]] = {
    "redgan": {},
    "spade": {"use_class": False, "third_player": False},
    "third_player": {"use_class": False},
    "spade_target": {"use_class": False, "third_player": False, "only_class": "{target}"},
}

ARMS = {
    "real": Arm("Real only", "baseline"),
    "classical": Arm("Classical augmentation", "alternative", {"augment": True}),
    "oversampling": Arm("Oversampling", "alternative", {"balance_classes": True}),
    "gan": Arm("Red-GAN, balanced", "gan", {}, "redgan", {"strategy": "balanced"}),
    "gan_classical": Arm("Red-GAN + classical", "gan", {"augment": True}, "redgan", {"strategy": "balanced"}),
    "gan_single": Arm("Red-GAN, single class", "gan", {}, "redgan", {"strategy": "single", "target_class": "{target}"}),
    "spade_single": Arm(
        "Per-class SPADE, single class", "gan", {}, "spade_target", {"strategy": "single", "target_class": "{target}"}
    ),
    "synthetic_spade": Arm("Synthetic only, SPADE", "gan", {"use_real": False}, "spade", {"strategy": "own_class"}),
    "synthetic_third_player": Arm(
        "Synthetic only, + third player", "gan", {"use_real": False}, "third_player", {"strategy": "own_class"}
    ),
}
