"""Which slices the lesions come from that are pasted into others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.data.contract import DatasetError

TRIES = 10  # slices that are drawn for one, until the lesions of one fit


class LesionDonors:
    """Draws slices whose lesions may be pasted into a slice: of another patient where there is one, never itself.

    Args:
        able: which slices may give their lesions, (N,) bool.
        patients: of every slice; of synthetic ones, that of the mask.

    Raises:
        DatasetError: no slice is able.
    """

    def __init__(self, able: np.ndarray, patients: Sequence[str]) -> None:
        self.positions = np.flatnonzero(able)
        self.patients = np.unique(patients, return_inverse=True)[1]
        if not len(self.positions):
            raise DatasetError(
                "copy_paste_probability is above 0, but no real training slice has a lesion to paste. Leave "
                "--copy_paste_probability out, or add images with lesions."
            )

    def draw(self, position: int, generator: np.random.Generator) -> list[int]:
        """Up to `TRIES` different slices for that at a position, in random order; none where it is the only one."""
        others = self.positions[self.patients[self.positions] != self.patients[position]]
        if not len(others):
            others = self.positions[self.positions != position]
        return generator.permutation(others)[:TRIES].tolist()
