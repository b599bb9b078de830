"""The documentation's site builds without a warning: every link leads somewhere, every name has a docstring."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_the_site_builds_without_warnings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = pytest.importorskip("mkdocs.config").load_config(str(ROOT / "mkdocs.yml"), site_dir=str(tmp_path))
    from mkdocs.commands.build import build

    build(config)
    assert "RandInjectSyntheticd" in (tmp_path / "api" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "search" / "search_index.json").is_file()
