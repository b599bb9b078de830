"""Every command in the documentation names things that exist; tests/integration runs the commands themselves."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
from pathlib import Path

import pytest

from scripts.__main__ import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ADDED_BY_MONAI = {
    "config_file",
    "meta_file",
    "logging_file",
    "args_file",
    "tracking",
    "net_id",
    "filepath",
    "ckpt_file",
}
ADDED_BY_MONAI |= {"key_in_ckpt", "input_shape", "tracking_uri", "experiment_name", "run_name"}


def documented_commands(start: str) -> list[tuple[str, list[str]]]:
    found = []
    for page in PAGES:
        for block in re.findall(r"```(?:bash|console)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            for line in block.replace("\\\n", " ").splitlines():
                words = shlex.split(line.removeprefix("$ "), comments=True)
                text = " ".join(words)
                if start in text:
                    found.append((f"{page.relative_to(ROOT)}: {text}", words))
    return found


def options(words: list[str]) -> dict[str, str]:
    pairs = zip(words, [*words[1:], ""], strict=True)
    return {word[2:]: value for word, value in pairs if word.startswith("--")}


@pytest.mark.parametrize(("text", "words"), documented_commands("-m monai.bundle run"), ids=lambda v: str(v)[:70])
def test_bundle_runs_name_existing_configs_and_knobs(text: str, words: list[str]) -> None:
    given = options(words)
    listed = given["config_file"].strip("[]").replace("'", "").split(",")
    knobs: set[str] = set()
    for file in listed:
        knobs |= json.loads((ROOT / file).read_text(encoding="utf-8")).keys()
    unknown = given.keys() - knobs - ADDED_BY_MONAI - {"nproc_per_node"}
    assert not unknown, f"{text}: {unknown} are no knobs of {listed}"


@pytest.mark.parametrize(("text", "words"), documented_commands("-m scripts "), ids=lambda v: str(v)[:70])
def test_script_commands_exist_with_their_options(text: str, words: list[str]) -> None:
    name = words[words.index("scripts") + 1]
    assert name in COMMANDS, text
    module, function, _ = COMMANDS[name]
    command = getattr(importlib.import_module(module), function)
    if inspect.isclass(command):  # its methods are commands
        command = getattr(command, words[words.index("scripts") + 2])
    parameters = inspect.signature(command).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        assert options(words).keys() <= parameters.keys(), text


@pytest.mark.parametrize(("text", "words"), documented_commands("snakemake -s"), ids=lambda v: str(v)[:70])
def test_workflows_exist(text: str, words: list[str]) -> None:
    assert (ROOT / words[words.index("-s") + 1]).is_file(), text
    config = options(words)["configfile"]
    assert config == "my_study.json" or (ROOT / config).is_file(), text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_rows_of_tables_can_be_read_as_text(page: Path) -> None:
    rows = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    assert [row for row in rows if len(row) > 120] == []
