"""Small feature sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.data.feature_format import FeatureDescription
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import FeatureSet

SHAPE = (3, 4, 5)


@pytest.fixture
def describe_features() -> Callable[..., FeatureDescription]:
    """A function that describes features of `SHAPE`, with what its arguments change."""

    def describe(**changes: Any) -> FeatureDescription:
        content: dict[str, Any] = {
            "level": "decoder_3",
            "feature_shape": SHAPE,
            "network_sha256": "a" * 64,
            "network_file": "model.pt",
            "trained_on": ["P0"],
            "dataset": "phantom",
            "classes": ["high", "low"],
            "image_size": 32,
            "image_channels": ["FLAIR"],
            "minimum": 0.0,
        }
        return FeatureDescription(**{**content, **changes})

    return describe


@pytest.fixture
def make_rows() -> Callable[..., list[dict[str, Any]]]:
    """A function that makes items: two slices per patient, of alternating class; the last two patients are held out."""

    def make(patients: int = 6, **changes: Any) -> list[dict[str, Any]]:
        splits = ["training"] * (patients - 2) + ["validation", "test"]
        return [
            {
                "source": f"P{n}.nii.gz#{z}",
                "patient": f"P{n}",
                "class": ("high", "low")[n % 2],
                "split": splits[n],
                "synthetic": None,
                **changes,
            }
            for n in range(patients)
            for z in range(2)
        ]

    return make


@pytest.fixture
def make_features() -> Callable[..., np.ndarray]:
    """A function that draws features (count, *SHAPE), none below 0."""

    def make(count: int, seed: int = 0) -> np.ndarray:
        drawn = np.random.default_rng(seed).normal(2.0, 1.5, size=(count, *SHAPE))
        return np.maximum(drawn, 0).astype(np.float32)

    return make


@pytest.fixture
def write_set(tmp_path, describe_features, make_rows, make_features) -> Callable[..., FeatureSet]:
    """A function that writes a feature set into a folder of this name, and opens it."""

    def write(name: str, rows: Sequence[dict] | None = None, seed: int = 0, **changes: Any) -> FeatureSet:
        items = make_rows() if rows is None else rows
        with FeatureWriter(Path(tmp_path) / name, describe_features(**changes), len(items)) as writer:
            writer.append(make_features(len(items), seed), items)
            return writer.finish()

    return write
