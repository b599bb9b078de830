"""The command line: help without loading torch, one line per error, exit codes."""

from __future__ import annotations

import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.__main__ import COMMANDS, GROUPS, main

ROOT = Path(__file__).parents[1]


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


def test_help_loads_no_torch() -> None:
    code = "import sys; from scripts.__main__ import main; main(['--help']); import scripts.data.prepare; "
    code += "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_names_every_option_and_imports_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module, function, _ = COMMANDS[name]
    command = getattr(importlib.import_module(module), function)
    if inspect.isclass(command):
        assert main([name, "--help"]) == 0
        listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
        assert listed == [member for member in vars(command) if not member.startswith("_")]
        functions = [([name, member], getattr(command, member)) for member in listed]
    else:
        functions = [([name], command)]
    for words, each in functions:
        assert main([*words, "--help"]) == 0
        printed = capsys.readouterr().out
        for parameter in inspect.signature(each).parameters.values():
            if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
                assert f"  --{parameter.name} " in printed or f"  {parameter.name.upper()}\n" in printed
        assert "None" not in printed
        assert all(line == line.rstrip() and len(line) <= 140 for line in printed.splitlines()[1:])
    code = (
        f"import sys; from scripts.__main__ import main; main([{name!r}, '--help']); sys.exit('monai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True).returncode == 0


def test_every_command_is_in_a_group() -> None:
    assert [name for names in GROUPS.values() for name in names] == sorted(COMMANDS, key=_place)


def _place(name: str) -> tuple[int, int]:
    return next((n, names.index(name)) for n, names in enumerate(GROUPS.values()) if name in names)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == json.loads((ROOT / "metadata.json").read_text())["version"]


def test_an_unknown_command_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prepair"]) == 2
    assert "no command 'prepair'" in capsys.readouterr().err


def test_wrong_input_is_one_line_without_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "dataset.json").write_text('{"labels"')
    assert main(["doctor", str(tmp_path)]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: {tmp_path / 'dataset.json'}, line 1, column 10")
    assert error.count("\n") == 1


def test_options_reach_the_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "t.csv").write_text("image,label\nnone.png,\n")
    command = ["prepare", "table", str(tmp_path / "t.csv"), "--labels", "background,tumour", "--label_values", "255:1"]
    assert main(command) == 1
    assert "row 2: no file" in capsys.readouterr().err
