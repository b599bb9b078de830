"""What MONAI's tools look for is there, with everything built on a tiny phantom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigWorkflow

from scripts.data.plan import plan
from scripts.networks.knowledge import write_weights

FOLDER = Path(__file__).parents[2] / "configs"
# training -> its network, and where others look for it
WRITTEN = {
    "train": ("network_def", "segmenter/model.pt"),
    "redgan_train": ("generator_def", "redgan/generator.pt"),
    "lcgan_train": ("generator_def", "lcgan/generator.pt"),
    "lcgan_segmenter_train": ("network_def", "lcgan_segmenter/model.pt"),
    "pggan_ensemble_train": ("generator_def", "pggan_ensemble/member_00/generator.pt"),
    "pggan_ensemble_segmenter_train": ("network_def", "pggan_ensemble_segmenter/model.pt"),
    "cpggan_train": ("generator_def", "cpggan/generator.pt"),
    "cpggan_detector_train": ("network_def", "cpggan_detector/model.pt"),
    "feature_acgan_unet_train": ("network_def", "feature_acgan_unet/model.pt"),
}
# whose outputs others build on, in this order
RUN = (
    "redgan_inference",
    "lcgan_inference",
    "pggan_ensemble_inference",
    "cpggan_inference",
    "feature_acgan_features",
    "feature_acgan_train",
    "feature_acgan_inference",
    "feature_acgan_classifier_train",
)
# what untrained networks and six patients need
OPTIONS: dict[str, dict[str, Any]] = {
    "lcgan_inference": {"output_dir": "$@runs_dir + '/lcgan/candidates/epoch_1'"},
    "pggan_ensemble_inference": {"minimum_diversity": 0},
    "feature_acgan_features": {"class_key": "grade"},
    "feature_acgan_train": {"max_epochs": 1},
    "feature_acgan_inference": {"keep_all": True},
    "feature_acgan_classifier_train": {"max_epochs": 1, "validate#dataset#every_class": False},
}
TRAINING = sorted(file.stem for file in FOLDER.glob("*_train.json") if file.stem != "multi_gpu_train")
INFERENCE = sorted(file.stem for kind in ("inference", "evaluate", "features") for file in FOLDER.glob(f"*{kind}.json"))
# It samples by class until the discriminator has accepted enough: there is no data set, and no engine runs over one.
WITHOUT_ENGINE = "feature_acgan_inference"
TYPES = {
    "train": "train",
    **dict.fromkeys(TRAINING, "train"),
    **dict.fromkeys(INFERENCE, "infer"),
    WITHOUT_ENGINE: None,
}


def build(name: str, kind: str | None, settings: dict[str, Any]) -> ConfigWorkflow:
    """The config with those settings that it knows; a data set only where it works on images."""
    config = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    on_images = isinstance(config.get("dataset_dir"), dict)
    known = {key: value for key, value in settings.items() if key in config and (on_images or key != "dataset_dir")}
    workflow = ConfigWorkflow(
        config_file=[str(FOLDER / f"{name}.json"), str(FOLDER / "smoke.json")],
        meta_file=str(FOLDER / "metadata.json"),
        logging_file=False,
        workflow_type=kind,
        **known,
        **OPTIONS.get(name, {}),
    )
    workflow.initialize()
    return workflow


@pytest.fixture(scope="module")
def settings(phantom: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Overrides under which every config can be built: data, and hardly trained networks and sets where others look."""
    runs = tmp_path_factory.mktemp("runs")
    settings = {"dataset_dir": str(phantom), "cache_dir": str(cache), "runs_dir": str(runs), "width_multiplier": 0.05}
    for name, (network, file) in WRITTEN.items():
        parser = build(name, None, settings).parser
        write_weights(runs / file, parser.get_parsed_content(network), parser.get_parsed_content("knowledge"))
    for system in ("redgan", "lcgan"):
        plan(
            str(phantom),
            output=str(runs / system / "plan.json"),
            strategy="single",
            target_class="A",
            config=str(FOLDER / f"{system}_train.json"),
            cache_dir=str(cache),
            image_size_pixels=32,
        )
    for name in RUN:
        parser = build(name, None, settings).parser
        for step in range(1, len(parser["run"])):  # the first would seed this process
            parser.get_parsed_content(f"run#{step}")
    return settings


@pytest.mark.parametrize("name", TYPES)
def test_no_property_is_missing(name: str, settings: dict[str, Any]) -> None:
    assert build(name, TYPES[name], settings).check_properties() == []


def test_every_workflow_is_tested_here() -> None:
    runnable = {file.stem for file in FOLDER.glob("*.json") if "run" in json.loads(file.read_text(encoding="utf-8"))}
    assert runnable - {"multi_gpu_train"} == set(TYPES)


@pytest.mark.slow
def test_runs_from_another_working_directory(run_bundle: Any, tmp_path: Path) -> None:
    options = {"runs_dir": tmp_path / "runs", "max_epochs": 1}
    run_bundle("train", cwd=tmp_path, options=options)
    run_bundle("inference", cwd=tmp_path, options={"runs_dir": tmp_path / "runs"})
    assert (tmp_path / "runs" / "segmenter" / "checkpoint.pt").is_file()
    assert list((tmp_path / "runs" / "predictions").glob("*_seg.nii.gz"))
    assert [file.name for file in tmp_path.iterdir()] == ["runs"]
