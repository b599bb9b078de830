from __future__ import annotations

import logging
import sys

import numpy as np
import pytest
import torch

from scripts.console import prepare_run, show_error
from scripts.data.contract import DatasetError
from scripts.handlers.training_state import CheckpointError


def raised(error: BaseException, *, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except BaseException as caught:
        return caught


@pytest.mark.parametrize("kind", [DatasetError, CheckpointError])
def test_what_the_user_can_mend_is_one_line(capsys, kind):
    error = raised(RuntimeError("Failed to instantiate"), cause=raised(ValueError("x"), cause=kind("mend this")))
    show_error(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == "error: mend this\n"


def test_an_error_while_handling_one_that_can_be_mended_shows_the_latter(capsys):
    try:
        try:
            raise DatasetError("mend this")
        except DatasetError:
            raise RuntimeError("while parsing")  # noqa: B904 - as MONAI's parser may
    except RuntimeError as error:
        show_error(type(error), error, error.__traceback__)
    assert capsys.readouterr().err == "error: mend this\n"


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
        for seed in (3, 3, 4):
            prepare_run(seed=seed, device=torch.device("cpu"), precision=torch.bfloat16, task="Training")
            drawn.append((torch.rand(1).item(), np.random.rand()))
    assert drawn[0] == drawn[1] != drawn[2]
    assert sys.excepthook is show_error
    assert caplog.messages[0] == f"Training on CPU, {torch.get_num_threads()} threads, bfloat16, seed 3"
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = flags
