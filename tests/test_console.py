from __future__ import annotations

import logging
import re
import sys

import numpy as np
import pytest
import torch

from scripts.console import prepare_run, show_error
from scripts.data.contract import DatasetError, read_dataset
from scripts.networks.checkpoints import load_checkpoint
from scripts.transforms.geometry import FitInPlaned
from scripts.user_errors import find_user_error


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


def caught(function, *arguments) -> BaseException:
    try:
        function(*arguments)
    except ValueError as error:
        return error
    raise AssertionError("no error")


@pytest.mark.parametrize(
    ("function", "argument", "shown"),
    [
        (read_dataset, "absent", "error: No .*absent/dataset.json. Write one with .*"),
        (
            load_checkpoint,
            "absent.pt",
            "error: No checkpoint absent.pt. Train that network first, or correct the path.",
        ),
        (lambda size: FitInPlaned("image", size), 0, "error: image_size is 0, expected a positive number of pixels."),
    ],
)
def test_what_the_bundle_refuses_is_one_line_wherever_it_is_wrapped(capsys, function, argument, shown):
    error = raised(RuntimeError("Failed to instantiate"), cause=raised(KeyError("x"), cause=caught(function, argument)))
    show_error(type(error), error, error.__traceback__)
    assert re.fullmatch(shown + "\n", capsys.readouterr().err)


def test_an_error_raised_while_handling_it_does_not_hide_it(capsys):
    try:
        try:
            read_dataset("absent")
        except DatasetError:
            raise RuntimeError("while parsing")  # noqa: B904 - as MONAI's parser may
    except RuntimeError as error:
        show_error(type(error), error, error.__traceback__)
    assert capsys.readouterr().err.startswith("error: No ")


def test_a_value_error_of_others_keeps_its_traceback(capsys):
    error = caught(np.zeros(3).reshape, 2)
    show_error(type(error), error, error.__traceback__)
    assert "Traceback" in capsys.readouterr().err


def test_anything_else_keeps_its_traceback(capsys):
    error = raised(RuntimeError("a bug"))
    show_error(type(error), error, error.__traceback__)
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert "RuntimeError: a bug" in shown


def test_a_run_is_seeded_and_says_on_what_it_runs(monkeypatch, caplog):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    drawn = []
    deterministic = torch.are_deterministic_algorithms_enabled()
    flags = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    with caplog.at_level(logging.INFO, "scripts.console"):
        for seed, device in ((3, torch.device("cpu")), (3, "cpu"), (4, "cpu")):
            prepare_run(seed=seed, device=device, precision=torch.bfloat16, task="Training")
            drawn.append((torch.rand(1).item(), np.random.rand()))
    assert drawn[0] == drawn[1] != drawn[2]
    assert sys.excepthook is show_error
    assert caplog.messages[0] == f"Training on CPU, {torch.get_num_threads()} threads, bfloat16, seed 3"
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags


def test_a_place_that_cannot_be_written_to_is_one_line():
    try:
        raise RuntimeError("MONAI's words") from PermissionError(13, "Permission denied", "/runs/tensorboard")
    except RuntimeError as error:
        cause = find_user_error(error)
    assert str(cause).startswith("Cannot write /runs/tensorboard: Permission denied. Name a writable folder")
