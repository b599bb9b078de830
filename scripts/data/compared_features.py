"""Real and synthetic features side by side: do the synthetic ones lie among the real ones?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from scripts.data.contract import DatasetError
from scripts.data.features import FeatureDataset, FeatureSet


class ComparedFeatures(Dataset):
    """Real training features, real ones held out, and synthetic ones, standardised alike.

    An element has `image`, the standardised feature (C, H, W) float32, `class_index`, `part` ("training", "held_out" or
    "synthetic"), `source` and `patient`.

    Args:
        features_dir: of the real feature set.
        synthetic_dir: of the synthetic one.
        held_out: split whose features are held out.
        most_features: of each part, drawn without replacement; None for all.
        seed: of the draw.

    Raises:
        DatasetError: `most_features` below 1, and whatever `FeatureDataset` refuses.
    """

    def __init__(
        self,
        features_dir: str | Path,
        synthetic_dir: str | Path,
        *,
        held_out: str = "validation",
        most_features: int | None = 500,
        seed: int = 0,
    ) -> None:
        if most_features is not None and most_features < 1:
            raise DatasetError(f"most_features is {most_features}, expected 1 or more, or None for all.")
        sets = [FeatureSet(features_dir), FeatureSet(synthetic_dir)]
        self.features = FeatureDataset(sets, ["training", held_out])
        self.classes = self.features.class_names
        parts = np.array(
            [
                "synthetic" if item["synthetic"] else "held_out" if item["split"] == held_out else "training"
                for item in self.features.items
            ]
        )
        rng = np.random.default_rng(seed)
        self.places: list[tuple[int, str]] = []
        for part in ("training", "held_out", "synthetic"):
            positions = rng.permutation(np.flatnonzero(parts == part))[:most_features]
            self.places += [(int(position), part) for position in sorted(positions)]

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, n: int) -> dict[str, Any]:
        position, part = self.places[n]
        element = self.features[position]
        return {
            "image": element["feature"],
            "class_index": element["class"],
            "part": part,
            "source": element["source"],
            "patient": element["patient"] or "",
        }
