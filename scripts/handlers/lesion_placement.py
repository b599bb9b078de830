"""How often a segmenter sees a lesion in the boxes of real and synthetic images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ignite.engine import Engine
from torch import nn

from scripts.data.boxes import BoxedSlices
from scripts.data.contract import Dataset, source_patient
from scripts.data.synthesis import ComparedSlices
from scripts.handlers.compared_images import REAL, ComparedImages, stack_images, true_boxes
from scripts.metrics.presence import area_inside, lesion_shares, pair_with_others
from scripts.metrics.statistics import mean_by_patient
from scripts.networks.weights import Weights
from scripts.networks.wrapping import freeze
from scripts.pictures.box_overlays import outline_lesion
from scripts.pictures.grids import channel_picture, check_shown_channel, write_grid
from scripts.scores.evidence import Placement, PlacementPart, Share
from scripts.scores.json_files import write_dataclass
from scripts.transforms.prediction import to_label_map

SHOWN = 12  # synthetic images in the picture
SIDE = 160  # of each, in pixels
SHUFFLED = "synthetic_shuffled"
Row = dict[str, Any]


class LesionPlacement(ComparedImages[Row]):
    """Attached to an evaluator that runs through `ComparedSlices` of boxed slices, real and synthetic.

    Pixels that the segmenter gives to any label are lesion. A box has a lesion where lesion covers a given share of it.
    Training images flatter the segmenter, which has seen them: what can be expected of the best synthetic images is
    what it finds in held-out ones, what of images that ignore their boxes is "synthetic_shuffled".

    Writes into the folder:

    - `placement.json`, see `Placement`, with the parts "training", "held_out", "synthetic" and "synthetic_shuffled"
      (synthetic images judged by the boxes of another one, of another patient wherever that can be);
    - `placement.png`: some synthetic images, without and with the boxes asked for and the segmenter's contours.

    Args:
        dataset: what the evaluator runs through, in its order.
        description: the real data set.
        fold: of the cross-validation.
        output_dir: the folder.
        segmenter: images (B, C, S, S) in [-1, 1] to logits (B, K, S, S) of the K labels.
        weights: of the segmenter.
        minimum_lesion_share: in (0, 1].
        shown_channel: of the images in the picture, from 0; RGB images are shown in colour.
        seed: of the images shown and of the shuffled boxes.

    Raises:
        ValueError: a share out of range.
        DatasetError: a channel that the images have not.
    """

    known_parts = (*REAL, "synthetic", SHUFFLED)

    def __init__(
        self,
        *,
        dataset: ComparedSlices,
        description: Dataset,
        output_dir: str | Path,
        segmenter: nn.Module,
        weights: Weights,
        minimum_lesion_share: float = 0.1,
        shown_channel: int = 0,
        seed: int = 0,
    ) -> None:
        if not 0 < minimum_lesion_share <= 1:
            raise ValueError(
                f"minimum_lesion_share is {minimum_lesion_share}, expected a share of the box above 0 and up to 1."
            )
        check_shown_channel(shown_channel, description)
        super().__init__()
        self.segmenter = freeze(segmenter)
        self.segmenter_name = weights.file.name
        self.folder = Path(output_dir)
        self.minimum_share = minimum_lesion_share
        self.modality = description.modality
        self.shown_channel = shown_channel
        self.others = _boxes_of_others(dataset, seed)
        count = min(SHOWN, len(self.others))
        self.shown = set(np.random.default_rng(seed).choice(len(self.others), count, replace=False).tolist())
        self.columns: list[list[np.ndarray]] = []
        self.titles: list[str] = []

    def start(self, engine: Engine) -> None:
        super().start(engine)
        self.columns, self.titles = [], []

    def measure(self, engine: Any) -> Iterator[tuple[str, Row]]:
        logits = self.segmenter(stack_images(engine))  # (B, K, S, S)
        for element, each in zip(engine.state.batch, logits, strict=True):
            lesion = to_label_map(each)[0].cpu().numpy() > 0  # (S, S)
            boxes = true_boxes(element)  # (n, 4)
            place = len(self.rows["synthetic"])
            yield element["part"], _compare(element["source_patient"], lesion, boxes)
            if element["part"] == "synthetic":
                if place in self.shown:
                    self._draw(np.asarray(element["image"].cpu()), lesion, boxes)
                if len(self.others) > 1:
                    yield SHUFFLED, _compare(element["source_patient"], lesion, self.others[place])

    def _draw(self, image: np.ndarray, lesion: np.ndarray, boxes: np.ndarray) -> None:
        picture = channel_picture(image, self.modality, self.shown_channel)
        self.columns.append([picture, outline_lesion(picture, boxes, lesion.T, side=SIDE)])
        found = int((lesion_shares(lesion, boxes) >= self.minimum_share).sum())
        inside = f"{100 * area_inside(lesion, boxes):.0f}% inside" if lesion.any() else "no lesion"
        self.titles.append(f"{found} of {len(boxes)} boxes, {inside}")

    def finish(self, engine: Engine) -> None:
        titles = {"row_titles": ["made", "with boxes"], "column_titles": self.titles}
        write_grid(self.columns, self.folder / "placement.png", **titles, cell_size=SIDE)
        parts = {part: self._summarise(rows) for part, rows in self.rows.items()}
        write_dataclass(self.folder / "placement.json", Placement(parts, self.minimum_share, self.segmenter_name))

    def _summarise(self, rows: Sequence[Row]) -> PlacementPart:
        shares = np.concatenate([np.zeros(0), *(row["shares"] for row in rows)])
        with_lesion = np.where(np.isnan(shares), np.nan, shares >= self.minimum_share)
        owners = [row["patient"] for row in rows for _ in row["shares"]]
        inside = mean_by_patient([row["patient"] for row in rows], [row["area_inside"] for row in rows])
        return PlacementPart(len(shares), Share(*mean_by_patient(owners, with_lesion)), Share(*inside))


def _compare(patient: str, lesion: np.ndarray, boxes: np.ndarray) -> Row:
    return {"patient": patient, "shares": lesion_shares(lesion, boxes), "area_inside": area_inside(lesion, boxes)}


def _boxes_of_others(dataset: ComparedSlices, seed: int) -> list[np.ndarray]:
    """For each synthetic image, in the order of the data set, the boxes (n, 4) of another one."""
    slices = dataset.parts["synthetic"]
    assert isinstance(slices, BoxedSlices)
    places = [n for n, (part, _) in enumerate(dataset.places) if part == "synthetic"]
    partners = pair_with_others([source_patient(dataset.item(n)) for n in places], seed)
    return [slices.boxes_of(dataset.places[places[partner]][1])[0] for partner in partners]
