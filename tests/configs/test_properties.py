"""What MONAI's tools look for is there, with everything built on a tiny phantom."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from scripts.data.plan import plan

FOLDER = Path(__file__).parents[2] / "configs"
TYPES = {
    "train": "train",
    "redgan_train": "train",
    "inference": "infer",
    "evaluate": "infer",
    "redgan_inference": "infer",
    "lcgan_train": "train",
    "lcgan_segmenter_train": "train",
    "lcgan_inference": "infer",
    "lcgan_segmenter_evaluate": "infer",
}


@pytest.fixture(scope="module")
def settings(phantom: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Overrides under which every config can be built: data, and untrained weights where training would put them."""
    runs = tmp_path_factory.mktemp("runs")
    common = {"dataset_dir": str(phantom), "cache_dir": str(cache), "runs_dir": str(runs)}
    written = {
        "train": ("network_def", "segmenter/model.pt"),
        "redgan_train": ("generator_def", "redgan/generator.pt"),
        "lcgan_train": ("generator_def", "lcgan/generator.pt"),
        "lcgan_segmenter_train": ("network_def", "lcgan_segmenter/model.pt"),
    }
    for name, (network, file) in written.items():
        parser = ConfigParser()
        parser.read_config([str(FOLDER / f"{name}.json"), str(FOLDER / "smoke.json")])
        parser.update(common)
        (runs / file).parent.mkdir()
        torch.save(parser.get_parsed_content(network).state_dict(), runs / file)
        (runs / file).with_suffix(".json").write_text('{"trained_on": ["phantom_0001"]}')
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
    return common


@pytest.mark.parametrize("name", TYPES)
def test_no_property_is_missing(name: str, settings: dict[str, Any]) -> None:
    workflow = ConfigWorkflow(
        config_file=[str(FOLDER / f"{name}.json"), str(FOLDER / "smoke.json")],
        meta_file=str(FOLDER / "metadata.json"),
        logging_file=False,
        workflow_type=TYPES[name],
        **settings,
    )
    workflow.initialize()
    assert workflow.check_properties() == []


@pytest.mark.slow
def test_runs_from_another_working_directory(run_bundle: Any, tmp_path: Path) -> None:
    options = {"runs_dir": tmp_path / "runs", "max_epochs": 1}
    run_bundle("train", cwd=tmp_path, options=options)
    run_bundle("inference", cwd=tmp_path, options={"runs_dir": tmp_path / "runs"})
    assert (tmp_path / "runs" / "segmenter" / "checkpoint.pt").is_file()
    assert list((tmp_path / "runs" / "predictions").glob("*_seg.nii.gz"))
    assert [file.name for file in tmp_path.iterdir()] == ["runs"]
