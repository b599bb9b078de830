"""The whole experiment as its workflow, from the phantom to the report, at the smallest size that runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.report.results import read_results

ROOT = Path(__file__).resolve().parents[2]


def run_workflow(config: Path) -> str:
    command = [sys.executable, "-m", "snakemake", "-s", "scripts/experiments/redgan.smk", "--configfile", str(config)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    finished = subprocess.run(
        [*command, "--cores", "2", "--nolock"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    return finished.stdout + finished.stderr


@pytest.mark.slow
def test_the_workflow_ends_in_a_report_and_has_nothing_left_to_do(tmp_path: Path) -> None:
    widths = {"encoder_widths": [8, 8, 16, 16], "decoder_widths": [16, 8, 8, 8, 8]}
    content = {
        "title": "Tiny",
        "results_dir": str(tmp_path / "results"),
        "phantom": {"folder": str(tmp_path / "phantom"), "patients": 15, "image_size": 32, "slices": 4},
        "cache_dir": str(tmp_path / "cache"),
        "image_size_pixels": 32,
        "folds": [0],
        "seeds": [0],
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
    config = tmp_path / "tiny.json"
    config.write_text(json.dumps(content))
    run_workflow(config)
    results = read_results(tmp_path / "results")
    assert [arm.name for arm in results.arms] == content["arms"]
    assert max(results.arms[2].synthetic.values()) == 3
    page = (tmp_path / "results" / "report.html").read_text()
    assert all(text in page for text in ("Tiny", "Oversampling", "Red-GAN, balanced", "data:image/png;base64"))
    assert "Nothing to be done" in run_workflow(config)
