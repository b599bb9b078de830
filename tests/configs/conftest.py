"""A tiny phantom, and bundle runs on it in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.data.phantom import write_phantom

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six patients of four 32-pixel slices."""
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", patients=6, image_size=32, slices=4)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def run_bundle(phantom: Path, cache: Path) -> Callable[..., str]:
    """Runs configs by name (`smoke.json` always among them) on the phantom; returns what the run printed."""

    def run(*names: str, ranks: int = 0, cwd: Path = ROOT, options: dict[str, object]) -> str:
        given = [str(file) if Path(file).is_absolute() else f"{ROOT}/configs/{file}.json" for file in names]
        files = [given[0], f"{ROOT}/configs/smoke.json", *given[1:]]
        launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(ranks)] if ranks else []
        known = json.loads(Path(files[0]).read_text(encoding="utf-8"))
        common = {"dataset_dir": phantom, "cache_dir": cache, "bundle_root": ROOT}
        flags = {**{name: common[name] for name in common if name in known}, **options}
        command = [sys.executable, *launcher, "-m", "monai.bundle", "run", "--config_file", str(files)]
        command += [text for name, value in flags.items() for text in (f"--{name}", str(value))]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        environment["MONAI_FAIL_ON_DUPLICATE_CONFIG"] = "1"
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout + done.stderr

    return run
