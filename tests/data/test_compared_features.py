from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.data.feature_format import FeatureDescription
from scripts.data.feature_writer import FeatureWriter
from scripts.data.features import ComparedFeatures

DESCRIPTION = FeatureDescription(
    "bottleneck", (2, 3, 3), "abc", "model.pt", ["a"], "set", ["low", "high"], 48, ["FLAIR"]
)


def write(folder: Path, splits: list[str], *, synthetic: bool = False) -> Path:
    description = replace(DESCRIPTION, dtype="float32")
    rng = np.random.default_rng(len(splits))
    with FeatureWriter(folder, description, len(splits)) as writer:
        items = [
            {
                "source": f"{folder.name}_{n}",
                "patient": None if synthetic else split[0],
                "class": DESCRIPTION.classes[n % 2],
                "split": split,
                "synthetic": {"generator": "g"} if synthetic else None,
            }
            for n, split in enumerate(splits)
        ]
        writer.append(rng.normal(3, 2, (len(splits), 2, 3, 3)).astype(np.float32), items)
        writer.finish()
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    real = write(tmp_path / "real", ["training"] * 6 + ["validation"] * 3 + ["test"] * 2)
    return real, write(tmp_path / "synthetic", ["training"] * 5, synthetic=True)


def test_parts_are_told_apart_and_the_test_split_stays_out(folders: tuple[Path, Path]) -> None:
    compared = ComparedFeatures(*folders, most_features=None)
    parts = [compared[n]["part"] for n in range(len(compared))]
    assert {part: parts.count(part) for part in parts} == {"training": 6, "held_out": 3, "synthetic": 5}
    training = np.stack([np.asarray(compared[n]["image"]) for n in range(6)])
    np.testing.assert_allclose(training.mean(axis=(0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(training.std(axis=(0, 2, 3)), 1, rtol=1e-4)
    assert compared[0]["class_index"] == 0
    assert compared[13]["source"].startswith("synthetic_")


def test_parts_are_drawn_without_replacement(folders: tuple[Path, Path]) -> None:
    compared = ComparedFeatures(*folders, most_features=4)
    sources = [compared[n]["source"] for n in range(len(compared))]
    assert len(set(sources)) == len(sources) == 4 + 3 + 4
    with pytest.raises(DatasetError, match="most_features is 0, expected 1 or more"):
        ComparedFeatures(*folders, most_features=0)
