"""Scores of candidate generators' images, the choice of a generator, and the synthetic set of the images kept."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from torch import nn

from scripts.data.atomic import replacing
from scripts.data.candidates import PARTS
from scripts.data.contract import Dataset, DatasetError, Item, image_files, without_nan
from scripts.data.synthesis import ComparedSlices, write_synthetic_set
from scripts.handlers.compared_images import REAL, ComparedImages, stack_images
from scripts.metrics.nearest import make_thumbnail, nearest_distances
from scripts.metrics.overlap import PatientOverlap
from scripts.metrics.selection import CRITERIA, Judgement, Rules, choose_candidate, judge_images, rank_candidates
from scripts.metrics.sharpness import fourier_mean, laplacian_variance
from scripts.metrics.statistics import mean_by_patient
from scripts.networks.weights import Weights
from scripts.networks.wrapping import freeze
from scripts.pictures.grids import image_pictures, label_picture, picture_titles, write_grid
from scripts.scores.evidence import CandidateEntry, Filters, Selection, Share
from scripts.scores.json_files import write_dataclass

Row = dict[str, Any]
MEASURES = {"laplacian": "laplacian_variance", "fourier": "fourier_mean"}  # of sharpness, and their columns
SHOWN = 6  # images of each group in the picture
MOST_REFERENCES = 2000  # training images that others are compared with; of more, evenly spread ones


class CandidateScores(ComparedImages[Row]):
    """Attached to an evaluator that runs the scoring segmenter over real slices and every candidate's images.

    Scores each image by the segmenter's Dice with the asked mask (FCN score), by its sharpness, and by the probability
    of "real" of the classifier that was not trained on its patient. Then chooses the candidate with the best mean rank,
    filters its images, and writes `selection.json`, `dataset.json` (copies of the kept images, each with its
    scores), and `selection.png` (kept images, and those that each filter rejected). `nearest_training` says how far, in
    mean absolute difference of thumbnails, images are from the nearest training image (for real ones: of another
    patient): candidates far below held-out real images repeat what they were shown.

    Args:
        dataset: what the evaluator runs through, in order.
        description: of the real data set.
        candidates: name -> items of its synthetic set.
        scorer: weights of the segmenter; whom it was trained on is compared with the training slices' patients.
        classifiers: one per part of the patients, trained without that part; empty to leave realness out.
        classifier_weights: theirs, in the same order.
        parts: patient -> part, see `patient_parts`; other patients are judged by the mean of the classifiers.
        rules: minima for an image.
        blurriness: "laplacian" (the paper's choice) or "fourier".
        output_dir: folder of the synthetic set of the kept images.

    Raises:
        ValueError: not one classifier per part, one that was trained on the part it is to judge, an unknown measure, a
            folder with another data set in it; after the scores are written, rules that no image passes.
    """

    def __init__(
        self,
        *,
        dataset: ComparedSlices,
        description: Dataset,
        candidates: Mapping[str, Sequence[Item]],
        scorer: Weights,
        classifiers: Sequence[nn.Module],
        classifier_weights: Sequence[Weights],
        parts: Mapping[str, int] | None,
        rules: Rules,
        output_dir: str | Path,
        blurriness: str = "laplacian",
    ) -> None:
        if blurriness not in MEASURES:
            raise ValueError(f"blurriness is {blurriness!r}, expected one of {', '.join(MEASURES)}.")
        super().__init__()
        self.dataset = dataset
        self.description = description
        self.candidates = dict(candidates)
        self.known_parts = (*REAL, *self.candidates)
        self.classifiers = [freeze(classifier) for classifier in classifiers]
        self.parts = dict(parts or {})
        self.rules = rules
        self.folder = Path(output_dir).absolute()
        self.blurriness = blurriness
        self.patients = {item["patient"] for item in dataset.parts["training"].data}
        self.leaks = not set(scorer.trained_on) <= self.patients
        self._check_classifiers(classifier_weights)
        judges = [scorer, *classifier_weights]
        self.trained_on = sorted(self.patients.union(*(judge.trained_on for judge in judges)))
        if (self.folder / "dataset.json").exists() and not (self.folder / "selection.json").exists():
            raise DatasetError(f"{self.folder} holds another data set. Name another --output_dir.")

    def _check_classifiers(self, weights: Sequence[Weights]) -> None:
        if len(weights) not in (0, PARTS):
            raise ValueError(
                f"classifier_files names {len(weights)} files, expected none or {PARTS}: the classifiers trained with "
                "--part 0 and --part 1, in this order."
            )
        for part, each in enumerate(weights):
            own = sorted(patient for patient in each.settings["own_patients"] if self.parts.get(patient) == part)
            if own:
                raise ValueError(
                    f"{each.file} was trained on patient {own[0]!r} of part {part}, whom it is to judge. Give the "
                    "classifiers of --part 0 and --part 1 in this order, trained on this fold and fraction."
                )

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        images = stack_images(engine)
        realness = [classifier(images).float().sigmoid()[:, 0].cpu().numpy() for classifier in self.classifiers]
        for n, (element, output) in enumerate(zip(engine.state.batch, engine.state.output, strict=True)):
            overlap = PatientOverlap(self.description.foreground_count)
            overlap.add(torch.as_tensor(output["pred"])[0], torch.as_tensor(output["label"])[0])
            image = np.asarray(element["image"].cpu())
            patient = element["source_patient"]
            row = {
                "file": element["file"],
                "patient": patient,
                "fcn_score": overlap.mean_dice(),
                "laplacian_variance": laplacian_variance(image),
                "fourier_mean": fourier_mean(image),
                "realness": self._realness([values[n] for values in realness], patient),
                "thumbnail": make_thumbnail(image),
            }
            row["sharpness"] = row[MEASURES[self.blurriness]]
            yield element["part"], row

    def _realness(self, values: Sequence[float], patient: str) -> float:
        if not values:
            return math.nan
        return float(values[self.parts[patient]] if patient in self.parts else np.mean(values))

    def finish(self, engine: Engine) -> None:
        scores = {name: self._mean_scores(self.rows[name]) for name in self.candidates}
        chosen = choose_candidate(scores)
        rows = self.rows[chosen]
        sharpness = float(np.median([row["sharpness"] for row in self.rows["training"]]))
        judgement = judge_images(rows, self.rules, real_sharpness=sharpness)
        self._draw(chosen, judgement)
        write_dataclass(self.folder / "selection.json", self._describe(scores, chosen, judgement))
        if not judgement.kept.any():
            raise ValueError(
                f"No image of {chosen} passes the filters ({self.folder / 'selection.json'} has all scores). Lower "
                "--minimum_fcn_score, --minimum_sharpness or --minimum_realness, or raise --minimum_kept_share."
            )
        self._write_set(chosen, rows, judgement)

    def _mean_scores(self, rows: Sequence[Row]) -> dict[str, float]:
        """What candidates are ranked by: FCN score by patient, sharpness, and the share of images called real."""
        real = [row["realness"] >= self.rules.realness for row in rows if not math.isnan(row["realness"])]
        return {
            "fcn_score": _mean_dice(rows).value,
            "sharpness": float(np.mean([row["sharpness"] for row in rows])),
            "realness": float(np.mean(real)) if real else math.nan,
        }

    def _describe(self, scores: dict[str, dict[str, float]], chosen: str, judgement: Judgement) -> Selection:
        ranks = rank_candidates(scores)
        notes = []
        if not self.classifiers:
            notes.append("No classifier of real and synthetic images: realness was not judged.")
        if judgement.topped_up:
            notes.append(
                f"Fewer than {self.rules.kept_share:.0%} of the images passed all filters; the best by mean rank were "
                "kept up to that share, although filters had rejected them."
            )
        return Selection(
            system="lcgan",
            criterion=f"mean rank of FCN score, sharpness ({self.blurriness}) and share called real",
            scorer="LEAKS: trained on more patients than this fraction"
            if self.leaks
            else "trained on the same patients",
            notes=notes,
            rules={
                "minimum_fcn_score": self.rules.fcn_score,
                "minimum_sharpness": self.rules.sharpness,
                "minimum_realness": self.rules.realness,
            },
            candidates=[
                replace(self._summary(self.rows[name]), name=name, mean_rank=ranks[name], chosen=name == chosen)
                for name in self.candidates
            ],
            real={part: self._summary(self.rows[part]) for part in REAL},
            filters=Filters(
                images=len(judgement.kept),
                kept=int(judgement.kept.sum()),
                rejected={name: int(failed.sum()) for name, failed in judgement.failed.items()},
            ),
        )

    def _summary(self, rows: Sequence[Row]) -> CandidateEntry:
        return CandidateEntry(
            images=len(rows),
            fcn_score=_mean_dice(rows),
            laplacian_variance=float(np.mean([row["laplacian_variance"] for row in rows])),
            fourier_mean=float(np.mean([row["fourier_mean"] for row in rows])),
            called_real=self._mean_scores(rows)["realness"],
            nearest_training=self._nearest_training(rows),
        )

    def _nearest_training(self, rows: Sequence[Row]) -> float:
        training = self.rows["training"]
        training = training[:: math.ceil(len(training) / MOST_REFERENCES)]
        owners = [[row["patient"] for row in part] for part in (rows, training)]
        images = [np.stack([row["thumbnail"] for row in part]) for part in (rows, training)]
        is_real = any(rows is self.rows[part] for part in REAL)
        distances = nearest_distances(images[0], images[1], owners=(owners[0], owners[1]) if is_real else None)
        return float(np.nanmean(distances)) if not np.isnan(distances).all() else math.nan

    def _write_set(self, chosen: str, rows: Sequence[Row], judgement: Judgement) -> None:
        by_file = {image_files(item)[0]: item for item in self.candidates[chosen]}
        items = []
        for row, kept in zip(rows, judgement.kept, strict=True):
            if kept:
                item = by_file[row["file"]]
                scores = without_nan({name: round(row[name], 6) for name in CRITERIA})
                files = {
                    key: str(_copy(item[key], self.folder / folder))
                    for key, folder in (("image", "images"), ("label", "labels"))
                }
                provenance = {**item["synthetic"], "candidate": chosen, "scores": scores}
                items.append({**item, **files, "synthetic": provenance})
        write_synthetic_set(self.folder, self.description, items, self.trained_on)

    def _draw(self, chosen: str, judgement: Judgement) -> None:
        """Columns of images with their masks: the kept ones, then those that each filter rejected."""
        modality = self.description.modality
        groups = {"kept": judgement.kept, **{f"not {n}": failed for n, failed in judgement.failed.items()}}
        columns, titles = [], []
        for title, members in groups.items():
            for n in np.flatnonzero(members)[:SHOWN].tolist():
                element = self.dataset.parts[chosen][n]
                mask = label_picture(np.asarray(element["label"])[0], self.description.foreground_count)
                columns.append([mask, *image_pictures(np.asarray(element["image"]), modality)])
                titles.append(title)
        row_titles = ["mask", *picture_titles(modality, "made")]
        write_grid(columns, self.folder / "selection.png", row_titles=row_titles, column_titles=titles)


def _mean_dice(rows: Sequence[Row]) -> Share:
    """The mean FCN score over source patients, where it is defined."""
    return Share(*mean_by_patient([row["patient"] for row in rows], [row["fcn_score"] for row in rows]))


def _copy(file: str, folder: Path) -> Path:
    """The file's copy in a folder, whole or not there; the disk space is shared where the file system can."""
    copy = folder / Path(file).name
    with replacing(copy) as temporary:
        try:
            os.link(file, temporary)
        except OSError:
            shutil.copyfile(file, temporary)
    return copy
