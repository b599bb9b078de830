"""What a bundle run says on the console: what it runs on, and one clear line when something is wrong."""

from __future__ import annotations

import atexit
import contextlib
import errno
import gc
import importlib.util
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.utils import OptionalImportError, set_determinism

from scripts.config_options import check_options, walk
from scripts.data.atomic import describe_disk_error, find_disk_error
from scripts.data.claims import claim
from scripts.engines.ranks import current_rank, gather_processes
from scripts.nearest_name import OptionError
from scripts.path_options import keep_paths_as_typed
from scripts.running_config import run_ids, running_config

logger = logging.getLogger(__name__)


def prepare_run(
    *, seed: int, device: torch.device | str, precision: torch.dtype = torch.float32, task: str = ""
) -> None:
    """Refuses options that the run would ignore, seeds everything, shortens errors that the user can mend, and says
    what the run uses.

    Raises:
        OptionError: an unknown option, or a package that one of the options needs and that is missing.
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
            _claim_folder(Path(parser.get_parsed_content("output_dir")))
    device = torch.device(device)  # MONAI Label and `--device` give its name
    set_determinism(seed=seed)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    logger.info(f"{task or 'Run'} on {name}, {str(precision).removeprefix('torch.')}, seed {seed}")


def _claim_folder(folder: Path) -> None:
    """Makes this run the folder's only writer; ClaimError or WriteError where another writes there, or nobody can."""
    if folder.is_file():
        raise describe_disk_error(NotADirectoryError(errno.ENOTDIR, ""), folder)
    claim(folder, current_rank(), gather_processes)


def _check_tracking(parser: ConfigParser) -> None:
    asked = any(isinstance(node, dict) and node.get("_target_") == "MLFlowHandler" for _, node in walk(parser.get()))
    if asked and importlib.util.find_spec("mlflow") is None:
        raise OptionError("--tracking mlflow needs MLflow: pip install mlflow, or leave --tracking out")


def show_error(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> Any:
    """An exception hook: the root cause alone if the user can mend it, the full traceback otherwise."""
    cause = find_user_error(error)
    if cause is None:
        sys.__excepthook__(kind, error, traceback)
    else:
        print(f"error: {cause}", file=sys.stderr)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Raises the error that the user can mend in place of those in which MONAI's parser wraps it; for Python."""
    try:
        yield
    except RuntimeError as error:
        cause = find_user_error(error)
        if cause is None:
            raise
        raise cause from None


def find_user_error(error: BaseException | None) -> BaseException | None:
    """The error that the user can mend, among an error and its causes; None if there is none.

    These are the bundle's own, whatever it raises as a ValueError, wherever MONAI wraps it; MONAI's word on a package
    that is missing; and a place that cannot be written to, whoever finds that out.
    """
    while error is not None and not (
        isinstance(error, OptionalImportError) or (isinstance(error, ValueError) and _raised_here(error))
    ):
        if isinstance(error, OSError) and find_disk_error(error) is error:
            return describe_disk_error(error, error.filename or "the output")
        error = error.__cause__ or error.__context__
    return error


def _raised_here(error: BaseException) -> bool:
    traceback = error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and str(traceback.tb_frame.f_globals.get("__name__")).startswith(f"{__package__}.")
