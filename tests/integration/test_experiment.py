"""The whole experiment as its workflow, from the phantom to the report, at the smallest size that runs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.data.contract import read_dataset
from scripts.data.phantom import write_phantom
from scripts.report.results import read_results
from scripts.report.study import read_study

ROOT = Path(__file__).resolve().parents[2]


def run_workflow(config: Path, workflow: str = "redgan") -> str:
    file = f"scripts/experiments/{workflow}.smk"
    command = [sys.executable, "-m", "snakemake", "-s", file, "--configfile", str(config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        [*command, "--cores", "2", "--nolock"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


def write_config(folder: Path, *, slices: int, **more: Any) -> Path:
    """A workflow's config: fifteen tiny patients, one fold, one seed."""
    content = {
        "title": "Tiny",
        "results_dir": str(folder / "results"),
        "phantom": {"folder": str(folder / "phantom"), "patients": 15, "image_size": 32, "slices": slices},
        "cache_dir": str(folder / "cache"),
        "image_size_pixels": 32,
        "folds": [0],
        "seeds": [0],
        **more,
    }
    file = folder / "tiny.json"
    file.write_text(json.dumps(content))
    return file


@pytest.mark.slow
def test_the_workflow_ends_in_a_report_and_has_nothing_left_to_do(tmp_path: Path) -> None:
    widths = {"encoder_widths": [8, 8, 16, 16], "decoder_widths": [16, 8, 8, 8, 8]}
    content = {
        "arms": ["real", "oversampling", "gan"],
        "limit_per_class": 3,
        "segmenter": {"max_epochs": 1, "samples_per_epoch": 8, "batch_size": 4, **widths},
        "gan": {
            "max_epochs": 1,
            "samples_per_epoch": 8,
            "batch_size": 4,
            "generator_width": 2,
            "embedding_dim": 8,
            "discriminator_width": 4,
        },
    }
    config = write_config(tmp_path, slices=4, **content)
    run_workflow(config)
    results = read_results(tmp_path / "results")
    assert [arm.name for arm in results.arms] == content["arms"]
    assert max(results.arms[2].synthetic.values()) == 3
    page = (tmp_path / "results" / "report.html").read_text()
    assert all(text in page for text in ("Tiny", "Oversampling", "Red-GAN, balanced", "data:image/png;base64"))
    assert "Nothing to be done" in run_workflow(config)


@pytest.mark.slow
def test_lcgan_over_two_fractions_with_and_without_enough_patients_for_the_classifier(tmp_path: Path) -> None:
    content = {
        "fractions": [0.3, 1.0],
        "arms": ["original", "gan", "classical", "gan_classical"],
        "gan": {"candidate_epochs": [1, 2], "generator_width": 2, "discriminator_width": 2, "samples_per_epoch": 4},
        "segmenter": {
            "max_epochs": 1,
            "samples_per_epoch": 8,
            "batch_size": 4,
            "fcn_width": 2,
            "fcn_fc_width": 8,
        },
        "classifier": {"max_epochs": 1, "samples_per_epoch": 8, "batch_size": 4, "classifier_width_multiplier": 0.05},
    }
    config = write_config(tmp_path, slices=3, **content)
    run_workflow(config, "lcgan")
    study = read_study(tmp_path / "results")
    assert [(fraction.share, fraction.patients) for fraction in study.fractions] == [(0.3, 3), (1.0, 9)]
    few, all_of_them = (tmp_path / "results" / f"fraction_{share}" for share in (0.3, 1.0))
    assert "realness was not judged" in " ".join(json.loads((few / "selection.json").read_text())["notes"])
    scores = json.loads((all_of_them / "selection.json").read_text())
    assert [candidate["name"] for candidate in scores["candidates"]] == ["epoch_0001", "epoch_0002"]
    assert all(candidate["called_real"] is not None for candidate in scores["candidates"])
    phantom = read_dataset(tmp_path / "phantom")
    held_out = {item["patient"] for split in ("validation", "test") for item in phantom.splits[split]}
    made = read_dataset(all_of_them / "jobs" / "fold0_seed0" / "selected").items
    assert made
    assert held_out.isdisjoint(item["synthetic"]["source_patient"] for item in made)
    page = (tmp_path / "results" / "report.html").read_text()
    assert all(text in page for text in ("Tiny", "+ both", "epoch_0002", "data:image/png;base64"))
    assert "Nothing to be done" in run_workflow(config, "lcgan")


