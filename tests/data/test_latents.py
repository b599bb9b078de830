from __future__ import annotations

import pytest

from scripts.data.contract import DatasetError
from scripts.data.synthesis import PlannedLatents, synthetic_files


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
