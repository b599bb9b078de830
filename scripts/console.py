"""What a bundle run says on the console: what it runs on, and one clear line when something is wrong."""

from __future__ import annotations

import logging
import sys
from types import TracebackType
from typing import Any

import torch
from monai.utils import set_determinism

from scripts.data.contract import DatasetError
from scripts.handlers.training_state import CheckpointError

logger = logging.getLogger(__name__)
USER_ERRORS = (DatasetError, CheckpointError)


def prepare_run(*, seed: int, device: torch.device, precision: torch.dtype = torch.float32, task: str = "") -> None:
    """Seeds everything, shortens errors that the user can mend, and says what the run uses."""
    sys.excepthook = show_error
    set_determinism(seed=seed)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    logger.info(f"{task or 'Run'} on {name}, {str(precision).removeprefix('torch.')}, seed {seed}")


def show_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> Any:
    """An exception hook: the root cause alone if the user can mend it, the full traceback otherwise."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, USER_ERRORS):
            print(f"error: {cause}", file=sys.stderr)
            return
        cause = cause.__cause__ or cause.__context__
    sys.__excepthook__(kind, error, traceback)
