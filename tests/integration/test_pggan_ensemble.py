"""Two members grow to 16 pixels, share a quota of images, and a segmenter learns from them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from scripts.data.contract import read_dataset
from scripts.networks.deep_unet import build_deep_unet
from tests.known_weights import write_known

pytestmark = pytest.mark.slow
GENERATOR = {"image_size_pixels": 16, "latent_dim": 8, "feature_base": 64, "feature_max": 8, "bright_share": 0.0}
# phases of 4 iterations each: 4 px, 8 px fading, 8 px, 16 px fading, 16 px; epochs of 6 end in the midst of them
SCHEDULE = {
    "images_per_phase": 16,
    "total_images": 80,
    "batch_size_at_4_8_16_pixels": "[4,4,4]",
    "iterations_per_epoch": 6,
}
SEGMENTER = {"image_size_pixels": 16, "filters": "[4,8,8]", "bright_share": 0.0}


def start_member(bundle, folder: Path, member: int, **options) -> subprocess.Popen[str]:
    options = {**GENERATOR, **SCHEDULE, **options}
    return bundle.start("pggan_ensemble_train", output_dir=folder, member=member, **options)


@pytest.fixture(scope="module")
def members(bundle) -> list[Path]:
    folders = [bundle.folder / f"member_{n}" for n in range(2)]
    running = [start_member(bundle, folder, n) for n, folder in enumerate(folders)]
    for process in running:
        bundle.finish(process)
    return folders


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return torch.load(folder / "generator.pt", weights_only=True)


def test_members_differ_and_show_every_resolution(members):
    first, second = (weights(folder) for folder in members)
    assert not any(torch.equal(first[name], second[name]) for name in first if name.endswith("weight"))
    for folder in members:
        pictures = sorted(file.name for file in (folder / "pictures").iterdir())
        assert pictures[-1] == "resolution_0016.png"


@pytest.mark.parametrize("epochs", [1, 2])  # after 6 of 20 iterations, half way into 8 px; after 12, before 16 px
def test_a_member_that_was_stopped_ends_like_an_uninterrupted_one(bundle, members, tmp_path, epochs):
    bundle.finish(start_member(bundle, tmp_path, 0, max_epochs=epochs))
    output = bundle.finish(start_member(bundle, tmp_path, 0))
    assert f"after epoch {epochs} of 4" in output
    whole, resumed = weights(members[0]), weights(tmp_path)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_members_share_a_quota_and_feed_the_segmenter(bundle, members, tmp_path):
    files = [str(folder / "generator.pt") for folder in members]
    synthetic = tmp_path / "synthetic"
    options = {"generator_files": json.dumps(files), "image_count": 9, "output_dir": synthetic, "bright_share": 0.0}
    bundle.run("pggan_ensemble_inference", **options)
    made, real = read_dataset(synthetic), read_dataset(bundle.phantom)
    assert [item["synthetic"]["member"] for item in made.items] == [0] * 5 + [1] * 4
    assert len({item["synthetic"]["generator_sha256"] for item in made.items}) == 2
    assert set(made.trained_on) == {item["patient"] for item in real.splits["training"]}
    image, label = (np.asarray(nib.load(made.items[0][key]).dataobj) for key in ("image", "label"))
    assert image.shape == (16, 16, 1, 4)
    assert set(np.unique(label)) <= {0, 1, 2, 3}
    report = json.loads((tmp_path / "synthetic_members.json").read_text())
    assert len(report["members"]) == 2

    training = {"synthetic_dir": synthetic, "output_dir": tmp_path / "segmenter", "max_epochs": 1, "batch_size": 4}
    bundle.run("pggan_ensemble_segmenter_train", **SEGMENTER, **training, samples_per_epoch=16)
    model = {"model_file": tmp_path / "segmenter" / "model.pt", "output_dir": tmp_path / "segmenter"}
    bundle.run("pggan_ensemble_segmenter_evaluate", **model)
    assert (tmp_path / "segmenter" / "scores.csv").is_file()

    judge = tmp_path / "judge" / "model.pt"  # one that knows real images only
    network = build_deep_unet(4, 4, filters=[4, 8, 8], image_size=16)
    write_known(judge, made.trained_on, network=network, images=real, settings={"image_size_pixels": 16})
    judged = {"synthetic_dir": synthetic, "model_file": judge, "output_dir": tmp_path / "judge"}
    bundle.run("pggan_ensemble_evaluate", bright_share=0.0, **judged)
    quality, annotations, choice = (
        json.loads((tmp_path / "judge" / f"{name}.json").read_text()) for name in ("quality", "annotations", "choice")
    )
    assert {"frechet", "mask_dice", "mask_dice_held_out_real"} <= set(quality["pggan_ensemble"])
    assert {name: part["images"] for name, part in annotations["parts"].items()}["synthetic"] == 9
    assert [entry["images"] for entry in annotations["members"]] == [5, 4]
    assert annotations["labels"] == real.labels[1:]
    assert sorted(choice["order"]) == [0, 1]
    assert choice["images_per_member"] == 4
    assert choice["coverage"][0] == max(choice["single"]) <= choice["coverage"][1]
