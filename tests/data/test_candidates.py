from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.data.candidates import (
    RealOrSynthetic,
    authenticity_items,
    candidate_items,
    candidate_slices,
)
from scripts.data.contract import DatasetError
from scripts.data.splits import patient_parts
from scripts.data.training import training_items


def load_arrays(item):
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


def write(folder: Path, items: list[dict[str, Any]], **splits: Any) -> Path:
    folder.mkdir(parents=True)
    for item in items:
        np.save(folder / item["image"], np.full((1, 4, 4), len(items)))
        np.save(folder / item["label"], np.ones((1, 4, 4)))
    content = {"modality": {"0": "CT"}, "labels": {"0": "background", "1": "blood"}, "training": items, **splits}
    (folder / "dataset.json").write_text(json.dumps(content))
    return folder


@pytest.fixture
def real(tmp_path: Path) -> Path:
    items = [{"image": f"p{n}.npy", "label": f"p{n}_mask.npy", "patient": f"p{n}"} for n in range(4)]
    held = {"image": "held.npy", "label": "held_mask.npy", "patient": "held"}
    folder = write(tmp_path / "real", items, validation=[held])
    for name in ("held.npy", "held_mask.npy"):
        np.save(folder / name, np.ones((1, 4, 4)))
    return folder


@pytest.fixture
def candidates(tmp_path: Path) -> Path:
    """Two candidates, of each an image from the masks of p0 to p3."""
    known = [f"p{n}" for n in range(4)]
    for name in ("epoch_0010", "epoch_0050"):
        items = [
            {
                "image": f"{n}.npy",
                "label": f"{n}_mask.npy",
                "patient": f"synthetic-{n}",
                "synthetic": {"source_patient": f"p{n}"},
            }
            for n in range(4)
        ]
        write(tmp_path / "candidates" / name, items, trained_on=known)
    (tmp_path / "candidates" / "half_made").mkdir()
    return tmp_path / "candidates"


def test_candidates_are_the_complete_folders(real, candidates):
    found = candidate_items(candidates, real)
    assert {name: len(items) for name, items in found.items()} == {"epoch_0010": 4, "epoch_0050": 4}
    with pytest.raises(DatasetError, match="has no folder with a dataset"):
        candidate_items(real / "nothing", real)


def test_a_candidate_made_from_a_held_out_patient_is_refused(real, candidates):
    file = candidates / "epoch_0010" / "dataset.json"
    file.write_text(file.read_text().replace('"source_patient": "p2"', '"source_patient": "held"'))
    with pytest.raises(DatasetError, match="made from patient 'held' of the validation split"):
        candidate_items(candidates, real)


def test_a_candidate_cannot_stand_for_real_images(real, candidates):
    (candidates / "epoch_0010").rename(candidates / "held_out")
    with pytest.raises(DatasetError, match="held_out: the name stands for real images"):
        candidate_items(candidates, real)


def test_no_image_of_a_patient_is_on_both_sides(real, candidates):
    home = patient_parts(training_items(real), real)
    assert sorted(home.values()) == [0, 0, 1, 1]
    for part in (0, 1):
        sides = [authenticity_items(real, candidates, part=part, held_out=held) for held in (False, True)]
        owners = [{(i.get("synthetic") or {}).get("source_patient", i["patient"]) for i in side} for side in sides]
        assert owners == [{p for p in home if home[p] != part}, {p for p in home if home[p] == part}]
        assert [len(side) for side in sides] == [6, 6]  # two patients: themselves, and twice an image from each


def test_what_shows_patients_of_both_parts_is_on_neither_side(real, candidates):
    home = patient_parts(training_items(real), real)
    other = next(patient for patient in home if home[patient] != home["p2"])
    file = candidates / "epoch_0010" / "dataset.json"
    both = f'"source_patient": "p2", "anatomy_patient": "{other}"'
    file.write_text(file.read_text().replace('"source_patient": "p2"', both))
    sides = [authenticity_items(real, candidates, part=0, held_out=held) for held in (False, True)]
    assert sum(map(len, sides)) == 4 + 8 - 1


def test_a_scorer_leaves_one_part_out_and_takes_no_synthetic_images(real, candidates):
    home = patient_parts(training_items(real), real)
    for part in (0, 1):
        kept = {item["patient"] for item in training_items(real, left_out_part=part)}
        assert kept == {patient for patient in home if home[patient] != part}
    for wrong in ({"left_out_part": 2}, {"left_out_part": 0, "synthetic_dir": candidates / "epoch_0010"}):
        with pytest.raises(DatasetError, match="expected 0 or 1, without synthetic images"):
            training_items(real, **wrong)


def test_one_patient_cannot_be_parted(real):
    with pytest.raises(DatasetError, match="one training patient cannot be parted"):
        authenticity_items(real, real, part=0, held_out=True, patient_fraction=0.1)
    with pytest.raises(DatasetError, match="part is 2, expected 0 or 1"):
        authenticity_items(real, real, part=2, held_out=True)


def test_real_slices_are_one_and_synthetic_ones_zero(real, candidates, tmp_path):
    slices = candidate_slices(candidate_items(candidates, real), load_arrays, tmp_path / "cache")
    assert {name: len(one) for name, one in slices.items()} == {"epoch_0010": 4, "epoch_0050": 4}
    items = authenticity_items(real, candidates, part=0, held_out=True)
    mixed = RealOrSynthetic(items, load_arrays, tmp_path / "cache")
    assert [mixed[n]["label"].item() for n in range(6)] == [1, 1, 0, 0, 0, 0] == mixed.class_indices.tolist()
