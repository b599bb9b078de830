"""Options that a config's run would ignore or cannot take: one line before any work, nothing written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser, ConfigWorkflow, create_workflow, run

from scripts.config_files import own_configs
from scripts.config_options import check_options, find_unused, override, read_config
from scripts.nearest_name import OptionError
from scripts.running_config import running_config
from scripts.user_errors import find_user_error

FOLDER = Path(__file__).parents[1] / "configs"
WORKFLOWS = [name.removesuffix(".json") for name, content in own_configs().items() if "run" in content]
# Config, its overrides, and what the line must say.
pytestmark = pytest.mark.filterwarnings("ignore:parsing config_file")
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("train", {"max_epoch": 1}, "no option --max_epoch in configs/train.json; did you mean --max_epochs?"),
    ("train", {"samples_per_epok": 4}, "did you mean --samples_per_epoch?"),
    ("train", {"train#trainer#max_epoch": 3}, "StepTrainer takes no max_epoch; did you mean max_epochs?"),
    ("train", {"train::trainer::max_epoch": 3}, "StepTrainer takes no max_epoch; did you mean max_epochs?"),
    (
        "train",
        {"train#datasets": 3},
        "no option --train::datasets in configs/train.json",
    ),
    ("train", {"network_def#encoder_widht": [8]}, "ResNetUNet takes no encoder_widht; did you mean encoder_widths?"),
    ("train", {"optimizer#epsilon": 1e-6}, "Adam takes no epsilon; did you mean eps?"),
    ("train", {"generator_width": 4}, "which would ignore it"),
    ("train", {"split": "test"}, "which would ignore it"),
    ("train", {"augment": "false"}, "--augment is false, expected True or False"),
    ("train", {"max_epochs": "ten"}, "--max_epochs is ten, expected a whole number"),
    ("train", {"max_epochs": 1.5}, "--max_epochs is 1.5, expected a whole number"),
    ("train", {"learning_rate": "fast"}, "--learning_rate is fast, expected a number"),
    ("train", {"encoder_widths": "8,8"}, "--encoder_widths is 8,8, expected a list"),
    ("inference", {"max_epochs": 2}, "which would ignore it"),
    ("inference", {"image_channel": 1}, "did you mean --image_channels?"),
    ("evaluate", {"score_file": "x.csv"}, "did you mean --scores_file?"),
    ("redgan_train", {"use_clas": False}, "did you mean --use_class?"),
    ("lcgan_train", {"candidate_epoch": [1]}, "did you mean --candidate_epochs?"),
    ("cpggan_train", {"tracking_url": "x"}, "no option --tracking_url"),
]


def refuse(config: str, folder: Path, options: dict[str, Any], files: tuple[Path, ...] = ()) -> str:
    """What a run in this process says when it stops at its options; it must have written nothing."""
    before = sorted(folder.rglob("*"))
    paths = [str(FOLDER / f"{config}.json"), *map(str, files)]
    with pytest.raises(RuntimeError) as caught:
        run(config_file=paths, logging_file=False, bundle_root=str(folder), **options)  # type: ignore[arg-type]
    assert sorted(folder.rglob("*")) == before
    return str(find_user_error(caught.value))


@pytest.fixture(autouse=True)
def _unchanged_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(sys, "path", list(sys.path))


@pytest.mark.parametrize(("config", "options", "message"), REFUSED, ids=lambda value: str(value)[:50])
def test_a_wrong_option_is_named(config: str, options: dict[str, Any], message: str, tmp_path: Path) -> None:
    said = refuse(config, tmp_path, options)
    assert message in said
    assert "\n" not in said


@pytest.mark.parametrize("config", WORKFLOWS)
def test_every_config_refuses_a_misspelt_option(config: str, tmp_path: Path) -> None:
    assert "; did you mean --output_dir?" in refuse(config, tmp_path, {"outptu_dir": "x"})


def test_options_of_a_file_are_options(tmp_path: Path) -> None:
    (tmp_path / "args.yaml").write_text("max_epoch: 3\n")
    assert "did you mean --max_epochs?" in refuse("train", tmp_path, {"args_file": str(tmp_path / "args.yaml")})
    (tmp_path / "args.json").write_text('{"max_epochs": 2}')
    given = {"args_file": str(tmp_path / "args.json")}
    assert "which would ignore it" in refuse("inference", tmp_path, given, (FOLDER / "smoke.json",))


def test_a_users_overlay_may_serve_several_configs_but_not_misspell(tmp_path: Path) -> None:
    overlay = tmp_path / "mine.json"
    overlay.write_text(json.dumps({"max_epochs": 3, "output_dri": "x"}))
    assert "did you mean --output_dir?" in refuse("inference", tmp_path, {}, (overlay,))
    overlay.write_text(json.dumps({"max_epochs": 3, "network_def#widths": [8]}))
    assert "ResNetUNet takes no widths; did you mean encoder_widths?" in refuse("train", tmp_path, {}, (overlay,))


@pytest.mark.parametrize("make", [ConfigWorkflow, create_workflow])
def test_a_workflow_that_python_makes_is_checked_when_it_runs(make: Any, tmp_path: Path) -> None:
    options = {"logging_file": False, "bundle_root": str(tmp_path), "max_epoch": 1}
    workflow = make(config_file=str(FOLDER / "train.json"), **options)
    with pytest.raises(RuntimeError) as caught:
        workflow.run()
    assert "did you mean --max_epochs?" in str(find_user_error(caught.value))


@pytest.mark.parametrize("option", ["trian#trainer#max_epochs", "networkdef#encoder_widths"])
def test_a_group_that_does_not_exist_stops_monai_before_our_code(option: str) -> None:
    with pytest.raises(KeyError, match="query key"):
        run(config_file=str(FOLDER / "train.json"), logging_file=False, **{option: 3})  # type: ignore[arg-type]


def parse(config: str, **options: Any) -> ConfigParser:
    parser = read_config(FOLDER / f"{config}.json")
    parser.update(options)
    return parser


def test_what_monai_label_sets_passes() -> None:
    items = [{"image": "a.nii", "label": "b.nii"}]
    loader = {"_target_": "CheckpointLoader", "load_path": "m.pt", "load_dict": {"model": "$@network"}, "strict": False}
    parser = parse("train", device="cpu", tracking_uri="x", experiment_name="x", run_name="x")
    parser.update({"train#trainer#max_epochs": 1, "train#dataset#data": items, "validate#dataset#data": items})
    parser["train#handlers"].insert(0, loader)
    check_options(parser)


def test_a_knob_whose_reference_an_override_replaced_passes() -> None:
    parser = parse("train", dataset_dir="x", encoder_widths=[8, 8])
    parser["network_def#encoder_widths"] = [4, 4]
    check_options(parser)


def test_a_group_is_used_by_its_members_and_a_whole_by_its_name() -> None:
    config = {"a": {"b": 1, "c": 2}, "d": {"e": 1}, "f": "$@a::b + 1", "run": ["@f", "@d"]}
    assert find_unused(config, {"run"}) == ["a::c"]


def test_overrides_of_python_code_are_checked_alike() -> None:
    with pytest.raises(OptionError, match=r"no option --trian here or in configs/train\.json; did you mean --train"):
        override(read_config("configs/train.json"), {"trian#trainer#max_epochs": 3}, ())
    with pytest.raises(OptionError, match=r"no config configs/trian\.json; did you mean configs/train\.json"):
        read_config("configs/trian.json")


def test_the_running_config_is_the_one_that_builds() -> None:
    parser = ConfigParser({"x": {"_target_": "scripts.running_config.running_config"}})
    assert parser.get_parsed_content("x") is parser
    assert running_config() is None


def test_from_another_folder_in_a_process_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "monai.bundle", "run", "--config_file", f"{FOLDER}/train.json"]
    command += ["--bundle_root", str(tmp_path), "--max_epoch", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("did you mean --max_epochs?")
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
