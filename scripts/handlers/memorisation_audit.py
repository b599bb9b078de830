"""The memorisation audit of synthetic sets: whether they repeat training images, or features."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from torch.nn import functional

from scripts.data.contract import DatasetError, image_files, read_dataset
from scripts.data.features import MANIFEST
from scripts.data.memorised import FAILED, write_audit
from scripts.handlers.compared_images import REAL, ComparedImages, encode_images
from scripts.metrics.memorisation import LEVEL, CopyTest, find_copies
from scripts.metrics.nearest import feature_distances, image_distances, make_thumbnail
from scripts.metrics.statistics import standardise
from scripts.networks.feature_extractor import FeatureExtractor
from scripts.pictures.grids import image_pictures, picture_titles, write_grid
from scripts.scores.evidence import Copies, Memorisation, Share
from scripts.scores.json_files import plain, read_dataclass, write_dataclass

VIEWS = ((), (2,), (3,), (2, 3))  # axes that images are mirrored along
NAMED = 8  # images with the least ratios, in the picture and in the audit
Row = dict[str, Any]


class MemorisationAudit(ComparedImages[Row]):
    """Attached to an evaluator that runs through `ComparedSlices`, or through `ComparedFeatures`.

    Looks for copies (`find_copies`) by pixels (`image_distances`) and by features, each at half of `LEVEL`, so that a
    set like images of new patients fails in 5% of the cases at most. A set fails by either; where neither test could
    have told that half of its images are copies, it cannot be audited. Features are a network's, of all four mirror
    images of synthetic and held-out images; or, of feature sets, the maps themselves, averaged to a few cells.

    Writes the `Memorisation` into the description of each set, and that of the last one as `memorisation.json` with
    `memorisation.png`: the synthetic images with the least ratios, and for each the training and the held-out image
    that is nearest by pixels.

    Args:
        dataset: what the evaluator runs through, in order.
        sets: folders of synthetic sets whose images are among those that are compared, and of what filters have left of
            the first, where they have; the last that is there is the one to use.
        output_dir: of `memorisation.json`.
        extractor: of the features of images; None compares pixels alone.
        modality: names of the images' channels, for the picture; empty of features.
        membership_files: those of the trainings, where they are there.
        pooled_size: of feature maps: cells along each axis; None for images.

    Raises:
        DatasetError: a set of which no image was compared.
    """

    known_parts = REAL

    def __init__(
        self,
        *,
        dataset: Any,
        sets: Sequence[str | Path],
        output_dir: str | Path,
        extractor: FeatureExtractor | None = None,
        modality: Sequence[str] = (),
        membership_files: Sequence[str | Path] = (),
        pooled_size: int | None = None,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.sets = [Path(folder).absolute() for folder in sets]
        self.folder = Path(output_dir)
        self.extractor = extractor
        self.modality = list(modality)
        self.membership_files = [Path(file) for file in membership_files]
        self.pooled_size = pooled_size
        self.seen = 0

    def start(self, engine: Engine) -> None:
        super().start(engine)
        self.seen = 0

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        batch = engine.state.batch
        features: Any = [None] * len(batch)
        if self.extractor is not None:
            encoded = [encode_images(engine, self.extractor, flips=axes) for axes in VIEWS]
            features = np.stack(encoded, axis=1)  # (B, 4, F)
        for element, feature in zip(batch, features, strict=True):
            row = {"position": self.seen, "name": element["source"], "features": feature}
            self.seen += 1
            if self.pooled_size is None:
                row["file"], row["unit"] = element["file"], element["source_patient"]
                row["thumbnail"] = make_thumbnail(np.asarray(_original(element).cpu()))
            else:
                row["unit"] = element["patient"] if element["part"] in REAL else element["source"]
                row["features"] = (
                    functional.adaptive_avg_pool2d(element["image"], self.pooled_size).cpu().reshape(1, -1)
                )
            yield element["part"], row

    def finish(self, engine: Engine) -> None:
        membership = [read_dataclass(file, Share) for file in self.membership_files if file.is_file()]
        name = "dataset.json" if self.pooled_size is None else MANIFEST
        for folder in [*self.sets[:1], *(each for each in self.sets[1:] if (each / name).is_file())]:
            rows = self._rows_of(folder)
            tests = self._test(rows)
            audit = self._judge(rows, tests, membership)
            write_audit(folder / name, plain(audit))
        write_dataclass(self.folder / "memorisation.json", audit)
        if self.pooled_size is None and tests:
            self._draw(rows, tests["pixels"])

    def _rows_of(self, folder: Path) -> list[Row]:
        """What was compared of a set; candidates' images are told apart by the candidate."""
        if self.pooled_size is not None:
            return self.rows["synthetic"]
        compared = {(part, Path(row["file"]).name): row for part, rows in self.rows.items() for row in rows}
        rows = []
        for item in read_dataset(folder).items:
            candidate, name = item["synthetic"].get("candidate"), Path(image_files(item)[0]).name
            key = (candidate if candidate in self.rows else "synthetic", name)
            rows += [compared[key]] if key in compared else []
        if not rows:
            raise DatasetError(f"No image of {folder} was compared. Synthesise again, or raise --most_images.")
        return rows

    def _test(self, rows: Sequence[Row]) -> dict[str, CopyTest]:
        """By pixels and by features; nothing with held-out images of one patient alone."""
        training, held_out = (self.rows[part] for part in REAL)
        if len({row["unit"] for row in held_out}) < 2:
            return {}
        patients, held_out_patients = ([row["unit"] for row in part] for part in (rows, held_out))
        find = partial(find_copies, patients=patients, held_out_patients=held_out_patients)
        tests, parts = {}, (rows, training, held_out)
        if self.pooled_size is None:
            tests["pixels"] = find(image_distances, *(np.stack([row["thumbnail"] for row in part]) for part in parts))
        if self.extractor is not None or self.pooled_size is not None:
            features = _standardise(*(np.stack([np.asarray(row["features"]) for row in part]) for part in parts))
            tests["features"] = find(feature_distances, *features)
        return tests

    def _judge(self, rows: Sequence[Row], tests: dict[str, CopyTest], membership: list[Share]) -> Memorisation:
        failed = {name: test for name, test in tests.items() if test.p <= LEVEL / 2}
        count = len({row["unit"] for row in self.rows["held_out"]})
        if failed:
            verdict = FAILED
            found = [
                f"{test.copies:.0%} by {name} where {test.expected:.0%} is expected" for name, test in failed.items()
            ]
            reason = f"more images than chance allows are copies, {', '.join(found)}."
        elif any(test.told for test in tests.values()):
            verdict, reason = "passed", "no more images are copies than chance allows."
        else:
            verdict = "cannot be audited"
            reason = f"{count} held-out patients are too few to tell whether half of the images are copies."
        first = next(iter(tests.values()), None)
        nearest = [] if first is None else [rows[n]["name"] for n in np.argsort(first.ratios)[:NAMED]]
        return Memorisation(
            verdict=verdict,
            reason=reason,
            level=LEVEL,
            images=len(rows),
            held_out_patients=count,
            by={name: _summarise(test) for name, test in tests.items()},
            extractor="" if self.extractor is None else self.extractor.name,
            nearest=[Path(name).name for name in nearest],
            membership_auc=membership,
        )

    def _draw(self, rows: Sequence[Row], test: CopyTest) -> None:
        columns, titles = [], []
        thumbnails = {part: np.stack([row["thumbnail"] for row in self.rows[part]]) for part in REAL}
        for n in np.argsort(test.ratios)[:NAMED].tolist():
            shown = [rows[n]]
            for part in REAL:
                nearest = int(image_distances(rows[n]["thumbnail"][None], thumbnails[part])[0].argmin())
                shown.append(self.rows[part][nearest])
            images = [np.asarray(_original(self.dataset[row["position"]])) for row in shown]
            columns.append([picture for image in images for picture in image_pictures(image, self.modality)])
            titles.append(f"{test.ratios[n]:.2f}")
        row_titles = [
            title for part in ("made", "training", "held out") for title in picture_titles(self.modality, part)
        ]
        write_grid(columns, self.folder / "memorisation.png", row_titles=row_titles, column_titles=titles)


def _original(element: Row) -> torch.Tensor:
    """An element's image in [-1, 1], whatever else the networks see."""
    image: torch.Tensor = element["original" if "original" in element else "image"]
    return image


def _standardise(*parts: np.ndarray) -> list[np.ndarray]:
    """Features (n, V, F) in standard deviations of the second part's, the training's."""
    flat = standardise(parts[1].reshape(-1, parts[1].shape[-1]), *(part.reshape(-1, part.shape[-1]) for part in parts))
    return [made.reshape(part.shape) for made, part in zip(flat, parts, strict=True)]


def _summarise(test: CopyTest) -> Copies:
    medians = float(np.median(test.ratios)), float(np.median(test.real_ratios))
    return Copies(*medians, test.threshold, test.copies, test.expected, test.p)
