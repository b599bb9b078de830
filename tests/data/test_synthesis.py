from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from scripts.data.contract import DatasetError
from scripts.data.slices import SliceDataset
from scripts.data.synthesis import ComparedSlices, PlannedLatents, PlannedMasks, synthetic_files


def load_arrays(item):
    return {"image": np.load(item["image"]), "label": np.load(item["label"])}


def slices(folder: Path, patient: str, *, value: float = 0.0, **more) -> SliceDataset:
    """One volume of three slices; slice z is `value` and holds the label z + 1 everywhere."""
    image = {key: str(folder / f"{patient}_{key}.npy") for key in ("image", "label")}
    np.save(image["image"], np.full((1, 4, 4, 3), value))
    np.save(image["label"], np.broadcast_to(np.arange(1, 4), (1, 4, 4, 3)))
    item = {**image, "patient": patient, "class": "A", "class_index": 0, **more}
    return SliceDataset([item], load_arrays, folder / "cache")


def planned(dataset: SliceDataset, folder: Path, classes=("A", "B")) -> PlannedMasks:
    wanted = [("B", 2), ("A", 0)]
    images = [{"class": c, "source": dataset.summary(z)["source"], "source_patient": "p0"} for c, z in wanted]
    return PlannedMasks(dataset, images, list(classes), folder / "made")


def test_elements_are_the_source_slices_with_the_asked_class(tmp_path):
    masks = planned(slices(tmp_path, "p0"), tmp_path)
    assert len(masks) == 2
    first, second = masks[0], masks[1]
    assert first["label"].unique().tolist() == [3]
    assert second["label"].unique().tolist() == [1]
    assert (first["class_index"], first["asked_class"], first["name"]) == (1, "B", "000000_B")
    assert (second["class_index"], second["source_patient"], second["name"]) == (0, "p0", "000001_A")


def test_images_that_are_there_with_their_label_are_not_made_again(tmp_path):
    dataset = slices(tmp_path, "p0")
    files = synthetic_files(tmp_path / "made", "000000_B")
    for file in files:
        file.parent.mkdir(parents=True)
        file.touch()
    assert [element["name"] for element in planned(dataset, tmp_path).missing] == ["000001_A"]
    files[0].unlink()  # killed between label and image
    assert len(planned(dataset, tmp_path)) == 2


def test_a_source_outside_the_slices_is_named(tmp_path):
    dataset = slices(tmp_path, "p0")
    image = {"class": "A", "source": "elsewhere#7", "source_patient": "p0"}
    with pytest.raises(DatasetError, match="The plan uses the slice elsewhere#7, which is not among these training"):
        PlannedMasks(dataset, [image], ["A"], tmp_path / "made")


def test_compared_slices_tell_the_parts_and_sources(tmp_path):
    made = slices(tmp_path, "made", value=0.5, synthetic={"source_patient": "p0"})
    compared = ComparedSlices(slices(tmp_path, "p0"), slices(tmp_path, "p1"), made)
    assert len(compared) == 9
    shown = [(compared[n]["part"], compared[n]["source_patient"]) for n in (0, 3, 6)]
    assert shown == [("training", "p0"), ("held_out", "p1"), ("synthetic", "p0")]
    assert compared[8]["image"].unique().tolist() == [0.5]
    assert compared[8]["label"].unique().tolist() == [3]


def test_each_image_has_noise_of_its_own_that_a_restart_and_the_order_leave_alone(tmp_path):
    dataset = slices(tmp_path, "p0")
    images = [{"class": None, "source": dataset.summary(0)["source"], "source_patient": "p0"}] * 3

    def seeds(seed: int) -> list[int]:
        return [image["noise_seed"] for image in PlannedMasks(dataset, images, [], tmp_path / "made", seed).images]

    assert len({*seeds(0), *seeds(1)}) == 6
    masks = PlannedMasks(dataset, images, [], tmp_path / "made", 1)
    masks.missing = masks.missing[2:]  # the first two are on the disk
    assert masks[0]["noise_seed"] == seeds(1)[2]


def test_several_synthetic_sets_are_compared_under_their_names(tmp_path):
    made = slices(tmp_path, "made", synthetic={"source_patient": "p0"})
    compared = ComparedSlices(slices(tmp_path, "p0"), slices(tmp_path, "p1"), {"epoch_1": made, "epoch_2": made})
    assert [compared[n]["part"] for n in (0, 3, 6, 9)] == ["training", "held_out", "epoch_1", "epoch_2"]
    assert compared[6]["file"] == made.data[0]["image"]


def made_by(folder: Path, member: int) -> dict:
    files = {key: str(folder / f"made_{key}.npy") for key in ("image", "label")}
    return {**files, "patient": f"synthetic-{member}", "synthetic": {"member": member}}


def test_members_are_told_apart_and_their_images_are_patients_of_their_own(tmp_path):
    slices(tmp_path, "made")
    ensemble = SliceDataset([made_by(tmp_path, n) for n in (0, 1)], load_arrays, tmp_path / "cache")
    compared = ComparedSlices(slices(tmp_path, "p0"), slices(tmp_path, "p1"), ensemble)
    assert [compared[n]["member"] for n in (0, 3, 6, 9)] == [-1, -1, 0, 1]
    assert [compared[n]["source_patient"] for n in (6, 9)] == ["synthetic-0", "synthetic-1"]
    assert compared.item(9) == made_by(tmp_path, 1)


def test_a_few_images_of_each_part_are_spread_over_all_of_it(tmp_path):
    made = slices(tmp_path, "made")
    ensemble = SliceDataset([made_by(tmp_path, n) for n in range(4)], load_arrays, tmp_path / "cache")
    compared = ComparedSlices(slices(tmp_path, "p0"), slices(tmp_path, "p1"), ensemble, most_images=4)
    assert [compared[n]["part"] for n in range(len(compared))] == ["training"] * 3 + ["held_out"] * 3 + [
        "synthetic"
    ] * 4
    assert [compared[n]["member"] for n in range(6, 10)] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="most_images is 0"):
        ComparedSlices(made, made, made, most_images=0)


def test_members_share_the_quota(tmp_path):
    planned = PlannedLatents(3, 11, tmp_path)
    assert [sum(image["member"] == m for image in planned.images) for m in range(3)] == [4, 4, 3]
    assert len({image["noise_seed"] for image in planned.images}) == 11
    assert len({image["name"] for image in planned.images}) == 11


def test_another_seed_draws_other_images_and_the_same_one_the_same(tmp_path):
    seeds = [{image["noise_seed"] for image in PlannedLatents(2, 6, tmp_path, seed).images} for seed in (0, 0, 1)]
    assert seeds[0] == seeds[1]
    assert seeds[0].isdisjoint(seeds[2])


def test_what_is_written_is_not_made_again(tmp_path):
    planned = PlannedLatents(2, 4, tmp_path)
    for file in synthetic_files(tmp_path, planned.images[1]["name"]):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    again = PlannedLatents(2, 4, tmp_path)
    assert len(again) == 3
    assert again[1]["name"] == planned.images[2]["name"]
    assert again.provenance(again.images[3]) == {"member": 1, "noise_seed": planned.images[3]["noise_seed"]}


@pytest.mark.parametrize(("members", "images"), [(0, 5), (3, 2)])
def test_fewer_images_than_members_are_refused(tmp_path, members, images):
    with pytest.raises(DatasetError, match=f"image_count is {images} for {members} members"):
        PlannedLatents(members, images, tmp_path)
