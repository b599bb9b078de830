"""What is in a bundle, that it is whole, and that the same input makes the same bytes."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from scripts.data.contract import read_dataset
from scripts.data.phantom import write_phantom
from scripts.distribution.bundle import (
    NAME,
    ROOT,
    mean_dice,
    refuse_memorised,
    shipped_modules,
    unlink,
    write_bundle,
)
from scripts.networks.checkpoints import CheckpointError


def imported_files(file: Path) -> set[str]:
    """Files of the modules and packages of `scripts` that a module imports."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update([node.module, *(f"{node.module}.{alias.name}" for alias in node.names)])
    paths = [name.split(".") for name in names if name.split(".")[0] == "scripts"]
    packages = {"/".join([*path[:n], "__init__.py"]) for path in paths for n in range(1, len(path) + 1)}
    return packages | {"/".join(path) + ".py" for path in paths}


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_only_what_belongs_in_a_bundle(bundle: Path) -> None:
    found = names(bundle)
    outside = {name for name in found if not name.startswith(("configs/", "scripts/"))}
    assert outside == {
        "LICENSE",
        "requirements.txt",
        "docs/README.md",
        "docs/data.md",
        "docs/data_license.txt",
        "models/model.pt",
        "models/model.json",
    }
    assert {name for name in found if name.startswith("configs/")} == {
        f"configs/{file.name}" for file in (ROOT / "configs").iterdir() if file.is_file()
    }
    assert all(name.endswith(".py") for name in found if name.startswith("scripts/"))
    unwanted = ("turing", "experiments", "__pycache__", "distribution/checks")
    assert not any(word in name for name in found for word in unwanted)
    assert not (bundle / "configs" / "metadata.json").is_symlink()


def test_every_module_that_the_bundle_names_is_in_it(bundle: Path) -> None:
    shipped = set(shipped_modules())
    for file in (bundle / "configs").glob("*.json"):
        for target in re.findall(r"scripts(?:\.[a-z]\w*)+", file.read_text(encoding="utf-8")):
            stem = target.replace(".", "/")
            assert {f"{stem}.py", f"{stem.rsplit('/', 1)[0]}.py"} & shipped, f"{file.name}: {target}"
    every = {str(file.relative_to(ROOT)) for file in (ROOT / "scripts").rglob("*.py")}
    for module in shipped:
        assert imported_files(ROOT / module) & every <= shipped, module


