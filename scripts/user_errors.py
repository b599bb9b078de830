"""What is said of an error: one line if the user can mend it, else the traceback and where it is to be reported."""

from __future__ import annotations

import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from scripts.data.atomic import describe_disk_error, find_disk_error
from scripts.nearest_name import OptionError

NO_MEMORY = re.compile(
    "out of memory|can't allocate memory|not enough memory|DataLoader worker .* killed", re.IGNORECASE
)
OURS = f"{__package__}."
REPORT = (
    "This is a fault of the program, not of your input. Please report it as an issue of this repository, with the "
    "command and all lines above."
)


def tell_error(error: BaseException, stopped: str = "") -> int:
    """Says on stderr what there is to say of an error, and returns the exit code.

    Args:
        error: whatever ended the program.
        stopped: what Ctrl-C leaves and how to go on, where the interrupt itself does not say it.
    """
    if isinstance(error, KeyboardInterrupt):
        print(f"stopped. {str(error) or stopped}".strip(), file=sys.stderr)
        return 130
    cause = find_user_error(error)
    if isinstance(cause, BrokenPipeError):  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    if cause is None:
        traceback.print_exception(error)
        print(REPORT, file=sys.stderr)
        return 1
    print(f"error: {' '.join(str(cause).splitlines())}", file=sys.stderr)
    return 2 if isinstance(error, OptionError) else 1


@contextmanager
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

    These are the bundle's own, whatever it raises as a ValueError, wherever MONAI or a worker process wraps it; MONAI's
    word on a package that is missing; a file or folder that the system refuses; and memory that does not suffice.
    """
    while error is not None:
        if isinstance(error, BrokenPipeError) or type(error).__name__ == "OptionalImportError":
            return error
        if isinstance(error, ValueError) and (_raised_here(error) or type(error).__module__.startswith(OURS)):
            # A worker process sends its traceback along, whose last lines are the message.
            return type(error)(re.split(rf"\n{type(error).__module__}\.\w+: ", str(error))[-1])
        if isinstance(error, OSError) and find_disk_error(error) is error:
            return describe_disk_error(error, error.filename or "the output")
        if isinstance(error, OSError) and error.strerror:
            return ValueError(f"{error.filename or 'The system'}: {error.strerror}. Correct the path, or restore it.")
        if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and NO_MEMORY.search(str(error))):
            return ValueError(
                f"Not enough memory ({str(error).split('. ')[0] or type(error).__name__}). Lower --batch_size, "
                "--image_size_pixels or --worker_count, or use a larger machine."
            )
        error = error.__cause__ or error.__context__
    return None


def _raised_here(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and str(frames[-1].f_globals.get("__name__")).startswith(OURS)
