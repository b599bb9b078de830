from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from scripts.handlers.annotation_validity import AnnotationValidity, describe_annotation

HEAD = np.full((2, 8, 8), -1.0, dtype=np.float32)
HEAD[0, :, :4] = 0.5  # one bright channel is enough to be inside the head


def mask(*squares: tuple[int, int, int, int]) -> np.ndarray:
    """A label map with squares of (label, x, y, side)."""
    label = np.zeros((8, 8), dtype=np.int64)
    for value, x, y, side in squares:
        label[x : x + side, y : y + side] = value
    return label


def element(part: str, unit: str, label: np.ndarray, image: np.ndarray = HEAD, member: int = -1) -> dict[str, Any]:
    return {
        "part": part,
        "source_patient": unit,
        "member": member,
        "label": torch.from_numpy(label)[None],
        "original": torch.from_numpy(image),
        "image": torch.full((2, 8, 8), 99.0),  # standardised: not to be looked at
    }


def run(folder: Path, *elements: dict[str, Any]) -> dict[str, Any]:
    handler = AnnotationValidity(["core", "rim"], folder / "annotations.json")
    handler.start(None)  # type: ignore[arg-type]
    for one in elements:
        handler.add(SimpleNamespace(state=SimpleNamespace(batch=[one])))
    handler.finish(None)  # type: ignore[arg-type]
    return json.loads((folder / "annotations.json").read_text(encoding="utf-8"))


def test_one_image_by_hand():
    label = mask((1, 0, 0, 2), (2, 2, 2, 1), (2, 6, 3, 2))  # the first two touch at a corner; a column is in the dark
    said = describe_annotation(HEAD, label, 2)
    assert said["shares"] == [4 / 64, 5 / 64]
    assert said["components"] == 2
    assert said["outside_head_share"] == pytest.approx(2 / 9)
    assert said["rim_share"] == pytest.approx(1 / 9)  # the corner of label 1 that touches label 2


def test_without_lesion_there_is_nothing_to_share_out(tmp_path):
    said = describe_annotation(HEAD, mask(), 2)
    assert (said["shares"], said["components"]) == ([0, 0], 0)
    assert np.isnan([said["rim_share"], said["outside_head_share"]]).all()
    training = run(tmp_path, element("training", "p0", mask()))["parts"]["training"]
    assert training["lesion_images"] == 0
    assert training["label_percent"] == {"core": None, "rim": None}
    assert training["rim_share"] == {"value": None, "low": None, "high": None, "n": 0}


def test_means_are_over_images_with_lesion_and_shares_over_patients(tmp_path):
    inside, outside = mask((1, 0, 0, 2)), mask((1, 0, 6, 2))
    images = [element("training", "p0", label) for label in (inside, inside, inside, mask())]
    training = run(tmp_path, *images, element("training", "p1", outside))["parts"]["training"]
    assert (training["images"], training["lesion_images"]) == (5, 4 / 5)
    assert training["label_percent"] == {"core": 100 * 4 / 64, "rim": 0}
    assert training["components"] == 1
    assert (training["outside_head_share"]["value"], training["outside_head_share"]["n"]) == (0.5, 2)


def test_false_rims_are_counted_and_every_synthetic_image_is_a_unit(tmp_path):
    # label 1 as a ring one pixel wide between the background and label 2: 16 rim pixels of 25
    ringed = mask((1, 1, 1, 5), (2, 2, 2, 3))
    plain = mask((2, 1, 1, 5))
    synthetic = [element("synthetic", f"s{n}", label, member=n) for n, label in enumerate((ringed, plain))]
    said = run(tmp_path, element("training", "p0", plain), *synthetic)
    assert said["parts"]["synthetic"]["rim_share"]["value"] == pytest.approx(16 / 25 / 2)
    assert said["parts"]["synthetic"]["rim_share"]["n"] == 2
    assert said["parts"]["training"]["rim_share"]["value"] == 0
    assert [(entry["member"], entry["images"]) for entry in said["members"]] == [(0, 1), (1, 1)]
    assert [entry["rim_share"]["value"] for entry in said["members"]] == [pytest.approx(16 / 25), 0]
