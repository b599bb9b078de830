"""Scores of candidate generators' images, the choice of a generator, and the synthetic set of the images kept."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from torch import nn

from scripts.data.atomic import replacing
from scripts.data.contract import Dataset, DatasetError, image_files, source_patients, without_nan
from scripts.data.synthesis import ComparedSlices, write_synthetic_set
from scripts.handlers.compared_images import REAL, ComparedImages, count_filters, stack_images
from scripts.metrics.nearest import make_thumbnail, nearest_distances
from scripts.metrics.overlap import PatientOverlap
from scripts.metrics.selection import (
    CRITERIA,
    Judgement,
    Rules,
    choose_candidate,
    judge_images,
    mean_of_unseen,
    measure_novelty,
    rank_candidates,
)
from scripts.metrics.sharpness import fourier_mean, laplacian_variance
from scripts.metrics.statistics import mean_by_patient
from scripts.networks.weights import Weights
from scripts.networks.wrapping import freeze
from scripts.pictures.grids import image_pictures, label_picture, picture_titles, write_grid
from scripts.scores.evidence import CandidateEntry, Selection, Share
from scripts.scores.json_files import write_dataclass
from scripts.transforms.prediction import to_label_map

Row = dict[str, Any]
MEASURES = {"laplacian": "laplacian_variance", "fourier": "fourier_mean"}  # of sharpness, and their columns
SHOWN = 6  # images of each group in the picture
MOST_REFERENCES = 2000  # training images that others are compared with; of more, evenly spread ones
SCORERS = {
    "more": "LEAKS: trained on more patients than the generator, or this fraction",
    "all": "LEAKS: trained on the training patients, so copies of their images score like these",
    "unseen": "cross-fitted: each image by those that know the fewest of its source patients",
}


class CandidateScores(ComparedImages[Row]):
    """Attached to an evaluator that runs through real slices and those of every candidate's synthetic set, all whole.

    Scores each image by the segmenters' Dice with the asked mask (FCN score; `presence` is that of the worst asked
    label), its sharpness, a classifier's probability of "real", and how far it lies from training images (`novelty`).
    Of several segmenters or classifiers those judge an image that know the fewest of its source patients, see
    `mean_of_unseen`. Then chooses the candidate with the best mean rank, filters its images, and writes
    `selection.json`, `dataset.json` (copies of the kept images, each with its scores), and `selection.png` (kept
    images, and those that each filter rejected). `nearest_training` says how far, in
    `nearest_distances`, images are from the nearest training image (for training images: of another patient).

    Elements hold `image`, as the segmenters see it, and where that is not in [-1, 1] the image in it as `original`.

    Args:
        dataset: what the evaluator runs through, in order; parts besides the real ones are the candidates.
        description: of the real data set.
        scorers: segmenters: images (B, C, S, S) to logits of the labels, with or without the background's.
        scorer_weights: theirs, in the same order.
        rules: minima for an image.
        output_dir: folder of the synthetic set of the kept images.
        system: that made the candidates.
        classifiers: of real and synthetic images, each trained without some of the patients; empty to leave realness
            out.
        classifier_weights: theirs, in the same order.
        blurriness: "laplacian" (the paper's choice) or "fourier".

    Raises:
        ValueError: classifiers that all know a training patient, an unknown measure; after the scores are written,
            rules that no image passes.
        DatasetError: a folder with another data set in it, or images that were not compared.
    """

    def __init__(
        self,
        *,
        dataset: ComparedSlices,
        description: Dataset,
        scorers: Sequence[nn.Module],
        scorer_weights: Sequence[Weights],
        rules: Rules,
        output_dir: str | Path,
        system: str = "lcgan",
        classifiers: Sequence[nn.Module] = (),
        classifier_weights: Sequence[Weights] = (),
        blurriness: str = "laplacian",
    ) -> None:
        if blurriness not in MEASURES:
            raise ValueError(f"blurriness is {blurriness!r}, expected one of {', '.join(MEASURES)}.")
        super().__init__()
        self.dataset = dataset
        self.description = description
        self.candidates = [part for part in dataset.parts if part not in REAL]
        self.known_parts = (*REAL, *self.candidates)
        self.items = {image_files(item)[0]: item for part in dataset.parts.values() for item in part.data}
        self.scorers = [freeze(scorer) for scorer in scorers]
        self.classifiers = [freeze(classifier) for classifier in classifiers]
        self.rules = rules
        self.folder = Path(output_dir).absolute()
        self.system = system
        self.blurriness = blurriness
        patients = {item["patient"] for item in dataset.parts["training"].data}
        self.known_to_scorers = [set(weights.trained_on) for weights in scorer_weights]
        self.known_to_classifiers = [set(weights.settings["own_patients"]) for weights in classifier_weights]
        self.scorer = "unseen"
        if not set.union(*self.known_to_scorers) <= patients:
            self.scorer = "more"
        elif patients.intersection(*self.known_to_scorers):
            self.scorer = "all"
        if self.classifiers and (known := patients.intersection(*self.known_to_classifiers)):
            files = ", ".join(str(weights.file) for weights in classifier_weights)
            raise ValueError(
                f"classifier_files: {files} were all trained on patient {min(known)!r}, whom one of them is to judge. "
                "Give the classifiers of --part 0 and --part 1, trained on this fold and fraction."
            )
        self.trained_on = sorted(patients.union(*(each.trained_on for each in (*scorer_weights, *classifier_weights))))
        if (self.folder / "dataset.json").exists() and not (self.folder / "selection.json").exists():
            raise DatasetError(f"{self.folder} holds another data set. Name another --output_dir.")

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        images = stack_images(engine)
        logits = [scorer(images) for scorer in self.scorers]  # (B, K, S, S) each
        realness = [classifier(images).float().sigmoid()[:, 0].cpu().numpy() for classifier in self.classifiers]
        for n, element in enumerate(engine.state.batch):
            image = np.asarray(element.get("original", element["image"]).cpu())
            sources = source_patients(self.items[element["file"]])
            overlaps = [self._overlap(each[n], element["label"][0]) for each in logits]
            values = {
                "fcn_score": ([overlap.mean_dice() for overlap in overlaps], self.known_to_scorers),
                "presence": ([_worst_dice(overlap) for overlap in overlaps], self.known_to_scorers),
                "realness": ([float(each[n]) for each in realness] or [math.nan], self.known_to_classifiers or [set()]),
            }
            row = {
                "file": element["file"],
                "patient": element["source_patient"],
                "laplacian_variance": laplacian_variance(image),
                "fourier_mean": fourier_mean(image),
                "thumbnail": make_thumbnail(image),
                **{name: mean_of_unseen(*each, sources) for name, each in values.items()},
            }
            yield element["part"], {**row, "sharpness": row[MEASURES[self.blurriness]]}

    def _overlap(self, logits: torch.Tensor, label: torch.Tensor) -> PatientOverlap:
        """Of what a segmenter sees (K, S, S), with the asked label map (S, S)."""
        count = self.description.foreground_count
        found = to_label_map(logits)[0] if len(logits) == count else logits.argmax(dim=0)  # (S, S)
        overlap = PatientOverlap(count)
        overlap.add(found.cpu(), torch.as_tensor(label).cpu())
        return overlap

    def finish(self, engine: Engine) -> None:
        for name in self.candidates:
            judged, made = len(self.rows[name]), len(self.dataset.parts[name].data)
            if judged != made:
                raise DatasetError(
                    f"{judged} of the {made} images of {name} are judged, expected all. Leave most_images out."
                )
        self._measure_novelty()
        scores = {name: self._mean_scores(self.rows[name]) for name in self.candidates}
        chosen = choose_candidate(scores, least_novel=self.rules.kept_share)
        rows = self.rows[chosen]
        sharpness = float(np.median([row["sharpness"] for row in self.rows["training"]]))
        judgement = judge_images(rows, self.rules, real_sharpness=sharpness)
        self._draw(chosen, judgement)
        write_dataclass(self.folder / "selection.json", self._describe(scores, chosen, judgement))
        if not judgement.kept.any():
            raise ValueError(
                f"No image of {chosen} passes the filters ({self.folder / 'selection.json'} has all scores). Lower "
                "the minimum of the one that rejects most, or raise --minimum_kept_share."
            )
        self._write_set(rows, judgement, chosen)

    def _measure_novelty(self) -> None:
        """Adds to each row how far the nearest training image is, and how many held-out images lie nearer to one."""
        training = self.rows["training"][:: math.ceil(len(self.rows["training"]) / MOST_REFERENCES)]
        references = np.stack([row["thumbnail"] for row in training])
        distances = {}
        for part, rows in self.rows.items():
            own = [row["patient"] if part == "training" else "" for row in rows]
            owners = (own, [row["patient"] for row in training])
            distances[part] = nearest_distances(np.stack([row["thumbnail"] for row in rows]), references, owners=owners)
        for part, rows in self.rows.items():
            novelty = measure_novelty(distances[part], distances["held_out"])
            for n, row in enumerate(rows):
                row.update(nearest=float(distances[part][n]), novelty=float(novelty[n]))

    def _mean_scores(self, rows: Sequence[Row]) -> dict[str, float]:
        """What candidates are ranked by: FCN score by patient, sharpness, shares of images real and novel enough."""
        return {
            "fcn_score": _by_patient(rows, "fcn_score").value,
            "sharpness": float(np.mean([row["sharpness"] for row in rows])),
            "realness": _share_from(rows, "realness", self.rules.realness),
            "novelty": _share_from(rows, "novelty", self.rules.novelty) if self.rules.novelty else math.nan,
        }

    def _describe(self, scores: dict[str, dict[str, float]], chosen: str, judgement: Judgement) -> Selection:
        ranks = rank_candidates(scores)
        items = [self.items[row["file"]] for row in self.rows[chosen]]
        notes = []
        if self.rules.realness and not self.classifiers:
            notes.append("No classifier of real and synthetic images: realness was not judged.")
        if judgement.topped_up:
            notes.append(
                f"Fewer than {self.rules.kept_share:.0%} of the images passed all filters; the best by mean rank were "
                "kept up to that share, although filters had rejected them."
            )
        mixed = sum(all(known.intersection(source_patients(item)) for known in self.known_to_scorers) for item in items)
        if self.scorer == "unseen" and mixed:
            notes.append(f"{mixed} of {len(items)} images have source patients whom every segmenter knows one of.")
        return Selection(
            system=self.system,
            criterion=f"mean rank of FCN score, sharpness ({self.blurriness}), share called real and share novel",
            scorer=SCORERS[self.scorer],
            notes=notes,
            rules={f"minimum_{name}": getattr(self.rules, name) for name in CRITERIA},
            candidates=[
                replace(self._summary(self.rows[name]), name=name, mean_rank=ranks[name], chosen=name == chosen)
                for name in self.candidates
            ],
            real={part: self._summary(self.rows[part]) for part in REAL},
            filters=count_filters(judgement.kept, judgement.failed, items),
        )

    def _summary(self, rows: Sequence[Row]) -> CandidateEntry:
        nearest = np.array([row["nearest"] for row in rows])
        return CandidateEntry(
            images=len(rows),
            fcn_score=_by_patient(rows, "fcn_score"),
            laplacian_variance=float(np.mean([row["laplacian_variance"] for row in rows])),
            fourier_mean=float(np.mean([row["fourier_mean"] for row in rows])),
            called_real=_share_from(rows, "realness", self.rules.realness),
            nearest_training=float(np.nanmean(nearest)) if not np.isnan(nearest).all() else math.nan,
            novelty=float(np.mean([row["novelty"] for row in rows])),
            presence=_by_patient(rows, "presence"),
        )

    def _write_set(self, rows: Sequence[Row], judgement: Judgement, chosen: str) -> None:
        items = []
        for row in (row for row, kept in zip(rows, judgement.kept, strict=True) if kept):
            item = self.items[row["file"]]
            scores = without_nan({name: round(row[name], 6) for name in CRITERIA})
            copies = {key: str(_copy(item[key], self.folder / f"{key}s")) for key in ("image", "label")}
            items.append({**item, **copies, "synthetic": {**item["synthetic"], "candidate": chosen, "scores": scores}})
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
                image = np.asarray(element.get("original", element["image"]))
                columns.append([mask, *image_pictures(image, modality)])
                titles.append(title)
        row_titles = ["mask", *picture_titles(modality, "made")]
        write_grid(columns, self.folder / "selection.png", row_titles=row_titles, column_titles=titles)


def _worst_dice(overlap: PatientOverlap) -> float:
    """The least Dice of an asked label; NaN where none is asked."""
    asked = [overlap.dice(int(k)) for k in np.flatnonzero(overlap.reference)]
    return min(asked, default=math.nan)


def _by_patient(rows: Sequence[Row], criterion: str) -> Share:
    """The mean of a criterion over source patients, where it is defined."""
    return Share(*mean_by_patient([row["patient"] for row in rows], [row[criterion] for row in rows]))


def _share_from(rows: Sequence[Row], criterion: str, minimum: float) -> float:
    """Share of the images that reach a minimum, of those where the criterion is known."""
    known = [row[criterion] >= minimum for row in rows if not math.isnan(row[criterion])]
    return float(np.mean(known)) if known else math.nan


def _copy(file: str, folder: Path) -> Path:
    """The file's copy in a folder, whole or not there; the disk space is shared where the file system can."""
    copy = folder / Path(file).name
    with replacing(copy) as temporary:
        try:
            os.link(file, temporary)
        except OSError:
            shutil.copyfile(file, temporary)
    return copy
