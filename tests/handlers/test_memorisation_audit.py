from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from scripts.data.contract import DatasetError, read_dataset
from scripts.handlers.memorisation_audit import MemorisationAudit
from scripts.networks.feature_extractor import FeatureExtractor

EXTRACTOR = FeatureExtractor(lambda images: images[..., ::4, ::4].flatten(1), "Corners")
TRAINED = 20


def scenes(count: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).uniform(-1, 1, (count, 1, 64, 64)).astype(np.float32))


def elements(part: str, images: torch.Tensor, folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "part": part,
            "image": image,
            "source": f"{folder}/{part}{n}.nii.gz#0",
            "file": f"{folder}/{part}{n}.nii.gz",
            "source_patient": f"{part}{n}",
        }
        for n, image in enumerate(images)
    ]


def audit(
    folder: Path, made: torch.Tensor, *, held_out: int = 12, name: str = "synthetic", **options: Any
) -> dict[str, Any]:
    """What the description of a set of these images says after its audit; its last modification is in 1970."""
    synthetic = folder / "synthetic"
    synthetic.mkdir(exist_ok=True)
    items = [{"image": f"{name}{n}.nii.gz", "label": "l", "synthetic": {"system": "gan"}} for n in range(len(made))]
    content = {"modality": {"0": "MR"}, "labels": {"0": "background", "1": "tumour"}, "training": items}
    file = synthetic / "dataset.json"
    file.write_text(json.dumps(content))
    os.utime(file, (1, 1))
    parts = {"training": scenes(TRAINED, 0), "held_out": scenes(held_out, 1), "synthetic": made}
    dataset = [element for part, images in parts.items() for element in elements(part, images, synthetic)]
    given: dict[str, Any] = {"extractor": EXTRACTOR, "modality": ["MR"], **options}
    handler = MemorisationAudit(dataset=dataset, sets=[synthetic, folder / "selected"], output_dir=folder, **given)
    engine: Any = SimpleNamespace(state=SimpleNamespace(batch=dataset[:7], device=torch.device("cpu")))
    handler.start(engine)
    handler.add(engine)
    engine.state.batch = dataset[7:]
    handler.add(engine)
    handler.finish(engine)
    assert file.stat().st_mtime == 1  # what was made of the set is still up to date
    said = read_dataset(synthetic).memorisation
    assert json.loads((folder / "memorisation.json").read_text()) == said
    return said


def test_a_generator_that_returns_its_training_images_fails(tmp_path):
    copies = scenes(TRAINED, 0).flip(2).roll((1, -2), dims=(2, 3)) + 0.05 * scenes(TRAINED, 9)
    said = audit(tmp_path, copies)
    assert said["verdict"] == "failed"
    assert "100% by pixels where 8% is expected" in said["reason"]
    assert (said["images"], said["held_out_patients"], said["extractor"]) == (TRAINED, 12, "Corners")
    assert said["by"]["pixels"]["median"] < 0.2 < said["by"]["pixels"]["real_median"]
    assert (tmp_path / "memorisation.png").is_file()
    halves = torch.cat([copies[:10], scenes(10, 2)])
    assert audit(tmp_path, halves)["verdict"] == "failed"


def test_features_that_see_a_copied_corner_alone_give_its_mirror_image_away(tmp_path):
    made = scenes(TRAINED, 3)
    made[..., :16, :16] = scenes(TRAINED, 0)[..., :16, -16:].flip(3)
    corner = FeatureExtractor(lambda images: images[..., :16, -16:].flatten(1), "Corner")
    said = audit(tmp_path, made, extractor=corner)
    assert said["verdict"] == "failed"
    assert said["by"]["features"]["p"] < 1e-6 < 0.025 < said["by"]["pixels"]["p"]


def test_images_of_new_patients_pass(tmp_path):
    said = audit(tmp_path, scenes(20, 2))
    assert (said["verdict"], set(said["by"])) == ("passed", {"pixels", "features"})


def test_few_held_out_patients_do_not_pass_for_an_audit(tmp_path):
    said = audit(tmp_path, scenes(20, 2), held_out=4)
    assert said["verdict"] == "cannot be audited"
    assert said["reason"].startswith("4 held-out patients are too few")
    assert audit(tmp_path, scenes(20, 2), held_out=1)["by"] == {}
    assert audit(tmp_path, scenes(TRAINED, 0), held_out=4)["verdict"] == "failed"  # copies alone are plain to see


def test_the_discriminators_auc_is_told_where_it_is_known(tmp_path):
    known, missing = tmp_path / "membership.json", tmp_path / "missing.json"
    known.write_text('{"value": 0.8, "low": 0.7, "high": 0.9, "n": 32}')
    said = audit(tmp_path, scenes(20, 2), membership_files=[known, missing])
    assert said["membership_auc"] == [{"value": 0.8, "low": 0.7, "high": 0.9, "n": 32}]


def test_feature_sets_are_audited_by_their_maps(tmp_path):
    maps = {part: scenes(20, seed)[..., :8, :8] for seed, part in enumerate(("training", "held_out"))}
    elements = [
        {"part": part, "image": each, "source": f"{part}{n}", "patient": f"{part}{n}"}
        for part, images in {**maps, "synthetic": maps["training"] + 0.01}.items()
        for n, each in enumerate(images)
    ]
    (tmp_path / "manifest.json").write_text("{}")
    handler = MemorisationAudit(dataset=elements, sets=[tmp_path], output_dir=tmp_path, pooled_size=4)
    engine: Any = SimpleNamespace(state=SimpleNamespace(batch=elements, device=torch.device("cpu")))
    for step in (handler.start, handler.add, handler.finish):
        step(engine)
    said = json.loads((tmp_path / "manifest.json").read_text())["memorisation"]
    assert (said["verdict"], set(said["by"])) == ("failed", {"features"})


def test_a_set_that_was_not_compared_is_refused(tmp_path):
    with pytest.raises(DatasetError, match=r"No image of .* was compared"):
        audit(tmp_path, scenes(2, 2), name="other")
