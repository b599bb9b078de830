"""Masks that no patient has, drawn for a plan and made again from it: whose lesions lie in whose anatomy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch

from scripts.data.contract import DatasetError
from scripts.data.slices import SliceDataset
from scripts.transforms.carving import find_tissue
from scripts.transforms.transplantation import Transplant

TRIES = 20  # anatomies and transplants that are drawn for one mask


def spread_evenly(count: int, share: float) -> list[int]:
    """The numbers below `count` of a share of the images, in [0, 1], evenly spread; DatasetError for another share."""
    if not 0 <= share <= 1:
        raise DatasetError(f"new_masks is {share}, expected a share of the images from 0 to 1.")
    return [n for n in range(count) if int((n + 1) * share) > int(n * share)]


class NewMasks:
    """Puts the lesions of a slice into the anatomy of another patient's, with lesion or without, see `Transplant`.

    Where all slices are one patient's, the anatomy is another slice of the same. Lesions of the anatomy are removed.
    A mask is refused where its lesions do not fit, or where it would not be trained on.

    Args:
        slices: of training; their rule is that of the masks, while any slice of their files may be an anatomy.
        last_label: labels 1 to this are lesions; a higher one is the outline.
    """

    def __init__(self, slices: SliceDataset, last_label: int) -> None:
        self.rule = slices.rule
        self.slices = SliceDataset(slices.data, slices.preprocessing, slices.cache_dir)
        self.last_label = last_label
        summaries = [self.slices.summary(position) for position in range(len(self.slices))]
        self.places = {summary["source"]: position for position, summary in enumerate(summaries)}
        self.patients = np.array([summary["patient"] for summary in summaries])

    def draw(self, source: str, generator: np.random.Generator) -> tuple[dict[str, Any], int]:
        """What a plan says of a new mask with the lesions of a slice, empty where none fits, and the draws refused."""
        place = self.places[source]
        others = np.flatnonzero(self.patients != self.patients[place])
        if not len(others):
            others = np.delete(np.arange(len(self.patients)), place)
        for refused in range(TRIES if len(others) else 0):
            anatomy = int(generator.choice(others))
            transplant = Transplant.draw(generator)
            mask = self._make(place, anatomy, transplant)
            if mask is not None and self._is_trained_on(mask, anatomy):
                summary = self.slices.summary(anatomy)
                said = {"anatomy": summary["source"], "anatomy_patient": summary["patient"]}
                return {**said, "transplant": asdict(transplant)}, refused
        return {}, TRIES

    def make(self, planned: Mapping[str, Any]) -> torch.Tensor:
        """The mask (1, S, S) int64 of a planned image that was drawn.

        Raises:
            DatasetError: its slices make no mask any more, since they are others than when it was planned.
        """
        lesions, anatomy = self.places[planned["source"]], self.places[planned["anatomy"]]
        mask = self._make(lesions, anatomy, Transplant(**planned["transplant"]))
        if mask is None:
            raise DatasetError(
                f"The lesions of {planned['source']} do not fit into {planned['anatomy']} as planned. Plan again with "
                "the same options that the generator was trained with."
            )
        return torch.from_numpy(mask)[None]

    def _make(self, place: int, anatomy: int, transplant: Transplant) -> np.ndarray | None:
        lesions, home, _ = self._read(place)
        _, body, outline_label = self._read(anatomy)
        # A slice without head has its lesions anywhere, but is no anatomy for one with a head.
        return None if body.all() and not home.all() else transplant(lesions, home, body, outline_label)

    def _read(self, position: int) -> tuple[np.ndarray, np.ndarray, int]:
        """Lesions (S, S), body (S, S) bool, all of it where there is no head, and the outline's label, 0 for none."""
        element = self.slices[position]
        label = element["label"][0].numpy()  # (S, S)
        lesions = np.where(label <= self.last_label, label, 0)
        if label.max() > self.last_label:
            return lesions, label > 0, int(label.max())
        return lesions, find_tissue(element["image"], lesions > 0), 0

    def _is_trained_on(self, mask: np.ndarray, anatomy: int) -> bool:
        return self.rule is None or bool(self.rule(self.slices[anatomy]["image"].numpy()[None], mask[None])[0])
