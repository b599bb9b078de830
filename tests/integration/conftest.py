"""Bundle runs as users start them: in processes of their own, with tiny networks on a tiny phantom."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.data.phantom import write_phantom

ROOT = Path(__file__).parents[2]
SEGMENTER_SIZES = {
    "image_size_pixels": 32,
    "encoder_widths": "[8,8,16,16]",
    "decoder_widths": "[16,8,8,8,8]",
}
GENERATOR_SIZES = {"generator_width": 2, "embedding_dim": 8}
GAN_SIZES = {**SEGMENTER_SIZES, **GENERATOR_SIZES, "discriminator_width": 4}


class Bundle:
    """Starts `python -m monai.bundle run` and other commands from the bundle's folder."""

    def __init__(self, phantom: Path, folder: Path) -> None:
        self.phantom = phantom
        self.folder = folder

    def start(self, config: str, **options: Any) -> subprocess.Popen[str]:
        """A running bundle; data set and cache are the session's unless given, for a config that has them."""
        known = json.loads((ROOT / "configs" / f"{config}.json").read_text(encoding="utf-8"))
        common = {"dataset_dir": self.phantom, "cache_dir": self.folder / "cache"}
        options = {**{name: common[name] for name in common if name in known}, **options}
        return self.python("-m", "monai.bundle", "run", "--config_file", f"configs/{config}.json", **options)

    def run(self, config: str, **options: Any) -> str:
        return self.finish(self.start(config, **options))

    def fail(self, config: str, **options: Any) -> str:
        """The one error line of a run that must fail so."""
        process = self.start(config, **options)
        output, errors = process.communicate(timeout=400)
        assert process.returncode == 1, output + errors
        assert "Traceback" not in output + errors
        (line,) = [line for line in errors.splitlines() if line.startswith("error: ")]
        return line

    def train_segmenter(self, folder: Path, **options: Any) -> subprocess.Popen[str]:
        defaults = {"output_dir": folder, "model_file": folder / "model.pt", "max_epochs": 4, "batch_size": 2}
        return self.start("train", **{**SEGMENTER_SIZES, **defaults, "samples_per_epoch": 24, **options})

    def train_generator(self, folder: Path, segmenter: Path, **options: Any) -> subprocess.Popen[str]:
        defaults = {"output_dir": folder, "segmenter_file": segmenter / "model.pt", "max_epochs": 4, "batch_size": 2}
        return self.start("redgan_train", **{**GAN_SIZES, **defaults, "samples_per_epoch": 24, **options})

    @staticmethod
    def python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
        flags = [str(word) for name, value in options.items() for word in (f"--{name}", value)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
        return subprocess.Popen(
            [sys.executable, *arguments, *flags],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @staticmethod
    def finish(process: subprocess.Popen[str]) -> str:
        """What a process wrote, once it has ended well."""
        output, errors = process.communicate(timeout=400)
        assert process.returncode == 0, output + errors
        return output + errors


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """Training: one patient of class A, two of B, one of C; patient 4 validated, patient 0 tested."""
    folder = tmp_path_factory.mktemp("bundle")
    return Bundle(write_phantom(folder / "phantom", patients=6, image_size=32, slices=4), folder)


@pytest.fixture(scope="session")
def segmenter(bundle: Bundle) -> Path:
    """The folder of a segmenter that was trained without interruption."""
    bundle.finish(bundle.train_segmenter(bundle.folder / "segmenter"))
    return bundle.folder / "segmenter"


@pytest.fixture(scope="session")
def generator(bundle: Bundle, segmenter: Path) -> Path:
    """The folder of a generator that was trained without interruption."""
    bundle.finish(bundle.train_generator(bundle.folder / "generator", segmenter))
    return bundle.folder / "generator"
