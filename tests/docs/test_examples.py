"""Programs of docs/examples, run as a user would run them."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from scripts.data.contract import DatasetError, read_dataset, write_dataset
from scripts.data.phantom import write_phantom

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def phantom(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_phantom(tmp_path_factory.mktemp("data") / "phantom", patients=6, image_size=32, slices=4)


@pytest.fixture
def synthetic(phantom: Path, tmp_path: Path) -> Path:
    """A set of one image of the phantom's channels and labels, but smaller, made from a training patient."""
    real = read_dataset(phantom)
    source = real.splits["training"][0]["patient"]
    for name, shape in (("image", (24, 20, 1, real.channel_count)), ("label", (24, 20, 1))):
        nib.save(nib.Nifti1Image(np.ones(shape, np.float32), np.eye(4)), tmp_path / f"{name}.nii.gz")
    item = {"image": str(tmp_path / "image.nii.gz"), "label": str(tmp_path / "label.nii.gz"), "patient": "synthetic-0"}
    item["synthetic"] = {"system": "redgan", "source_patient": source}
    real.splits.clear()
    real.splits["training"] = [item]
    real.trained_on.append(source)
    write_dataset(tmp_path / "synthetic", real)
    return tmp_path / "synthetic"


def run(name: str, *arguments: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    monkeypatch.setattr(sys, "path", list(sys.path))
    runpy.run_path(str(ROOT / "docs" / "examples" / name), run_name="__main__")


def test_inject_synthetic_trains(
    phantom: Path, synthetic: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("inject_synthetic.py", phantom, synthetic, 3, monkeypatch=monkeypatch)
    losses = [float(loss) for loss in re.findall(r"step \d+: loss (\S+)", capsys.readouterr().out)]
    assert len(losses) >= 3
    assert np.isfinite(losses).all()


def test_inject_synthetic_refuses_what_knows_a_test_patient(
    phantom: Path, synthetic: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = read_dataset(synthetic)
    made.trained_on.append(read_dataset(phantom).splits["test"][0]["patient"])
    write_dataset(synthetic, made)
    with pytest.raises(DatasetError, match="was trained on patient"):
        run("inject_synthetic.py", phantom, synthetic, 3, monkeypatch=monkeypatch)
