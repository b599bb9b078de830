from __future__ import annotations

import csv
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from scripts.handlers.embedding_picture import EmbeddingPicture


class ColumnMeans(nn.Module):
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(1, 2))  # (B, Y)


def elements(counts: dict[str, int]) -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "part": part,
            "source": f"{part}{n}#0",
            "class_index": n % 2 if part != "synthetic" else -1,
            "image": torch.from_numpy(rng.normal(size=(1, 8, 8)).astype(np.float32)),
        }
        for part, count in counts.items()
        for n in range(count)
    ]


def run(folder: Path, batch: list[dict[str, Any]], **options: Any) -> None:
    handler = EmbeddingPicture(folder, **options)
    handler.start(None)  # type: ignore[arg-type]
    handler.add(SimpleNamespace(state=SimpleNamespace(batch=batch, device=torch.device("cpu"))))
    handler.finish(None)  # type: ignore[arg-type]


def read(file: Path) -> list[dict[str, str]]:
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_tables_name_every_image_with_its_part_and_class(tmp_path):
    run(tmp_path, elements({"training": 3, "held_out": 2, "synthetic": 2}), classes=["HGG", "LGG"])
    rows = read(tmp_path / "tsne_pixels.csv")
    said = [(row["name"], row["part"], row["class"]) for row in rows]
    assert said[:2] == [("training0#0", "training", "HGG"), ("training1#0", "training", "LGG")]
    assert said[3:] == [
        ("held_out0#0", "held_out", "HGG"),
        ("held_out1#0", "held_out", "LGG"),
        ("synthetic0#0", "synthetic", ""),
        ("synthetic1#0", "synthetic", ""),
    ]
    assert np.isfinite([[float(row["x"]), float(row["y"])] for row in rows]).all()
    assert not (tmp_path / "tsne_features.csv").exists()


def test_a_network_adds_features(tmp_path):
    run(tmp_path, elements({"training": 3, "held_out": 2, "synthetic": 2}), network=ColumnMeans())
    assert len(read(tmp_path / "tsne_features.csv")) == 7
    assert (tmp_path / "tsne_features.png").is_file()


def test_classes_have_a_panel_of_their_own(tmp_path):
    batch = elements({"training": 3, "held_out": 2, "synthetic": 2})
    run(tmp_path / "plain", batch)
    run(tmp_path / "classes", batch, classes=["HGG", "LGG"])
    widths = [Image.open(tmp_path / name / "tsne_pixels.png").width for name in ("plain", "classes")]
    assert widths[1] == 2 * widths[0]


def test_each_part_is_cut_to_evenly_spread_images(tmp_path):
    run(tmp_path, elements({"training": 6, "held_out": 1, "synthetic": 4}), most_images=2)
    names = [row["name"] for row in read(tmp_path / "tsne_pixels.csv")]
    assert names == ["training0#0", "training3#0", "held_out0#0", "synthetic0#0", "synthetic2#0"]


def test_no_image_at_all_is_refused(tmp_path):
    with pytest.raises(ValueError, match="most_images is 0, expected 1 or more"):
        EmbeddingPicture(tmp_path, most_images=0)
