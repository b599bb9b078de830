from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from scripts.data.boxes import BoxedSlices
from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.synthesis import ComparedSlices
from scripts.handlers.lesion_placement import SHOWN, SIDE, LesionPlacement
from scripts.scores.evidence import Placement
from scripts.scores.json_files import read_dataclass
from tests.known_weights import write_known

Box = tuple[int, int, int, int]
LEFT, RIGHT = (2, 4, 6, 8), (10, 4, 14, 8)  # of 16 pixels
FAINT = (2, 4, 3, 5)  # 1/16 of LEFT


class Brightness(nn.Module):
    """Calls bright pixels of the second channel its first label, very bright ones its second."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images[:, 1:] - 0.5, 3 * (images[:, 1:] - 0.7)], dim=1)


def load_arrays(item: Item) -> dict[str, np.ndarray]:
    bright = np.asarray(nib.load(item["image"]).dataobj, dtype=np.float32)[None, :, :, 0]  # type: ignore[attr-defined]
    return {"image": np.concatenate([0 * bright, bright]), "label": np.zeros((1, 16, 16), dtype=np.uint8)}


def write(folder: Path, name: str, lesions: list[Box], boxes: list[Box], **more: Any) -> dict[str, Any]:
    image = np.zeros((16, 16, 1), dtype=np.float32)
    for n, (x0, y0, x1, y1) in enumerate(lesions):
        image[x0:x1, y0:y1] = (0.6, 0.9)[n % 2]
    file = folder / f"{name}.nii"
    nib.save(nib.Nifti1Image(image, np.eye(4)), file)  # type: ignore[attr-defined]
    item = {"image": str(file), "label": None, "patient": name, "class": None, "fold": None}
    return {**item, "boxes": [list(box) for box in boxes], "box_classes": [0] * len(boxes), **more}


def compare(folder: Path, *made: tuple[str, list[Box], list[Box]]) -> ComparedSlices:
    """A training and a held-out image, a lesion in one box of each; synthetic ones of patient, lesions and boxes."""

    def slices(items: list[dict[str, Any]]) -> BoxedSlices:
        return BoxedSlices(items, load_arrays, folder / "cache", class_count=1, most_boxes=3, minimum_boxes=1)

    real = [write(folder, "t", [LEFT], [LEFT]), write(folder, "h", [LEFT], [LEFT, RIGHT])]
    synthetic = [
        write(folder, f"s{n}", lesions, boxes, synthetic={"source_patient": patient})
        for n, (patient, lesions, boxes) in enumerate(made)
    ]
    return ComparedSlices(slices(real[:1]), slices(real[1:]), slices(synthetic))


def place(folder: Path, dataset: ComparedSlices, **options: Any) -> LesionPlacement:
    description = Dataset(folder, "real", ["T1", "FLAIR"], ["none", "a", "b"])
    options = {"output_dir": folder / "out", "weights": write_known(folder / "model.pt"), **options}
    return LesionPlacement(dataset=dataset, description=description, segmenter=Brightness(), **options)


def run(folder: Path, dataset: ComparedSlices, **options: Any) -> dict[str, Any]:
    handler = place(folder, dataset, **options)
    handler.start(None)  # type: ignore[arg-type]
    for start in range(0, len(dataset), 2):
        batch = [dataset[n] for n in range(start, min(start + 2, len(dataset)))]
        handler.add(SimpleNamespace(state=SimpleNamespace(batch=batch, device=torch.device("cpu"))))
    handler.finish(None)  # type: ignore[arg-type]
    return json.loads((folder / "out" / "placement.json").read_text(encoding="utf-8"))


def test_shares_by_hand(tmp_path: Path) -> None:
    dataset = compare(
        tmp_path,
        ("a", [LEFT, RIGHT], [LEFT, RIGHT]),  # both found, nothing outside
        ("a", [LEFT, RIGHT], [LEFT]),  # half of the lesions' area outside
        ("b", [FAINT], [LEFT, RIGHT]),  # too little, but inside
        ("c", [], [RIGHT]),  # nothing
    )
    said = run(tmp_path, dataset)
    assert (said["segmenter"], said["minimum_lesion_share"]) == ("model.pt", 0.1)
    assert {part: entry["boxes"] for part, entry in said["parts"].items()} == {
        "training": 1,
        "held_out": 2,
        "synthetic": 6,
        "synthetic_shuffled": 6,
    }
    assert [said["parts"][part]["with_lesion"]["value"] for part in ("training", "held_out")] == [1, 0.5]
    made = said["parts"]["synthetic"]
    # Three patients, a, b and c, are too few for an interval.
    assert made["with_lesion"] == {"value": pytest.approx(1 / 3), "low": None, "high": None, "n": 3}
    assert (made["area_inside"]["value"], made["area_inside"]["n"]) == (pytest.approx((3 / 4 + 1) / 2), 2)


def test_the_least_share_is_an_option(tmp_path: Path) -> None:
    dataset = compare(tmp_path, ("a", [FAINT], [LEFT]))
    assert run(tmp_path, dataset, minimum_lesion_share=1 / 16)["parts"]["synthetic"]["with_lesion"]["value"] == 1
    assert run(tmp_path, dataset, minimum_lesion_share=0.07)["parts"]["synthetic"]["with_lesion"]["value"] == 0


def test_shuffled_boxes_are_those_of_another_patient(tmp_path: Path) -> None:
    sides = [("a", LEFT), ("a", LEFT), ("b", RIGHT), ("b", RIGHT)]
    parts = run(tmp_path, compare(tmp_path, *((patient, [box], [box]) for patient, box in sides)))["parts"]
    assert parts["synthetic"]["with_lesion"]["value"] == parts["synthetic"]["area_inside"]["value"] == 1
    shuffled = parts["synthetic_shuffled"]
    assert shuffled["with_lesion"]["value"] == shuffled["area_inside"]["value"] == 0
    assert (shuffled["boxes"], shuffled["with_lesion"]["n"]) == (4, 2)


def test_unknown_shares_are_null_and_the_report_can_read_them(tmp_path: Path) -> None:
    said = run(tmp_path, compare(tmp_path, ("a", [], [LEFT])))  # one image: there are no boxes of another
    unknown = {"value": None, "low": None, "high": None, "n": 0}
    assert said["parts"]["synthetic"]["area_inside"] == unknown
    assert said["parts"]["synthetic_shuffled"] == {"boxes": 0, "with_lesion": unknown, "area_inside": unknown}
    read = read_dataclass(tmp_path / "out" / "placement.json", Placement)
    assert read.parts["synthetic_shuffled"].boxes == 0
    assert math.isnan(read.parts["synthetic"].area_inside.value)


def test_the_picture_shows_some_images_without_and_with_what_was_found(tmp_path: Path) -> None:
    made = [(str(n), [LEFT], [LEFT]) for n in range(SHOWN + 2)]
    dataset = compare(tmp_path, *made)
    run(tmp_path, dataset, shown_channel=1)
    picture = np.asarray(Image.open(tmp_path / "out" / "placement.png")).astype(int)
    assert picture.shape[1] // (SIDE + 2) == SHOWN
    assert picture.shape[0] // (SIDE + 2) == 2
    coloured = np.ptp(picture, axis=2) > 60  # the contours' orange
    assert not coloured[: SIDE + 18].any()
    assert coloured[SIDE + 20 :].any()
    first, second = place(tmp_path, dataset, seed=1).shown, place(tmp_path, dataset, seed=2).shown
    assert len(first) == len(second) == SHOWN
    assert first == place(tmp_path, dataset, seed=1).shown != second


def test_numbers_out_of_range_are_refused(tmp_path: Path) -> None:
    dataset = compare(tmp_path, ("a", [LEFT], [LEFT]))
    with pytest.raises(ValueError, match="minimum_lesion_share is 0, expected a share"):
        place(tmp_path, dataset, minimum_lesion_share=0)
    with pytest.raises(DatasetError, match=r"shown_channel is 2, expected 0\.\.1 \(T1, FLAIR\)"):
        place(tmp_path, dataset, shown_channel=2)
