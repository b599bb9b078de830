"""Whether synthetic images' annotations are like real ones."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine
from scipy import ndimage

from scripts.handlers.compared_images import ComparedImages
from scripts.metrics.false_rims import rim_share
from scripts.metrics.statistics import mean_by_patient
from scripts.scores.evidence import AnnotationEntry, Annotations, Share
from scripts.scores.json_files import write_dataclass

BACKGROUND = -0.95  # channels below it are dark
SQUARE = np.ones((3, 3), dtype=bool)
Row = dict[str, Any]


class AnnotationValidity(ComparedImages[Row]):
    """Attached to an evaluator that runs through `ComparedSlices`; looks at their label maps and images alone.

    Elements hold, beside `label` (1, X, Y), the image (C, X, Y) in [-1, 1] as `original`. Written as `Annotations`,
    with the parts "training", "held_out" and "synthetic". Lesions of any labels whose corners touch are one; synthetic
    images are each a patient of their own.

    Args:
        labels: names of the foreground labels.
        file: the `annotations.json`.
    """

    def __init__(self, labels: Sequence[str], file: str | Path) -> None:
        super().__init__()
        self.labels = list(labels)
        self.file = Path(file)

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        for element in engine.state.batch:
            image, label = (np.asarray(element[key].cpu()) for key in ("original", "label"))
            yield (
                element["part"],
                {
                    **describe_annotation(image, label[0], len(self.labels)),
                    "unit": element["source_patient"],
                    "member": int(element["member"]),
                },
            )

    def finish(self, engine: Engine) -> None:
        parts = {part: self._summarise(rows) for part, rows in self.rows.items()}
        by_member: dict[int, list[Row]] = {}
        for row in (row for rows in self.rows.values() for row in rows if row["member"] >= 0):
            by_member.setdefault(row["member"], []).append(row)
        members = [self._summarise(by_member[member], member) for member in sorted(by_member)]
        write_dataclass(self.file, Annotations(self.labels, parts, members))

    def _summarise(self, rows: Sequence[Row], member: int = -1) -> AnnotationEntry:
        with_lesion = [row for row in rows if row["components"]]
        shares = np.array([row["shares"] for row in with_lesion]).reshape(-1, len(self.labels))
        units = [row["unit"] for row in with_lesion]  # patients; every synthetic image is one of its own
        return AnnotationEntry(
            images=len(rows),
            lesion_images=len(with_lesion) / len(rows),
            label_percent={name: _mean(100 * shares[:, n]) for n, name in enumerate(self.labels)},
            components=_mean([row["components"] for row in with_lesion]),
            rim_share=Share(*mean_by_patient(units, [row["rim_share"] for row in with_lesion])),
            outside_head_share=Share(*mean_by_patient(units, [row["outside_head_share"] for row in with_lesion])),
            member=member,
        )


def describe_annotation(image: np.ndarray, label: np.ndarray, foreground_count: int) -> dict[str, Any]:
    """What `AnnotationValidity` says of one image.

    Args:
        image: (C, X, Y) in [-1, 1].
        label: (X, Y) of 0..foreground_count.
        foreground_count: labels besides the background.

    Returns:
        `shares` of the labels in all pixels, `components`, `rim_share`, `outside_head_share` (the last two NaN without
        lesion).
    """
    lesion = label > 0
    dark = np.all(image < BACKGROUND, axis=0)
    return {
        "shares": [float((label == value).mean()) for value in range(1, foreground_count + 1)],
        "components": int(ndimage.label(lesion, structure=SQUARE)[1]),
        "rim_share": rim_share(label, foreground_count),
        "outside_head_share": float(dark[lesion].mean()) if lesion.any() else math.nan,
    }


def _mean(values: Any) -> float:
    return float(np.mean(values)) if len(values) else math.nan
