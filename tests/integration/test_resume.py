from __future__ import annotations

import csv
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

pytestmark = pytest.mark.slow
LONGEST_SECONDS = 300


def saved_epoch(folder: Path) -> int:
    return torch.load(folder / "checkpoint.pt", weights_only=True)["progress"]["epoch"]


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + LONGEST_SECONDS
    while not condition():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < end, "took too long"


def kill_in_mid_epoch(process: subprocess.Popen[str], folder: Path) -> None:
    """SIGKILL a while after the first checkpoint, before the next."""
    wait_for((folder / "checkpoint.pt").exists, process)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert saved_epoch(folder) < 4


def kill_in_mid_checkpoint(process: subprocess.Popen[str], folder: Path) -> None:
    """SIGKILL while the temporary file of a checkpoint is there, which is before it is renamed."""

    def is_writing() -> bool:
        if not list(folder.glob(f".tmp-{process.pid}-checkpoint.pt")):
            return False
        process.send_signal(signal.SIGSTOP)  # too late if the file is renamed by now: then go on and try the next epoch
        time.sleep(0.01)
        if list(folder.glob(f".tmp-{process.pid}-checkpoint.pt")):
            return True
        process.send_signal(signal.SIGCONT)
        return False

    wait_for(is_writing, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert list(folder.glob(".tmp-*-checkpoint.pt"))


def tensors(content: Any) -> list[torch.Tensor]:
    if isinstance(content, torch.Tensor):
        return [content]
    parts = content.values() if isinstance(content, dict) else content if isinstance(content, (list, tuple)) else ()
    return [tensor for part in parts for tensor in tensors(part)]


def assert_same_results(folder: Path, whole: Path, weights: str) -> None:
    for name in (weights, "checkpoint.pt"):
        ours, theirs = (tensors(torch.load(f / name, weights_only=True)) for f in (folder, whole))
        assert len(ours) == len(theirs) > 20
        assert all(map(torch.equal, ours, theirs)), name
    ours, theirs = (curve(f / "curves.csv") for f in (folder, whole))
    assert [row["epoch"] for row in ours] == ["1", "2", "3", "4"]
    assert ours == theirs


def curve(file: Path) -> list[dict[str, str]]:
    with open(file, newline="") as stream:
        return [{name: value for name, value in row.items() if "seconds" not in name} for row in csv.DictReader(stream)]


def check_killed_training(
    start: Callable[[Path], subprocess.Popen[str]], folder: Path, whole: Path, weights: str
) -> None:
    kill_in_mid_epoch(start(folder), folder)
    before = saved_epoch(folder)
    process = start(folder)
    kill_in_mid_checkpoint(process, folder)
    assert before <= saved_epoch(folder) < 4
    before = saved_epoch(folder)
    process = start(folder)
    output, errors = process.communicate(timeout=LONGEST_SECONDS)
    assert process.returncode == 0, output + errors
    assert f"checkpoint.pt after epoch {before} of 4" in output
    assert not list(folder.glob(".tmp-*"))
    assert_same_results(folder, whole, weights)


def test_a_killed_segmenter_ends_like_an_uninterrupted_one(bundle, segmenter, tmp_path):
    check_killed_training(bundle.train_segmenter, tmp_path, segmenter, "model.pt")


def test_a_killed_segmenter_ends_on_the_same_plateau_and_there_alone(bundle, tmp_path):
    options = {"patience_epochs": 2, "learning_rate": 1e-12, "max_epochs": 8}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    said = bundle.finish(bundle.train_segmenter(whole, **options))
    (end,) = re.findall(r"Second plateau at epoch (\d+)", said)
    kill_in_mid_epoch(bundle.train_segmenter(killed, **options), killed)
    bundle.finish(bundle.train_segmenter(killed, **options))
    said = bundle.finish(bundle.train_segmenter(killed, **options))  # of the whole one nothing is left to train
    assert "That training ended there by itself" in said
    assert f"Epoch {int(end) + 1}/8" not in said
    for name in ("model.pt", "checkpoint.pt"):
        ours, theirs = (tensors(torch.load(folder / name, weights_only=True)) for folder in (killed, whole))
        assert all(map(torch.equal, ours, theirs)), name
    assert (killed / "course.json").read_text() == (whole / "course.json").read_text()


def test_a_killed_gan_ends_like_an_uninterrupted_one(bundle, segmenter, generator, tmp_path):
    check_killed_training(lambda folder: bundle.train_generator(folder, segmenter), tmp_path, generator, "generator.pt")


def test_a_killed_lcgan_ends_like_an_uninterrupted_one(bundle, tmp_path):
    sizes = {"image_size_pixels": 32, "generator_width": 2, "discriminator_width": 4, "samples_per_epoch": 24}

    def start(folder: Path) -> subprocess.Popen[str]:
        return bundle.start(
            "lcgan_train", output_dir=folder, candidate_epochs="[1,4]", checkpoint_interval_epochs=1, **sizes
        )

    whole = tmp_path / "whole"
    bundle.finish(start(whole))
    check_killed_training(start, tmp_path / "killed", whole, "generator.pt")
    for name in ("epoch_0001.pt", "epoch_0004.pt"):
        ours, theirs = (
            tensors(torch.load(tmp_path / f / "generators" / name, weights_only=True)) for f in ("killed", "whole")
        )
        assert all(map(torch.equal, ours, theirs))


def test_a_finished_run_trains_nothing_and_another_configuration_is_refused(bundle, segmenter, generator):
    files = [segmenter / "model.pt", generator / "generator.pt", generator / "checkpoint.pt"]
    written = [file.read_bytes() for file in files]
    again = [bundle.train_segmenter(segmenter), bundle.train_generator(generator, segmenter)]
    for process in again:
        output = bundle.finish(process)
        assert "checkpoint.pt after epoch 4 of 4" in output
        assert "Epoch 4/4" not in output
    options = {"output_dir": segmenter, "model_file": segmenter / "model.pt", "batch_size": 2, "samples_per_epoch": 24}
    sizes = {"image_size_pixels": 32, "encoder_widths": "[8,8,16,16]", "decoder_widths": "[16,8,8,8,8]"}
    error = bundle.fail("train", **options, **sizes, seed=1)
    assert "checkpoint.pt was written with seed 0, now it is 1. Train into another --output_dir" in error
    error = bundle.fail("train", **options, **{**sizes, "encoder_widths": "[8,8,16,24]"})
    assert "checkpoint.pt was written with encoder_widths [8, 8, 16, 16], now it is [8, 8, 16, 24]" in error
    assert [file.read_bytes() for file in files] == written