@pytest.mark.slow
def test_an_ensemble_with_snapshots_and_chosen_members(tmp_path: Path) -> None:
    arms = ["real", "real_members_2", "synthetic_members_1", "synthetic_snapshots_2", "synthetic_greedy_1"]
    content = {
        "members": 2,
        "snapshots": 2,
        "arms": arms,
        "image_count": 8,
        "slice_rule": {"bright_share": 0.0},
        "gan": {
            "images_per_phase": 8,
            "total_images": 72,
            "batch_size_at_4_8_16_pixels": [4, 4, 4, 4],
            "iterations_per_epoch": 2,
            "latent_dim": 8,
            "feature_base": 64,
            "feature_max": 8,
        },
        "segmenter": {"max_epochs": 1, "samples_per_epoch": 8, "batch_size": 4, "filters": [4, 8, 8]},
    }
    config = write_config(tmp_path, slices=4, **content)
    run_workflow(config, "pggan_ensemble")
    results = read_results(tmp_path / "results")
    assert [arm.name for arm in results.arms] == arms
    families = {family["title"]: family["arms"] for family in results.experiment["ensemble"]["families"]}
    assert families["Synthetic only, snapshots of one member's training"] == {"2": "synthetic_snapshots_2"}
    hours = results.experiment["ensemble"]["device_hours"]
    assert hours["synthetic_snapshots_2"] == hours["synthetic_members_1"] < hours["synthetic_greedy_1"]
    order = json.loads((tmp_path / "results" / "jobs" / "fold0" / "evaluation" / "choice.json").read_text())["order"]
    chosen = read_dataset(tmp_path / "results" / "jobs" / "fold0" / "sets" / "greedy_1")
    first = tmp_path / "results" / "jobs" / "fold0" / f"member_{order[0]}" / "generator.pt"
    sha = hashlib.sha256(first.read_bytes()).hexdigest()
    assert {item["synthetic"]["generator_sha256"] for item in chosen.items} == {sha}
    page = (tmp_path / "results" / "report.html").read_text()
    assert all(text in page for text in ("Tiny", "chosen for coverage", "growth"))
    assert "Nothing to be done" in run_workflow(config, "pggan_ensemble")


@pytest.mark.slow
def test_detectors_with_and_without_synthetic_lesions(tmp_path: Path) -> None:
    arms = ["real", "gan_1", "gan_all_plain"]
    sizes = {"batch_size": 4, "max_epochs": 1, "samples_per_epoch": 8}
    content = {
        "arms": arms,
        "image_count": 8,
        "filter": "contrast",
        "slice_rule": {"bright_share": 0.0},
        "gan": {
            "images_per_phase": 8,
            "total_images": 56,
            "batch_size_at_4_8_16_pixels": [4, 4, 4, 4],
            "iterations_per_epoch": 2,
            "latent_dim": 8,
            "feature_base": 64,
            "feature_max": 8,
        },
        "evaluation": {"minimum_contrast_quantile": 0.0},
        "segmenter": {**sizes, "encoder_widths": [8, 8, 16, 16], "decoder_widths": [16, 8, 8, 8, 8]},
        "detector": {**sizes, "width_multiplier": 0.125},
        "turing": {"per_class": 2, "image_size_pixels": 32},
        "published": {"iou50": {"real": {"mAP": 0.51}}},
    }
    config = write_config(tmp_path, slices=4, **content)
    run_workflow(config, "cpggan")
    results = tmp_path / "results"
    experiment = json.loads((results / "experiment.json").read_text())
    assert [arm["name"] for arm in experiment["arms"]] == arms
    assert {"growth", "placement", "detections", "tsne_pixels"} <= set(experiment["captions"])
    assert (results / "turing.html").is_file()
    page = (results / "report.html").read_text()
    assert all(text in page for text in ("Tiny", "mAP", "0.51", "data:image/png;base64"))
    assert "Nothing to be done" in run_workflow(config, "cpggan")


def write_other_patients(folder: Path) -> Path:
    """A phantom of one channel, in place of four, of patients with names of their own."""
    write_phantom(folder, kind="metastases", patients=6, image_size=32, slices=4)
    file = folder / "dataset.json"
    file.write_text(file.read_text().replace('"patient": "', '"patient": "first_'))
    return folder


@pytest.mark.slow
def test_graders_with_and_without_synthetic_features(tmp_path: Path) -> None:
    arms = ["real", "smote", "features_4", "images_4"]
    gan = {"width": 8, "batch_size": 4, "max_epochs": 1, "samples_per_epoch": 8}
    content = {
        "folds": [2],  # both grades in every split
        "arms": arms,
        "pretraining": {"dataset_dir": str(write_other_patients(tmp_path / "first"))},
        "unet": {"unet_widths": [4, 4, 8, 8, 8], "batch_size": 4, "max_epochs": 1, "samples_per_epoch": 8},
        "features": {"class_key": "grade"},
        "features_gan": gan,
        "images_gan": {**gan, "halvings": 4},
        "synthesis": {"keep_all": True},
        "classifier": {"batch_size": 4, "max_epochs": 1, "samples_per_epoch": 8, "classifier_widths": [4, 4]},
        "published": {"real": {"accuracy": {"HGG": 0.95, "LGG": 0.05, "all": 0.61}}},
    }
    config = write_config(tmp_path, slices=4, **content)
    run_workflow(config, "feature_acgan")
    results = tmp_path / "results"
    experiment = json.loads((results / "experiment.json").read_text())
    assert [arm["name"] for arm in experiment["arms"]] == arms
    known = json.loads((results / "jobs" / "fold2" / "unet" / "model.json").read_text())["trained_on"]
    assert {name.split("_")[0] for name in known} == {"first", "phantom"}  # the U-Net was pretrained on other patients
    pictures = {f"{space}_{name}" for space in ("features", "images") for name in ("tsne_features", "feature_maps")}
    assert set(experiment["captions"]) == {*pictures, "synthetic_images"}
    page = (results / "report.html").read_text()
    assert all(text in page for text in ("Tiny", "SMOTE", "0.61", "data:image/png;base64"))
    assert "Nothing to be done" in run_workflow(config, "feature_acgan")
