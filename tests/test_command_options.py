"""Misspelt and impossible arguments of every command: exit code 2, one line, nothing written, nothing on stdout."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.__main__ import COMMANDS, main
from scripts.command_options import check_arguments
from scripts.nearest_name import OptionError

ROOT = Path(__file__).parents[1]
# The arguments after `python -m scripts`, and what the line must say; NEW is a folder that doesn't exist.
REFUSED = {
    "doctr NEW": "did you mean doctor?",
    "subset NEW --output NEW --patient_fractoin 0.5": "did you mean --patient_fraction?",
    "doctor": "doctor needs folder",
    "doctor NEW --imagesize 64": "no option --imagesize of doctor; did you mean --image_size?",
    "doctor NEW --image-sizes=64": "did you mean --image_size?",
    "doctor NEW --image_size big": "--image_size is big, expected a whole number",
    "doctor NEW --image_size 64.5": "--image_size is 64.5, expected a whole number",
    "doctor NEW --fold": "--fold is without a value",
    "doctor NEW 64": "doctor cannot take '64': it takes folder",
    "doctor NEW --fold 0 --fold 1": "--fold is given twice",
    "doctor NEW --noimage_sizes": "did you mean --image_size?",
    "phantom NEW --patient 5": "did you mean --patients?",
    "phantom NEW --patients": "--patients is without a value",
    "phantom NEW --patients ten": "--patients is ten, expected a whole number",
    "phantom NEW --slice 5": "did you mean --slices?",
    "phantom NEW --seed True": "--seed is True, expected a whole number",
    "prepare lgg NEW --folds ten": "--folds is ten, expected a whole number",
    "prepare lgg NEW --fold 5": "did you mean --folds?",
    "prepare lgg NEW --class_frm centre": "no option --class_frm of layout lgg; did you mean --class_from?",
    "prepare tabel NEW": "no layout 'tabel'; did you mean table?",
    "prepare lgg NEW --boxes_from_labels 3": "--boxes_from_labels is 3, expected True or False",
    "prepare lgg": "prepare needs source",
    "plan NEW": "plan needs --output",
    "plan NEW --output NEW.json --strategi single": "did you mean --strategy?",
    "plan NEW --output NEW.json --beta high": "--beta is high, expected a number",
    "plan NEW --output NEW.json --image_size 64": "did you mean --image_size_pixels?",
    "plan NEW --output NEW.json --image_size_pixels big": "--image_size_pixels is big, expected a whole number",
    "plan NEW --output NEW.json --trian#dataset#seed 1": "redgan_train.json; did you mean --train?",
    "plan NEW --output NEW.json --generator_def#widht 1": "SPADEGenerator takes no widht; did you mean width?",
    "plan NEW --output NEW.json --config configs/lcgan_trian.json": "did you mean configs/lcgan_train.json?",
    "adapt NEW --model NEW.pt": "did you mean --model_file?",
    "report": "report needs results_dir",
    "report NEW NEW.html surplus": "report cannot take 'surplus'",
    "report NEW --ouput NEW.html": "did you mean --output?",
    "export NEW --to coco --output NEW2 --chanels 0": "no option --chanels of export; did you mean --channels?",
    "export NEW --output NEW2": "export needs --to",
    "export NEW --to nnunet --output NEW2 --dataset_id new": "--dataset_id is new, expected a whole number",
    "study": "study needs source",
    "study NEW --hours long": "--hours is long, expected a number",
    "study NEW --sytems redgan": "did you mean --systems?",
    "study NEW --seeds a,b": "--seeds is a,b, expected numbers with commas between them",
    "turing mak NEW NEW": "did you mean make?",
    "turing make NEW": "turing make needs synthetic_dir",
    "turing make NEW NEW --per_clas 4": "did you mean --per_class?",
    "turing make NEW NEW --show_boxes 2": "--show_boxes is 2, expected True or False",
    "turing score NEW --outptu NEW.json": "did you mean --output?",
    "export_network redgan_generator --wieghts NEW": "did you mean --weights?",
    "export_network redgan_generator --generator_widht 4": "did you mean --generator_width?",
    "export_network redgan_generator --generator_width wide": "--generator_width is wide, expected a whole number",
    "export_network": "export_network needs name",
    "bundle --modle NEW": "did you mean --model?",
    "bundle NEW --fold zero": "--fold is zero, expected a whole number",
    "check_bundle NEW --shema NEW": "did you mean --schema?",
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_wrong_argument_is_named_before_anything_happens(
    line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = line.replace("NEW", str(tmp_path / "new")).split()
    assert main(words) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1
    assert REFUSED[line] in printed.err
    assert list(tmp_path.iterdir()) == []


def test_every_command_is_in_the_table() -> None:
    assert {line.split()[0] for line in REFUSED} >= set(COMMANDS)


def describe(folder: str, *more: str, size: int = 1, share: float = 0.5, flat: bool = False, name: str | None = None):
    """A command for the tests below."""


@pytest.mark.parametrize(
    ("words", "checked"),
    [
        (["2024"], ["'2024'"]),
        (["data#1", "1e5"], ["'data#1'", "'1e5'"]),
        (["'2024'"], ["'2024'"]),
        (["a", "--flat"], ["'a'", "--flat=True"]),
        (["a", "--noflat"], ["'a'", "--flat=False"]),
        (["a", "-n", "b", "--share=1"], ["'a'", "--name='b'", "--share=1"]),
        (["--name", "007", "a"], ["'a'", "--name='007'"]),
        (["a", "--name", "None", "--size", "-3"], ["'a'", "--name=None", "--size=-3"]),
        (["--folder", "a", "b"], ["'b'", "--folder='a'"]),
    ],
)
def test_texts_are_quoted_and_flags_get_their_value(words: list[str], checked: list[str]) -> None:
    assert check_arguments(describe, "describe", words) == checked


def test_a_letter_that_two_options_share_names_none() -> None:
    with pytest.raises(OptionError, match="no option --s of describe"):
        check_arguments(describe, "describe", ["a", "-s", "3"])


def test_a_folder_named_by_a_number_is_found(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts", "phantom", "2024", "--patients", "3", "--slices", "1"]
    environment = {"PYTHONPATH": str(ROOT), "PATH": ""}
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "2024" / "dataset.json").is_file()
