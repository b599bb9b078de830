"""In which order the members of an ensemble should be taken, by the real images that theirs reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine

from scripts.data.contract import DatasetError
from scripts.data.synthesis import ComparedSlices, member_of
from scripts.handlers.compared_images import REAL, ComparedImages, encode_images
from scripts.metrics.coverage import covered, order_members
from scripts.metrics.statistics import standardise
from scripts.networks.wrapping import freeze
from scripts.scores.evidence import Choice
from scripts.scores.json_files import write_dataclass

NEIGHBOURS = 5  # as published; fewer where there are fewer real images


class MemberChoice(ComparedImages[tuple[np.ndarray, int]]):
    """Attached to an evaluator that runs a segmenter over `ComparedSlices` with an ensemble's images.

    Features are the segmenter's bottleneck, averaged over the image, in standard deviations of the training images.
    Written as `Choice`, with the coverage of `scripts.metrics.coverage`.

    Args:
        segmenter: whose `encode` gives features (B, F); it sees the elements' `image`.
        dataset: what the evaluator runs through. Its held-out part must not be what results are later reported on.
        file: the `choice.json`.
        real: name of the held-out part's split.

    Raises:
        DatasetError: synthetic images without member, a member without image, or fewer than two held-out images.
    """

    known_parts = (*REAL, "synthetic")

    def __init__(
        self,
        segmenter: Any,
        *,
        dataset: ComparedSlices,
        file: str | Path,
        real: str = "validation",
    ) -> None:
        super().__init__()
        self.segmenter: Any = freeze(segmenter)
        self.file = Path(file)
        self.real = real
        self.generators = _generators(dataset)
        held_out = sum(part == "held_out" for part, _ in dataset.places)
        if held_out < 2:
            raise DatasetError(f"The {real} split has {held_out} slice to cover, expected 2 or more. Loosen the rule.")

    def measure(self, engine: Any) -> Iterator[tuple[str, tuple[np.ndarray, int]]]:
        for element, feature in zip(engine.state.batch, encode_images(engine, self.segmenter), strict=True):
            yield element["part"], (feature, int(element["member"]))

    def finish(self, engine: Engine) -> None:
        features = [np.stack([feature for feature, _ in self.rows[part]]) for part in self.known_parts]
        training, held_out, synthetic = standardise(features[0], *features)
        members = [member for _, member in self.rows["synthetic"]]
        k = min(NEIGHBOURS, len(held_out) - 1)
        chosen = order_members(held_out, synthetic, members, k=k)
        counts = [chosen.images_per_member * n for n in range(1, len(chosen.order) + 1)]
        content = Choice(
            order=chosen.order,
            files=[self.generators[member].get("generator") for member in chosen.order],
            sha256=[self.generators[member].get("generator_sha256") for member in chosen.order],
            coverage=chosen.coverage,
            training_coverage=_coverage_by_counts(held_out, training, counts, k),
            single=chosen.single,
            k=k,
            images_per_member=chosen.images_per_member,
            features="segmenter bottleneck",
            real=self.real,
            real_images=len(held_out),
        )
        write_dataclass(self.file, content)


def _generators(dataset: ComparedSlices) -> dict[int, dict[str, Any]]:
    """Member -> provenance of its images, where all members of the set have an image among the compared."""
    items = dataset.parts["synthetic"].data
    known = {member_of(item): item["synthetic"] for item in items}
    if -1 in known:
        raise DatasetError(
            f"{items[0]['image']} was made by no member of an ensemble. Name a set that pggan_ensemble_inference.json "
            "wrote with --synthetic_dir."
        )
    compared = {member_of(dataset.item(n)) for n, (part, _) in enumerate(dataset.places) if part == "synthetic"}
    absent = sorted(known.keys() - compared)
    if absent:
        raise DatasetError(f"Member {absent[0]} has no image among those compared. Raise --most_images.")
    return known


def _coverage_by_counts(real: np.ndarray, others: np.ndarray, counts: list[int], k: int) -> list[float]:
    """Coverage of the real samples by each number of others, evenly spread; NaN where there are fewer others."""
    balls = covered(real, others, k=k)  # (n, m)
    shares = []
    for count in counts:
        places = np.arange(count) * len(others) // count
        shares.append(float(balls[:, places].any(axis=1).mean()) if count <= len(others) else float("nan"))
    return shares
