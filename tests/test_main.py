"""The command line: help without loading torch, one line per error, exit codes."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.__main__ import COMMANDS, main
from scripts.command_help import read_signature


def test_help_lists_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == main(["--help"]) == 0
    printed = capsys.readouterr().out
    assert all(f"  {name} " in printed for name in COMMANDS)


def test_help_loads_no_torch() -> None:
    code = "import sys; from scripts.__main__ import main; main(['--help']); import scripts.data.prepare; "
    code += "sys.exit('torch' in sys.modules or 'monai' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_says_what_the_command_itself_takes(name: str) -> None:
    module, function, _ = COMMANDS[name]
    read, imported = read_signature(module, function), getattr(importlib.import_module(module), function)
    pairs = [(read, imported)]
    if isinstance(imported, type):
        pairs += [
            (getattr(read, key), value) for key, value in vars(imported).items() if isinstance(value, staticmethod)
        ]
    for ours, theirs in pairs:
        assert inspect.getdoc(ours) == inspect.getdoc(theirs)
        assert inspect.signature(ours) == inspect.signature(theirs)


def test_help_of_commands_loads_no_torch() -> None:
    code = "import sys\nfrom scripts.__main__ import COMMANDS, read_signature\n"
    code += "for module, name, _ in COMMANDS.values(): read_signature(module, name)\n"
    code += "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[1], check=False).returncode == 0


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
