"""How good synthetic images are, measured beside real ones in the features of a frozen network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine

from scripts.handlers.compared_images import REAL, ComparedImages, encode_images
from scripts.metrics.class_specificity import class_specificity
from scripts.metrics.coverage import compare_neighbourhoods
from scripts.metrics.feature_distance import frechet_with_floor, kernel_distance
from scripts.metrics.overlap import PatientOverlap
from scripts.metrics.statistics import distance_with_floor, mean_by_patient, standardise
from scripts.networks.feature_extractor import FeatureExtractor
from scripts.scores.evidence import Distance, Neighbourhoods, Quality, Share, Specificity
from scripts.scores.json_files import write_dataclass

Row = dict[str, Any]
NEIGHBOURS = 5  # as Naeem et al. 2020 have it; fewer where there are fewer images


class ImageQuality(ComparedImages[Row]):
    """Attached to an evaluator that runs the segmenter over real training, real held-out and synthetic slices.

    Synthetic ones are the part "synthetic", or several parts with other names (candidates of a choice).

    Features of a segmenter are in standard deviations of the real training images, those of a user's network as they
    are, so that figures can be compared with those of other work. Written as `quality.json` under the system's name,
    or "system part" where there are several:

    - `frechet`, and of a user's network `kid` (times 1000): distance of synthetic from real training images, beside
      the floor: held-out real images from the training images at the same n, both with an interval over patients.
    - `neighbourhoods`: precision, recall, density and coverage of synthetic images in training ones, and those of
      held-out real ones, all at that n.
    - `specificity`: a linear classifier of the global class on simple intensity statistics, trained on real images:
      how often synthetic images look like the class asked for, beside how often held-out real ones are recognised.
    - `mask_dice`: Dice of the segmenter's prediction on synthetic images with the mask they were made from.

    Args:
        extractor: of the features; a segmenter's are its bottleneck, averaged over the image.
        foreground_count: labels besides the background.
        classes: names of the global classes; empty skips `specificity`.
        file: the `quality.json`.
        system: key in it.
        use_class: False for a generator without class, whose images show no class on purpose.
        most_images: of each part that the distances are computed from, evenly spread; None for all. Their time grows
            with the cube of it.
    """

    known_parts = REAL

    def __init__(
        self,
        extractor: FeatureExtractor,
        *,
        foreground_count: int,
        classes: Sequence[str],
        file: str | Path,
        system: str,
        use_class: bool = True,
        most_images: int | None = None,
    ) -> None:
        super().__init__()
        self.extractor = extractor
        self.foreground_count = foreground_count
        self.classes = list(classes) if use_class else []
        self.most_images = most_images
        self.file = Path(file)
        self.system = system

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        features = encode_images(engine, self.extractor)  # (B, F)
        for element, output, feature in zip(engine.state.batch, engine.state.output, features, strict=True):
            overlap = PatientOverlap(self.foreground_count)
            overlap.add(torch.as_tensor(output["pred"])[0], torch.as_tensor(output["label"])[0])
            yield (
                element["part"],
                {
                    "features": feature,
                    "looks": intensity_statistics(element["image"].cpu().numpy()),
                    "patient": element["source_patient"],
                    "class": int(element["class_index"]),
                    "overlap": overlap.mean_dice(),
                },
            )

    def finish(self, engine: Engine) -> None:
        made = {part: rows for part, rows in self.rows.items() if part not in REAL}
        names = {part: self.system if part == "synthetic" else f"{self.system} {part}" for part in made}
        write_dataclass(self.file, {names[part]: self._compare(rows) for part, rows in made.items()})

    def _compare(self, synthetic: Sequence[Row]) -> Quality:
        parts = [_columns(rows) for rows in (*(self.rows[part] for part in REAL), synthetic)]
        training, held_out, made = parts
        frechet = kid = specificity = own = ceiling = None
        nearest = 0
        if min(len(part["features"]) for part in parts) > 1:  # one image has no covariance
            steps = [-(-len(part["features"]) // (self.most_images or len(part["features"]))) for part in parts]
            samples = [np.stack(part["features"][::step]) for part, step in zip(parts, steps, strict=True)]
            if not self.extractor.given:
                samples = standardise(samples[0], *samples)
            owners = [part["patient"][::step] for part, step in zip(parts, steps, strict=True)]
            patients = (owners[0], owners[1], owners[2])
            frechet = Distance(*frechet_with_floor(*samples, patients=patients))
            if self.extractor.given:
                kid = Distance(*distance_with_floor(_scaled_kernel_distance, *samples, patients=patients))
            nearest = min(NEIGHBOURS, frechet.n - 1)
            spread = [sample[np.linspace(0, len(sample) - 1, frechet.n).astype(int)] for sample in samples]
            ceiling, own = (
                Neighbourhoods(*compare_neighbourhoods(spread[0], other, k=nearest)) for other in spread[1:]
            )
        if len(set(training["class"])) > 1 and self.classes:
            looks = [np.stack(part["looks"]) for part in parts]
            names = [[self.classes[c] for c in part["class"]] for part in parts]
            asked = class_specificity(looks[0], names[0], looks[1], names[1], looks[2], names[2])
            specificity = Specificity(**asked)
        return Quality(
            mask_dice=Share(*mean_by_patient(made["patient"], made["overlap"])),
            mask_dice_held_out_real=Share(*mean_by_patient(held_out["patient"], held_out["overlap"])),
            frechet=frechet,
            kid=kid,
            specificity=specificity,
            neighbourhoods=own,
            neighbourhoods_held_out_real=ceiling,
            nearest=nearest,
            extractor=self.extractor.name,
        )


def _scaled_kernel_distance(a: np.ndarray, b: np.ndarray) -> float:
    return 1000 * kernel_distance(a, b)


def _columns(rows: Sequence[Row]) -> dict[str, list[Any]]:
    return {key: [row[key] for row in rows] for key in ("features", "looks", "patient", "class", "overlap")}


def intensity_statistics(image: np.ndarray) -> np.ndarray:
    """Per channel the deciles of what is brighter than the background, and the gradient's mean: (C * 10,).

    What differs between scanners and staining is contrast, noise and sharpness, not anatomy.

    Args:
        image: (C, X, Y) in [-1, 1].
    """
    values = []
    for channel in image:
        bright = channel[channel > -0.95]
        deciles = np.percentile(bright, np.arange(10, 100, 10)) if bright.size else np.full(9, -1.0)
        gradient = np.hypot(*np.gradient(channel)).mean()
        values += [*deciles, gradient]
    return np.array(values, dtype=np.float32)
