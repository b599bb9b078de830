"""What a bundle run says on the console: what it runs on, and one clear line when something is wrong."""

from __future__ import annotations

import atexit
import gc
import importlib.util
import logging
import sys
from pathlib import Path
from types import TracebackType

import torch
from monai.bundle import ConfigParser
from monai.utils import set_determinism

from scripts.config_options import check_options, walk
from scripts.data.claims import claim
from scripts.engines.ranks import current_rank, gather_processes
from scripts.nearest_name import OptionError
from scripts.path_options import keep_paths_as_typed
from scripts.running_config import run_ids, running_config
from scripts.user_errors import tell_error

logger = logging.getLogger(__name__)


def prepare_run(
    *, seed: int, device: torch.device | str, precision: torch.dtype = torch.float32, task: str = ""
) -> None:
    """Refuses options that the run would ignore, seeds everything, shortens errors that the user can mend, and says
    what the run uses.

    Raises:
        OptionError: an option that is unknown or cannot be so, a device that is not there, or a package that one of
            the options needs and that is missing.
        ClaimError: another run writes to the same `output_dir`.
        WriteError: that cannot be written.
    """
    sys.excepthook = show_error
    atexit.register(gc.freeze)  # else the interpreter's end collects garbage for a second
    parser = running_config()
    if parser is not None:
        check_options(parser, run_ids())
        _check_tracking(parser)
        keep_paths_as_typed(parser)
        if "output_dir" in parser.get():
            claim(Path(parser.get_parsed_content("output_dir")), current_rank(), gather_processes)
    device = _check_device(device)
    set_determinism(seed=seed)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    logger.info(f"{task or 'Run'} on {name}, {str(precision).removeprefix('torch.')}, seed {seed}")


def _check_tracking(parser: ConfigParser) -> None:
    asked = any(isinstance(node, dict) and node.get("_target_") == "MLFlowHandler" for _, node in walk(parser.get()))
    if asked and importlib.util.find_spec("mlflow") is None:
        raise OptionError("--tracking mlflow needs MLflow: pip install mlflow, or leave --tracking out")


def show_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    """An exception hook: see `tell_error`."""
    tell_error(error, stopped="Give the same command again: it goes on from what is saved.")


def _check_device(device: torch.device | str) -> torch.device:
    """The device, once a number has been put there; MONAI Label and `--device` give its name."""
    try:
        return torch.empty(0, device=device).device
    except (RuntimeError, AssertionError, TypeError) as error:
        reason = str(error).splitlines()[0].split(". ")[0]
        raise OptionError(f"--device is {device}, expected one that is here, such as cpu ({reason})") from None
