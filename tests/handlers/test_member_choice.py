from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from scripts.data.contract import DatasetError
from scripts.data.slices import SliceDataset
from scripts.data.synthesis import ComparedSlices
from scripts.handlers.member_choice import MemberChoice

ISLANDS = (0.0, 4.0, 8.0)  # six held-out images at each, 0.1 apart: with k = 5 the balls span an island


class MeanSegmenter(nn.Module):
    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean(dim=(2, 3))  # (B, C)


def load_arrays(item):
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


def volume(folder: Path, patient: str, values: list[float], **more: Any) -> dict[str, Any]:
    """One volume with a slice per value."""
    files = {key: str(folder / f"{patient}_{key}.npy") for key in ("image", "label")}
    np.save(files["image"], np.broadcast_to(np.array(values, dtype=np.float32), (1, 4, 4, len(values))))
    np.save(files["label"], np.zeros((1, 4, 4, len(values)), dtype=np.uint8))
    return {**files, "patient": patient, **more}


def made_by(folder: Path, member: int, *islands: int) -> dict[str, Any]:
    provenance = {"member": member, "generator": f"{member}.pt", "generator_sha256": f"sha{member}"}
    values = [ISLANDS[n] + 0.25 for n in islands]
    return volume(folder, f"synthetic-{member}", values, synthetic=provenance)


def compare(folder: Path, *synthetic: dict[str, Any], **options: Any) -> ComparedSlices:
    def slices(*items: dict[str, Any]) -> SliceDataset:
        return SliceDataset(list(items), load_arrays, folder / "cache")

    held_out = [place + 0.1 * n for place in ISLANDS for n in range(6)]
    training = slices(volume(folder, "p0", [ISLANDS[n] + 0.25 for n in (0, 1, 1, 2)]))
    return ComparedSlices(training, slices(volume(folder, "p1", held_out)), slices(*synthetic), **options)


def build(folder: Path, dataset: ComparedSlices) -> MemberChoice:
    return MemberChoice(MeanSegmenter(), dataset=dataset, file=folder / "choice.json")


def choose(folder: Path, dataset: ComparedSlices) -> dict[str, Any]:
    handler = build(folder, dataset)
    handler.start(None)  # type: ignore[arg-type]
    batch = [dataset[n] for n in range(len(dataset))]
    handler.add(SimpleNamespace(state=SimpleNamespace(batch=batch, device=torch.device("cpu"))))
    handler.finish(None)  # type: ignore[arg-type]
    return json.loads((folder / "choice.json").read_text(encoding="utf-8"))


def test_members_come_in_the_order_of_what_they_add(tmp_path):
    made = [made_by(tmp_path, 0, 0, 0), made_by(tmp_path, 1, 0, 1), made_by(tmp_path, 2, 2, 2)]
    assert choose(tmp_path, compare(tmp_path, *made)) == {
        "order": [1, 2, 0],
        "files": ["1.pt", "2.pt", "0.pt"],
        "sha256": ["sha1", "sha2", "sha0"],
        "coverage": [pytest.approx(2 / 3), 1, 1],
        "training_coverage": [pytest.approx(2 / 3), 1, None],  # by 2 and 4 of the 4 training images; there are no 6
        "single": [pytest.approx(1 / 3), pytest.approx(2 / 3), pytest.approx(1 / 3)],
        "k": 5,
        "images_per_member": 2,
        "features": "segmenter bottleneck",
        "real": "validation",
        "real_images": 18,
    }


def test_with_few_held_out_images_all_but_one_are_neighbours(tmp_path):
    chosen = choose(tmp_path, compare(tmp_path, made_by(tmp_path, 0, 0, 1, 2, 0), most_images=4))
    assert (chosen["k"], chosen["real_images"], chosen["coverage"]) == (3, 4, [1])


def test_images_of_no_ensemble_are_refused(tmp_path):
    masks = volume(tmp_path, "made", [0.0], synthetic={"source_patient": "p0"})
    with pytest.raises(DatasetError, match="was made by no member of an ensemble"):
        build(tmp_path, compare(tmp_path, masks))


def test_a_member_without_image_is_named(tmp_path):
    made = [made_by(tmp_path, member, 0) for member in range(3)]
    with pytest.raises(DatasetError, match="Member 1 has no image among those compared"):
        build(tmp_path, compare(tmp_path, *made, most_images=1))


def test_a_single_held_out_image_cannot_be_covered(tmp_path):
    with pytest.raises(DatasetError, match="validation split has 1 slice to cover, expected 2 or more"):
        build(tmp_path, compare(tmp_path, made_by(tmp_path, 0, 0), most_images=1))
