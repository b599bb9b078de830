"""Writing a network's features of all slices of a data set as a feature set."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from torch.utils.data import Subset

from scripts.data.contract import Dataset, DatasetError
from scripts.data.feature_format import FeatureDescription, hash_file
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import FeatureSet
from scripts.data.split_slices import SplitSlices
from scripts.networks.weights import Weights

logger = logging.getLogger(__name__)


class FeatureSetWriter:
    """Attached to an evaluator whose output is features: writes them with what is known of their slices.

    The evaluator runs through `remaining`, in order; after a kill that is what is not written yet.

    Args:
        slices: all that features are wanted of.
        output_dir: the feature set's folder.
        feature_shape: (C, H, W) of one feature, see `FeatureUNet.feature_shape`.
        weights: of the network.
        level: where the features are taken.
        description: of the data set.
        image_channels: names of the channels that the network sees.
        image_size: side of the slices in pixels.
        fold: of the cross-validation.
        dtype: of the stored numbers, "float16" (11 bits) or "float32".
        precision: in which the network runs.
        minimum: least value of the level; every `FeatureUNet` level ends in a ReLU.

    Attributes:
        remaining: the slices that are not written yet.
    """

    def __init__(
        self,
        slices: SplitSlices,
        output_dir: str | Path,
        *,
        feature_shape: tuple[int, int, int],
        weights: Weights,
        level: str,
        description: Dataset,
        image_channels: Sequence[str],
        image_size: int,
        fold: int | None = None,
        dtype: str = "float16",
        precision: torch.dtype = torch.float32,
        minimum: float | None = 0.0,
    ) -> None:
        self.slices = slices
        features = FeatureDescription(
            level=level,
            feature_shape=feature_shape,
            network_sha256=hash_file(weights.file),
            network_file=weights.file.name,
            trained_on=weights.trained_on,
            dataset=description.name,
            classes=slices.classes,
            image_size=image_size,
            image_channels=list(image_channels),
            dtype=dtype,
            precision=str(precision).removeprefix("torch."),
            fold=fold,
            minimum=minimum,
        )
        self.writer = FeatureWriter(output_dir, features, len(slices), settings={"slices": slices.fingerprint})
        self.remaining = Subset(slices, range(self.writer.rows, len(slices)))

    def attach(self, engine: Engine) -> None:
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._append)

    def _append(self, engine: Any) -> None:
        features = engine.state.output["pred"]  # (B, C, H, W)
        items = self.slices.items[self.writer.rows : self.writer.rows + len(features)]
        assert [item["source"] for item in items] == list(engine.state.batch["source"]), "slices came out of order"
        self.writer.append(features, items)


def extract_features(evaluator: Engine, handler: FeatureSetWriter) -> FeatureSet:
    """Runs the evaluator over the slices whose features are not written yet, and completes the feature set."""
    total, first = len(handler.slices), handler.writer.rows
    if first:
        logger.info(f"{first} of {total} features are there already.")
    start = time.perf_counter()
    with handler.writer:
        if first < total:
            evaluator.run()
        if handler.writer.rows < total:
            raise DatasetError(f"{handler.writer.rows} of {total} features were written. Start again to go on.")
        features = handler.writer.finish()
    seconds = time.perf_counter() - start
    rows = Counter(item["split"] for item in features.items)
    counts = ", ".join(f"{split} {count}" for split, count in rows.items())
    size = total * features.description.row_bytes / 1e9
    rate = f"; {(total - first) / seconds:.1f} per second" if first < total else ""
    logger.info(f"{total} features ({counts}), {size:.2f} GB, in {features.folder}{rate}")
    return features
