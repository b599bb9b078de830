"""What lies in `models/` after a clone runs at once, in a folder where there is nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import run

from scripts.networks.knowledge import read_description

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "models").glob("*.pt"))
SHORT: dict[str, dict[str, Any]] = {
    "redgan": {},
    "lcgan": {},
    "cpggan": {"image_count": 8},
    "pggan_ensemble": {"image_count": 8},
    "feature_acgan": {"feature_count": 8},
}


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clone")


@pytest.mark.slow
@pytest.mark.parametrize("system", SHORT)
def test_synthesis_runs_at_once(system: str, empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty)
    run(config_file=str(ROOT / f"configs/{system}_inference.json"), logging_file=False, **SHORT[system])
    made = empty / "runs" / system / "synthetic"
    assert (made / ("manifest.json" if system == "feature_acgan" else "dataset.json")).is_file()


@pytest.mark.slow
def test_the_segmenter_segments_at_once(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(empty)
    run(config_file=str(ROOT / "configs/inference.json"), logging_file=False)
    assert len(list((empty / "runs" / "predictions").glob("*.nii.gz"))) == 8  # the test patients of the phantom


def test_the_weights_are_small_described_and_on_the_card() -> None:
    card = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    assert sum(file.stat().st_size for file in FILES) < 15e6
    assert {file.name.split("_generator")[0] for file in FILES} >= set(SHORT)
    for file in FILES:
        described = read_description(file)
        assert described is not None, file
        assert json.loads(file.with_suffix(".json").read_text(encoding="utf-8"))["trained_on"]
        assert f"`{file.name}`" in card
