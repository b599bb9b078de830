"""The arms of the LcGAN experiment (Karki et al. 2020, tables 1 to 3), compared at every fraction of the patients."""

from __future__ import annotations

from scripts.experiments.arms import Arm

ARMS = {
    "original": Arm("Original", "baseline"),
    "gan": Arm("+ LcGAN", "gan", {}, "lcgan"),
    "classical": Arm("+ classical augmentation", "alternative", {"augment": True}),
    "gan_classical": Arm("+ both", "gan", {"augment": True}, "lcgan"),
}
MINIMUM_PATIENTS = 4  # two in each half of the real/synthetic classifier's cross-fitting; below it is left out
