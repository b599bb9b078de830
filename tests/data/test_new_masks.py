"""Masks that no patient has: whose lesions in whose anatomy, the same whenever they are drawn or made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scripts.data.contract import DatasetError
from scripts.data.new_masks import NewMasks, spread_evenly
from scripts.data.slices import LesionRule, SliceDataset
from scripts.data.synthesis import PlannedMasks

SIZE = 48


def load_arrays(item: dict[str, Any]) -> dict[str, np.ndarray]:
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


def make_slices(folder: Path, patients: str = "ab", *, outlined: bool = False) -> SliceDataset:
    """Each patient has a slice with a disc of label 1 around 2 in a head, one without lesion, and an empty one."""
    x, y = np.mgrid[:SIZE, :SIZE]
    items = []
    for n, patient in enumerate(patients):
        head = (x - 22 - n) ** 2 + (y - 24) ** 2 <= (18 + n) ** 2
        lesion = np.where((x - 18) ** 2 + (y - 20) ** 2 <= 25, 1 + ((x - 18) ** 2 + (y - 20) ** 2 <= 6), 0)
        inside = np.where(head, 3 if outlined else 0, 0)
        label = np.stack([np.where(lesion, lesion, inside), inside, np.zeros_like(inside)], axis=-1)
        image = np.stack([np.where(head, 0.0, -1.0)] * 2 + [np.full(head.shape, -1.0)], axis=-1)
        files = {key: str(folder / f"{patient}_{key}.npy") for key in ("image", "label")}
        np.save(files["image"], image[None])
        np.save(files["label"], label[None])
        items.append({**files, "patient": patient})
    return SliceDataset(items, load_arrays, folder / "cache", rule=LesionRule(minimum_pixels=9, last_label=2))


def plan(slices: SliceDataset, n: int) -> dict[str, Any]:
    summary = slices.summary(0)
    planned, _ = NewMasks(slices, 2).draw(summary["source"], np.random.default_rng([0, n]))
    return {"class": None, "source": summary["source"], "source_patient": summary["patient"], **planned}


def test_the_anatomy_is_another_patients_with_lesion_or_without_and_never_one_without_head(tmp_path: Path) -> None:
    drawn = [plan(make_slices(tmp_path), n) for n in range(30)]
    assert {image["anatomy_patient"] for image in drawn} == {"b"}
    assert {image["anatomy"][-1] for image in drawn} == {"0", "1"}
    alone = [plan(make_slices(tmp_path, "a"), n) for n in range(10)]
    assert {image["anatomy"][-1] for image in alone} == {"1"}  # one's own other slice


@pytest.mark.parametrize("outlined", [False, True])
def test_a_mask_has_the_lesions_labels_and_the_anatomys_outline_alone(tmp_path: Path, outlined: bool) -> None:
    slices = make_slices(tmp_path, outlined=outlined)
    masks = NewMasks(slices, 2)
    made = [masks.make(plan(slices, n))[0] for n in range(20)]
    for mask in made:
        assert mask.dtype == torch.int64
        assert set(mask.unique().tolist()) == ({0, 1, 2, 3} if outlined else {0, 1, 2})
        assert 9 <= ((mask > 0) & (mask < 3)).sum() < 2.2 * 81
        if outlined:
            assert abs((mask > 0).sum() / (np.pi * 19**2) - 1) < 0.15  # the head of b, hardly distorted
    assert len({mask.numpy().tobytes() for mask in made}) == 20


def test_what_is_too_small_to_be_trained_on_is_refused(tmp_path: Path) -> None:
    slices = make_slices(tmp_path)
    slices.rule = LesionRule(minimum_pixels=500, last_label=2)
    drawn, refused = NewMasks(slices, 2).draw(slices.summary(0)["source"], np.random.default_rng(0))
    assert (drawn, refused) == ({}, 20)


def test_a_planned_mask_is_the_label_that_synthesis_takes_in_any_order(tmp_path: Path) -> None:
    slices = make_slices(tmp_path)
    images = [plan(slices, n) for n in range(3)]
    images.append({key: images[0][key] for key in ("class", "source", "source_patient")})  # the patient's own mask
    planned = PlannedMasks(slices, images, [], tmp_path / "made", last_label=2)
    for n in (2, 0, 1):
        assert torch.equal(planned[n]["label"], NewMasks(slices, 2).make(images[n]))
    assert torch.equal(planned[3]["label"], slices[0]["label"])
    said = planned.provenance(planned.images[0])
    assert (said["source_patient"], said["anatomy_patient"]) == ("a", "b")
    assert said["transplant"] == images[0]["transplant"]
    with pytest.raises(DatasetError, match="The plan uses the slice elsewhere#0, which is not among these training"):
        PlannedMasks(slices, [{**images[0], "anatomy": "elsewhere#0"}], [], tmp_path / "made")


def test_a_share_is_spread_evenly() -> None:
    assert spread_evenly(6, 0.5) == [1, 3, 5]
    assert (spread_evenly(4, 0), spread_evenly(4, 1)) == ([], [0, 1, 2, 3])
    assert len(spread_evenly(1000, 0.3)) == 300
    with pytest.raises(DatasetError, match=r"new_masks is 1\.5, expected a share of the images from 0 to 1"):
        spread_evenly(4, 1.5)