def test_its_command_line_offers_what_it_has(bundle: Path) -> None:
    help_ = [sys.executable, "-m", "scripts", "--help"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    said = subprocess.run(help_, cwd=bundle, env=environment, capture_output=True, text=True, check=True).stdout
    offered = {line.split()[0] for line in said.splitlines() if line.startswith("  ")}
    assert {"prepare", "doctor", "plan", "phantom", "export_network"} <= offered
    assert not offered & {"report", "turing", "bundle", "check_bundle"}


def test_links_lead_to_pages_of_the_bundle(bundle: Path) -> None:
    for page in (bundle / "docs").glob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            assert target.startswith("http") or (page.parent / target).is_file(), f"{page.name}: {target}"


def test_links_to_other_pages_become_text() -> None:
    text = "[a](data.md) [b](systems/redgan.md) [c](https://monai.io) [d](#here)"
    assert unlink(text) == "[a](data.md) b [c](https://monai.io) [d](#here)"


def test_requirements_are_the_pins_of_the_metadata(bundle: Path) -> None:
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    lines = (bundle / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == [f"torch=={metadata['pytorch_version']}", f"monai=={metadata['monai_version']}"]
    assert len(lines) == 3 + len(metadata["required_packages_version"])
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").lower().splitlines()
    assert {line.lower() for line in lines} <= {line.split("+")[0] for line in pinned}


def test_the_training_config_has_the_sizes_of_the_weights(bundle: Path, weights: Path) -> None:
    arguments = json.loads(weights.with_suffix(".json").read_text())["network"]["arguments"]
    config = json.loads((bundle / "configs" / "train.json").read_text())
    for name in ("encoder_widths", "decoder_widths"):
        assert config[name] == arguments[name]
    assert config["image_size_pixels"] == 32


def test_weights_that_were_not_evaluated_have_no_scores(bundle: Path) -> None:
    assert json.loads((bundle / "configs" / "metadata.json").read_text())["eval_metrics"] == {}
    assert "were not evaluated" in (bundle / "docs" / "README.md").read_text()


def test_the_same_input_makes_the_same_zip(made: Path, weights: Path, tmp_path: Path) -> None:
    write_bundle(str(weights), output_dir=str(tmp_path))
    (first,), (second,) = (sorted(folder.glob("*.zip")) for folder in (made, tmp_path))
    assert first.name == second.name == f"{NAME}_v0.1.0.zip"
    assert hashlib.sha256(first.read_bytes()).digest() == hashlib.sha256(second.read_bytes()).digest()
    assert {path.name for path in tmp_path.iterdir()} == {NAME, first.name}


def test_the_zip_holds_the_folder(made: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(next(made.glob("*.zip"))) as archive:
        archive.extractall(tmp_path)
    assert names(tmp_path / NAME) == names(made / NAME)
    assert all((tmp_path / NAME / n).read_bytes() == (made / NAME / n).read_bytes() for n in names(made / NAME))


def test_weights_published_elsewhere_come_back(weights: Path, made: Path, tmp_path: Path) -> None:
    published = tmp_path / "published.pt"
    shutil.copyfile(made / NAME / "models" / "model.pt", published)
    write_bundle(str(weights), output_dir=str(tmp_path / "dist"), weights_url=published.as_uri())
    folder = tmp_path / "dist" / NAME
    assert not (folder / "models" / "model.pt").exists()
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "monai.bundle",
        "download_large_files",
        "--bundle_path",
        str(folder),
    ]
    subprocess.run(command, capture_output=True, check=True)
    assert (folder / "models" / "model.pt").read_bytes() == published.read_bytes()


def test_other_weights_are_refused_before_anything_is_written(weights: Path, tmp_path: Path) -> None:
    content = torch.load(weights, weights_only=True)
    content["head.weight"] = content["head.weight"][:2]
    torch.save(content, tmp_path / "mine.pt")
    shutil.copyfile(weights.with_suffix(".json"), tmp_path / "mine.json")
    with pytest.raises(
        CheckpointError, match=r"mine\.pt is of another configuration: 'head\.weight' is \(2, 8, 1, 1\)"
    ):
        write_bundle(str(tmp_path / "mine.pt"), output_dir=str(tmp_path / "dist"))
    assert list((tmp_path / "dist").iterdir()) == []


def test_weights_that_learned_from_copies_are_refused_unless_the_set_is_named(weights: Path, tmp_path: Path) -> None:
    described = weights.with_suffix(".json")
    copy = tmp_path / "model.pt"
    shutil.copyfile(weights, copy)
    content = {**json.loads(described.read_text()), "memorised_sets": ["synthetic"]}
    copy.with_suffix(".json").write_text(json.dumps(content))
    for allowed in (None, "another"):
        with pytest.raises(CheckpointError, match="learned from the synthetic set 'synthetic', which repeats"):
            write_bundle(str(copy), output_dir=str(tmp_path / "dist"), allow_memorised=allowed)
    assert not (tmp_path / "dist").exists()
    refuse_memorised(copy, "runs/synthetic")


def test_what_somebody_put_into_its_folder_is_not_removed(weights: Path, tmp_path: Path) -> None:
    runs = tmp_path / NAME / "runs" / "mine.txt"
    runs.parent.mkdir(parents=True)
    runs.write_text("mine")
    with pytest.raises(ValueError, match="holds runs, expected a bundle alone"):
        write_bundle(str(weights), output_dir=str(tmp_path))
    assert runs.read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize(
    ("use", "message"), [("trained", "of the test split of"), ("validated", "of the test split of .* never seen")]
)
def test_an_evaluation_on_known_patients_is_refused(use: str, message: str, weights: Path, tmp_path: Path) -> None:
    phantom = write_phantom(tmp_path / "phantom", patients=6, image_size=32, slices=2)
    known = str(read_dataset(phantom).splits["test"][0]["patient"])
    shutil.copyfile(weights, tmp_path / "mine.pt")
    about = json.loads(weights.with_suffix(".json").read_text()) | {f"{use}_on": [known]}
    (tmp_path / "mine.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match=f"was {use} on patient '{known}' {message}"):
        write_bundle(str(tmp_path / "mine.pt"), output_dir=str(tmp_path / "dist"), dataset_dir=str(phantom))


def test_mean_dice_is_over_patients() -> None:
    cells = [("p", "core", 0.5), ("p", "oedema", 0.7), ("q", "core", float("nan")), ("q", "oedema", 0.9)]
    rows = [{"patient": patient, "label": label, "dice": str(dice)} for patient, label, dice in cells]
    assert mean_dice(rows) == {"mean_dice": 0.75, "dice_core": 0.5, "dice_oedema": 0.8}


@pytest.mark.slow
def test_it_labels_and_evaluates_from_another_folder(weights: Path, tmp_path: Path) -> None:
    phantom = write_phantom(tmp_path / "phantom", patients=6, image_size=32, slices=2)
    write_bundle(str(weights), output_dir=str(tmp_path / "dist"), dataset_dir=str(phantom))
    folder = tmp_path / "dist" / NAME
    metrics = json.loads((folder / "configs" / "metadata.json").read_text())["eval_metrics"]
    assert next(iter(metrics)) == "mean_dice"
    assert 0 <= metrics["mean_dice"] <= 1
    assert "| mean_dice |" in (folder / "docs" / "README.md").read_text()
    assert not [name for name in names(folder) if "__pycache__" in name or name.startswith(("runs", "data", "cache"))]

    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--bundle_root", str(folder)]
    command += ["--config_file", str(folder / "configs" / "inference.json"), "--dataset_dir", str(phantom)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    subprocess.run([*command, "--output_dir", "labels"], cwd=elsewhere, capture_output=True, check=True)
    for item in read_dataset(phantom).splits["test"]:
        (label,) = (elsewhere / "labels").glob(f"{Path(str(item['image'])).name.split('.')[0]}*.nii.gz")
        image = nib.load(item["image"])
        assert nib.load(label).shape == image.shape[:3]
        np.testing.assert_allclose(nib.load(label).affine, image.affine)
