"""The Model Zoo's checks: what passes, and that each fault is named."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.distribution import checks
from scripts.distribution.checks import COMMANDS, DOWNLOAD, BundleError, check_bundle

ROOT = Path(__file__).parents[2]


def edit_json(file: Path, edit: Callable[[dict], object]) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


FAULTS: dict[str, tuple[Callable[[Path], object], str]] = {
    "licence": (lambda b: (b / "LICENSE").unlink(), "missing LICENSE"),
    "weights": (lambda b: (b / "models" / "model.pt").unlink(), "missing models/model.pt"),
    "more weights": (lambda b: (b / "models" / "a.pt").touch(), "weights without a .json: models/a.pt"),
    "version": (
        lambda b: edit_json(b / "configs" / "metadata.json", lambda m: m.update(version="0.2.0")),
        "version '0.2.0' is not in the changelog",
    ),
    "key": (
        lambda b: edit_json(b / "configs" / "train.json", lambda c: c["train"].pop("trainer")),
        "missing train#trainer, train#trainer#max_epochs",
    ),
    "large file": (lambda b: (b / "models" / "model.ts").write_bytes(bytes(26 << 20)), "models/model.ts above 25 MB"),
}


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / bundle.name))


@pytest.fixture
def schema(tmp_path: Path) -> str:
    (tmp_path / "schema.json").write_text("{}")
    return str(tmp_path / "schema.json")


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(fault: str, copy: Path, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "COMMANDS", {})
    check_bundle(str(copy), schema=schema)
    spoil, message = FAULTS[fault]
    spoil(copy)
    with pytest.raises(BundleError, match=re.escape(message)):
        check_bundle(str(copy), schema=schema)


def test_a_command_that_fails_is_named(copy: Path, schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "COMMANDS", {"metadata": "python -c 'raise ValueError(3)'"})
    with pytest.raises(BundleError, match="failed 1 checks: metadata: ValueError: 3"):
        check_bundle(str(copy), schema=schema)


def test_without_bundle_or_schema_it_says_what_to_do(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="Make one with `make bundle`"):
        check_bundle(str(tmp_path))
    with pytest.raises(BundleError, match=r"Download https://.*meta_schema_20240725\.json"):
        check_bundle(str(bundle), schema=str(tmp_path / "none.json"))


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "model_zoo.md").read_text(encoding="utf-8").replace("\\\n", " ")
    documented = [set(line.split()) for line in page.splitlines()]
    for command in (*COMMANDS.values(), DOWNLOAD):
        assert set(command.split()) in documented, command


@pytest.mark.slow
def test_a_made_bundle_passes(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxscript")
    name = json.loads((bundle / "configs" / "metadata.json").read_text())["schema"].rsplit("/", 1)[-1]
    file = Path(os.environ.get("MONAI_META_SCHEMA") or ROOT.parent / "shared" / "monai" / name)
    if not file.is_file():
        pytest.skip(f"no metadata schema: {file} does not exist; set MONAI_META_SCHEMA to the file {name}")
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    check_bundle(str(bundle), schema=str(file))
    said = capsys.readouterr().out.split("\n")
    assert [line for line in said if line and not line.startswith("ok ")] == []
    assert len(said) == 1 + 3 + len(checks.KEYS) + len(COMMANDS)
    assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before
