from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scripts.handlers.nearest_images import NearestImages

IMAGES = np.random.default_rng(0).uniform(-1, 1, size=(2, 1, 32, 32)).astype(np.float32)


def element(part: str, name: str, image: np.ndarray):
    return {"part": part, "source": name, "image": torch.from_numpy(np.ascontiguousarray(image))}


def test_copies_flipped_either_way_give_themselves_away(tmp_path):
    trained, other = IMAGES
    handler = NearestImages(tmp_path / "nearest.json")
    handler.start(None)  # type: ignore[arg-type]
    flips = [trained, trained[:, ::-1], trained[:, :, ::-1], trained[:, ::-1, ::-1], trained + 0.25]
    made = [element("synthetic", f"s{n}", image) for n, image in enumerate(flips)]
    batch = [element("training", "t", trained), element("held_out", "h", other), *made]
    handler.add(SimpleNamespace(state=SimpleNamespace(batch=batch)))
    handler.finish(None)  # type: ignore[arg-type]
    said = json.loads((tmp_path / "nearest.json").read_text(encoding="utf-8"))
    assert set(said) == {"held_out", "synthetic"}
    assert (said["synthetic"]["images"], said["synthetic"]["median"], said["synthetic"]["least"]) == (5, 0, 0)
    assert said["synthetic"]["nearest"][-1] == {"name": "s4", "distance": pytest.approx(0.25, rel=1e-5)}
    least = min(np.abs(other - trained[:, ::x, ::y]).mean() for x in (1, -1) for y in (1, -1))
    assert said["held_out"]["apart"] is None
    pairs = [np.abs(a - b).mean() for n, a in enumerate(flips) for b in flips[:n]]
    assert said["synthetic"]["apart"] == pytest.approx(np.mean(pairs), rel=1e-5)
    assert said["held_out"]["least"] == pytest.approx(least, rel=1e-5)
