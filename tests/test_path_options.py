"""Paths whose names mean something to Fire or to MONAI, as options of a running config."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fire.parser import DefaultParseValue
from monai.bundle import ConfigParser

from scripts.nearest_name import OptionError
from scripts.path_options import keep_paths_as_typed


def resolve(value: Any, arguments: list[str]) -> Any:
    """What `@dataset_dir` is for a config with this value, on this command line."""
    parser = ConfigParser({"dataset_dir": value, "used": "$@dataset_dir + '/x'"})
    parser.parse()
    keep_paths_as_typed(parser, arguments)
    return parser.get_parsed_content("used")[:-2]


@pytest.mark.parametrize(
    "name", ["2024", "007", "1e5", "1_000", "data#1", "a/b#1", "data@1", "3d", "$x", "@y", "None1"]
)
@pytest.mark.parametrize("form", ["--dataset_dir NAME", "--dataset_dir=NAME", "--dataset-dir NAME"])
def test_a_path_is_what_was_typed(name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).mkdir(parents=True)
    assert resolve(DefaultParseValue(name), form.replace("NAME", name).split()) == name


def test_a_path_of_an_options_file_or_of_python_keeps_its_text() -> None:
    assert resolve("data#1", []) == "data#1"
    assert resolve(2024, []) == "2024"


def test_a_quoted_path_and_an_expression_stay() -> None:
    assert resolve("2024", ["--dataset_dir", "'2024'"]) == "2024"
    assert resolve("$'a' + 'b'", ["--dataset_dir", "$'a' + 'b'"]) == "ab"


@pytest.mark.parametrize("value", [1e5, True])
def test_what_is_no_text_is_refused(value: Any) -> None:
    with pytest.raises(OptionError, match="expected a path as text"):
        resolve(value, [])


def test_several_paths_stay_several() -> None:
    parser = ConfigParser({"synthetic_dir": ["a", "b"]})
    parser.parse()
    keep_paths_as_typed(parser, ["--synthetic_dir", "['a','b']"])
    assert parser.get_parsed_content("synthetic_dir") == ["a", "b"]
