from __future__ import annotations

from typing import Any

import pytest

from scripts.experiments.pggan_ensemble_arms import Ensemble, make_arms, read_ensemble, snapshot_files


def config(*arms: str, **more: Any) -> dict[str, Any]:
    return {"arms": list(arms), "members": 3, "snapshots": 4, **more}


def test_an_arms_name_says_where_its_images_come_from():
    assert read_ensemble("real") is None
    assert read_ensemble("synthetic_greedy_2") == Ensemble("synthetic", "greedy", 2)
    arms = make_arms(config("real", "real_members_3", "synthetic_members_1", "synthetic_snapshots_4"))
    assert arms["real"].generator is None
    assert arms["real_members_3"].title == "Real + synthetic, 3 members"
    assert arms["real_members_3"].options == {}
    assert arms["synthetic_members_1"].title == "Synthetic only, 1 member"
    assert arms["synthetic_members_1"].options == {"use_real": False}
    assert arms["synthetic_snapshots_4"].generator == "snapshots_4"


@pytest.mark.parametrize(
    ("arms", "message"),
    [
        (["real_members_1"], "expected real among them"),
        (["real", "synthetic_members_0"], "Arm 'synthetic_members_0' is unknown"),
        (["real", "fake_members_1"], "Arm 'fake_members_1' is unknown"),
        (["real", "real_members_4"], "needs 4 generators, but members is 3"),
        (["real", "real_snapshots_5"], "needs 5 generators, but snapshots is 4"),
    ],
)
def test_arms_that_cannot_be_run(arms, message):
    with pytest.raises(ValueError, match=message):
        make_arms(config(*arms))


def test_snapshots_are_known_before_the_training():
    gan = {"images_per_phase": 8, "total_images": 40, "batch_size_at_4_8_16_pixels": [4, 4], "iterations_per_epoch": 1}
    # 2 iterations each at 4 px and of the fade, then 6 at 8 px: epochs 5 to 10
    settings = config("real", image_size_pixels=8, snapshots=3, gan=gan)
    files = [f"run/snapshots/epoch_{epoch:04d}.pt" for epoch in (6, 8, 10)]
    assert snapshot_files(settings, "run", 3) == files
    assert snapshot_files(settings, "run", 2) == files[1:]
