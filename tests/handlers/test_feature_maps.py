from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from ignite.engine import Engine
from PIL import Image

from scripts.handlers.feature_maps import FeatureMapPicture
from scripts.pictures.feature_maps import CELL


def run(elements: list[dict], file: Path, classes: list[str], **choices: int) -> None:
    engine = Engine(lambda engine, batch: None)
    FeatureMapPicture(file, classes, **choices).attach(engine)
    engine.run([elements], max_epochs=1)


def element(part: str, class_index: int, value: float) -> dict:
    maps = torch.stack([torch.full((3, 3), value), torch.full((3, 3), 2 * value)])
    return {"part": part, "class_index": class_index, "image": maps}


def test_one_scale_serves_real_and_synthetic(tmp_path: Path) -> None:
    elements = [element("training", 0, 0.0), element("synthetic", 0, 1.0), element("held_out", 0, 9.0)]
    run(elements, tmp_path / "maps.png", ["low", "high"])
    picture = np.asarray(Image.open(tmp_path / "maps.png").convert("L"))
    left = picture.shape[1] - CELL
    assert picture[18 + 40, left + 20] == 0  # real: the least value
    assert picture[18 + CELL + 40, left + 20] == 255  # synthetic: the greatest, whatever was held out


def test_without_a_class_in_both_parts_nothing_is_drawn(tmp_path: Path) -> None:
    run([element("training", 0, 0.0), element("synthetic", 1, 1.0)], tmp_path / "maps.png", ["low", "high"])
    assert not (tmp_path / "maps.png").exists()
