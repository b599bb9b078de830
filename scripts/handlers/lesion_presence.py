"""Which synthetic images show a lesion where one was asked for, and the synthetic set without the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite.engine import Engine
from torch import nn

from scripts.data.boxes import find_boxes
from scripts.data.contract import (
    DatasetError,
    image_files,
    read_dataset,
    stem,
    write_dataset,
)
from scripts.data.synthesis import ComparedSlices
from scripts.handlers.compared_images import REAL, ComparedImages, count_filters, stack_images, true_boxes
from scripts.metrics.box_matching import compute_iou
from scripts.metrics.presence import find_direction, measure_contrast, mirror_boxes
from scripts.metrics.statistics import mean_by_patient
from scripts.networks.wrapping import freeze
from scripts.pictures.box_overlays import frame_boxes
from scripts.pictures.grids import image_pictures, picture_titles, write_grid
from scripts.scores.evidence import BoxScores, Dropped, Presence, PresencePart, Share
from scripts.scores.json_files import plain, write_dataclass
from scripts.transforms.prediction import to_label_map

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
SHOWN = 8  # dropped and kept images in the picture
SIDE = 160  # of each, in pixels
MIRRORED = "training_mirrored"
Row = dict[str, Any]


class LesionPresence(ComparedImages[Row]):
    """Attached to an evaluator that runs through `ComparedSlices` of boxed slices, real and synthetic.

    "Use both success/failure cases for DA without post-processing, unless the synthetic images clearly lack disease
    appearance" (Han et al., 2019, section 2.3): an image is dropped only if no lesion appears in its boxes, however
    it looks otherwise. A box's contrast is that of `scripts.metrics.presence`, along the mean of the real training
    boxes; what a given share of these do not reach is too little. With a detector a box shows a lesion if the detector
    finds one there, of any class; with a segmenter if it finds one whose box overlaps enough, of any label. A box that
    cannot be judged counts as showing one. The paper's authors judged by eye.

    Writes into the folder:

    - `presence.json`, see `Presence`, with the parts "training", "held_out", "synthetic" and "training_mirrored" (boxes
      at the mirror place of real ones, which hold no annotated lesion: how many of them pass says how far the criterion
      can be trusted);
    - `dropped.png`: dropped images, and some kept ones, with boxes that pass in blue and others in orange;
    - `kept/dataset.json`: the synthetic set of the kept images, whose files stay where they are, each with these scores
      as `presence` of its `synthetic`.

    Args:
        dataset: what the evaluator runs through; its synthetic part must be whole.
        synthetic_dir: the synthetic set.
        output_dir: the folder.
        minimum_contrast_quantile: share of the real training boxes that lie below the threshold, in [0, 1).
        require_every_box: drops an image with any box without lesion; False only one whose boxes all are.
        detector: see `YOLOv3`, or None to judge by contrast.
        inferer: how the detector is called, see `DetectionInferer`.
        minimum_score: of a detection that counts, in (0, 1].
        minimum_iou: of a detection, or the box of a lesion that the segmenter finds, with the box, in (0, 1]; the
            paper's lower threshold is 0.25.
        segmenter: images (B, C, S, S) in [-1, 1] to logits (B, K, S, S) of the K labels.
        by_segmenter: whether it judges, in place of contrast and detector.

    Raises:
        ValueError: an argument out of range; after the scores are written, if no image is left.
        DatasetError: compared images that are not all of the synthetic set, another data set in the folder, or a
            detector that knows more than the training patients.
    """

    known_parts = (*REAL, "synthetic", MIRRORED)

    def __init__(
        self,
        *,
        dataset: ComparedSlices,
        synthetic_dir: str | Path,
        output_dir: str | Path,
        minimum_contrast_quantile: float = 0.05,
        require_every_box: bool = False,
        detector: nn.Module | None = None,
        inferer: Callable[..., Sequence[Mapping[str, torch.Tensor]]] | None = None,
        minimum_score: float = 0.1,
        minimum_iou: float = 0.25,
        segmenter: nn.Module | None = None,
        by_segmenter: bool = False,
    ) -> None:
        if not 0 <= minimum_contrast_quantile < 1:
            raise ValueError(f"minimum_contrast_quantile is {minimum_contrast_quantile}, expected 0 to below 1.")
        for name, value in (("score", minimum_score), ("iou", minimum_iou)):
            if not 0 < value <= 1:
                raise ValueError(f"minimum_detection_{name} is {value}, expected a number above 0 and up to 1.")
        if by_segmenter and segmenter is None:
            raise ValueError("filter_by_segmenter is True without a segmenter. Pass --segmenter_file, or leave it out.")
        super().__init__()
        self.synthetic = read_dataset(synthetic_dir)
        self.items = {image_files(item)[0]: item for item in self.synthetic.items}
        self.folder = Path(output_dir).absolute()
        self.quantile = minimum_contrast_quantile
        self.require_every_box = require_every_box
        self.detector = None if detector is None else freeze(detector)
        self.segmenter = freeze(segmenter) if by_segmenter and segmenter is not None else None
        self.criterion = "segmenter" if by_segmenter else "contrast" if detector is None else "detector"
        self.key = "contrast" if self.criterion == "contrast" else "detection"  # of the rows, that the criterion is of
        self.minimum_score = minimum_score
        self.minimum_iou = minimum_iou
        self.inferer = inferer
        self.dataset = dataset
        self._check(dataset)

    def _check(self, dataset: ComparedSlices) -> None:
        compared = sum(part == "synthetic" for part, _ in dataset.places)
        if compared != len(self.synthetic.items):
            raise DatasetError(
                f"{compared} of the {len(self.synthetic.items)} images of {self.synthetic.root} are compared, expected "
                "all, each with a box. Leave most_images of the data set out, or synthesise again."
            )
        kept = self.folder / "kept"
        foreign = (kept / "dataset.json").exists() and not (self.folder / "presence.json").exists()
        if foreign or kept == self.synthetic.root:
            raise DatasetError(f"{kept} holds another data set. Name another --output_dir.")

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        found: Sequence[Any] = [None] * len(engine.state.batch)
        if self.segmenter is not None:
            found = [_find_lesions(logits) for logits in self.segmenter(stack_images(engine))]
        elif self.detector is not None and self.inferer is not None:
            found = self.inferer(stack_images(engine), self.detector)
        for element, detections in zip(engine.state.batch, found, strict=True):
            image = np.asarray(element["image"].cpu())
            boxes = true_boxes(element)  # (n, 4)
            yield element["part"], self._judge(element, image, boxes, detections)
            if element["part"] == "training":
                yield MIRRORED, self._judge(element, image, mirror_boxes(boxes, image.shape[1]), detections)

    def _judge(self, element: Row, image: np.ndarray, boxes: np.ndarray, detections: Any) -> Row:
        detected = np.full(len(boxes), np.nan)
        if self.criterion == "segmenter":
            detected = compute_iou(boxes, detections).max(axis=1, initial=0)
        elif detections is not None:
            overlaps = compute_iou(boxes, detections["pred_boxes"].cpu().numpy()) >= self.minimum_iou  # (n, m)
            scores = np.where(overlaps, detections["pred_scores"].cpu().numpy(), 0)
            detected = scores.max(axis=1, initial=0)
        row = {"file": element["file"], "patient": element["source_patient"], "detection": detected}
        return {**row, "contrasts": measure_contrast(image, boxes)}

    def finish(self, engine: Engine) -> None:
        direction = find_direction(np.concatenate([row["contrasts"] for row in self.rows["training"]]))
        for row in (row for rows in self.rows.values() for row in rows):
            row["contrast"] = row["contrasts"] @ direction  # (n,)
        known = np.concatenate([row["contrast"] for row in self.rows["training"]])
        least = {
            "contrast": float(np.nanquantile(known, self.quantile)),
            "detector": self.minimum_score,
            "segmenter": self.minimum_iou,
        }[self.criterion]
        for row in (row for rows in self.rows.values() for row in rows):
            row["present"] = ~(row[self.key] < least)  # NaN passes
        every = np.all if self.require_every_box else np.any
        kept = np.array([bool(every(row["present"])) for row in self.rows["synthetic"]])
        self._draw(kept)
        write_dataclass(self.folder / "presence.json", self._describe(direction, least, kept))
        if not kept.any():
            raise ValueError(
                f"No synthetic image shows a lesion ({self.folder / 'presence.json'} has all scores). Train the "
                "generator longer, or lower --minimum_contrast_quantile or --minimum_detection_score."
            )
        self._write_set(kept)

    def _describe(self, direction: np.ndarray, least: float, kept: np.ndarray) -> Presence:
        judged = zip(self.rows["synthetic"], kept, strict=True)
        items = [self.items[row["file"]] for row in self.rows["synthetic"]]
        return Presence(
            criterion=self.criterion,
            threshold=least,
            images=len(kept),
            kept=int(kept.sum()),
            parts={part: _summarise(rows) for part, rows in self.rows.items()},
            quantile=self.quantile if self.criterion == "contrast" else float("nan"),
            every_box=self.require_every_box,
            channels=self.synthetic.modality,
            direction=direction.tolist(),
            dropped=[Dropped(**_scores(row), name=stem(row["file"])) for row, is_kept in judged if not is_kept],
            filters=count_filters(kept, {self.criterion: ~kept}, items),
        )

    def _write_set(self, kept: np.ndarray) -> None:
        scored = []
        for row, is_kept in zip(self.rows["synthetic"], kept, strict=True):
            if is_kept:
                item, presence = self.items[row["file"]], plain(BoxScores(**_scores(row)))
                scored.append({**item, "synthetic": {**item["synthetic"], "presence": presence}})
        folder = self.folder / "kept"
        write_dataset(folder, replace(self.synthetic, root=folder, splits={"training": scored}))

    def _draw(self, kept: np.ndarray) -> None:
        """Columns of dropped images, the faintest first, then of kept ones from the faintest to the clearest."""
        rows, slices = self.rows["synthetic"], self.dataset.parts["synthetic"]
        extreme = np.min if self.require_every_box else np.max  # of the box that decides
        best = np.array([extreme(np.nan_to_num(row[self.key], nan=np.inf)) for row in rows])
        order = np.argsort(best, kind="stable")
        dropped, others = order[~kept[order]][:SHOWN], order[kept[order]]
        count = min(SHOWN, len(others))
        chosen = [*dropped, *others[np.linspace(0, len(others) - 1, count).astype(int)]]
        columns, titles = [], []
        for n in map(int, chosen):
            element = slices[n]
            boxes = np.asarray(element["boxes"])[: len(rows[n]["present"])]
            pictures = image_pictures(np.asarray(element["image"]), self.synthetic.modality)
            columns.append([frame_boxes(picture, boxes, rows[n]["present"], side=SIDE) for picture in pictures])
            titles.append(f"{'kept' if kept[n] else 'dropped'}, {self.key} {best[n]:.2f}")
        row_titles = picture_titles(self.synthetic.modality, "made")
        write_grid(columns, self.folder / "dropped.png", row_titles=row_titles, column_titles=titles, cell_size=SIDE)


def _find_lesions(logits: torch.Tensor) -> np.ndarray:
    """Boxes (m, 4) of the separate lesions of a segmenter's logits (K, S, S), of whatever label."""
    return find_boxes((to_label_map(logits) > 0).cpu().numpy()[0].astype(np.uint8))[0]


def _scores(row: Row) -> dict[str, list[float]]:
    """A row's scores of each box, as `BoxScores` has them."""
    return {key: [round(float(value), 4) for value in row[key]] for key in ("contrast", "detection")}


def _summarise(rows: Sequence[Row]) -> PresencePart:
    contrast = np.concatenate([row["contrast"] for row in rows])
    known = contrast[~np.isnan(contrast)]
    owners = [row["patient"] for row in rows for _ in row["present"]]
    present = mean_by_patient(owners, np.concatenate([row["present"] for row in rows]).astype(float))
    quantiles = {f"{q:g}": float(np.quantile(known, q)) if len(known) else np.nan for q in QUANTILES}
    return PresencePart(len(contrast), Share(*present), quantiles)
