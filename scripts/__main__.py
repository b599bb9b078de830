"""`python -m scripts <command>`: prepares and checks data sets, plans syntheses, writes phantoms and reports."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import fire

from scripts.command_options import check_arguments
from scripts.nearest_name import OptionError, suggest

# Where each command lives; only the one that is asked for is imported, since some load torch.
COMMANDS = {
    "prepare": ("scripts.data.prepare", "prepare", "writes dataset.json for a folder in a known layout"),
    "doctor": ("scripts.data.doctor", "doctor", "checks a data set before any training"),
    "study": ("scripts.experiments.command", "study", "compares what helps on a data set, and writes the page"),
    "plan": ("scripts.data.plan", "plan", "decides how many images of which class to synthesise from which masks"),
    "subset": ("scripts.data.subset", "subset", "writes a view of a data set that trains on a share of its patients"),
    "phantom": ("scripts.data.phantom", "write_phantom", "writes an artificial data set to try things on"),
    "adapt": ("scripts.distribution.adaptation", "adapt_bundle", "fits an unpacked bundle to a segmenter's images"),
    "report": ("scripts.report.page", "write_report", "writes the HTML page of an experiment"),
    "export": ("scripts.exports.export", "export", "writes synthetic sets for nnU-Net, COCO, YOLO, DICOM ..."),
    "turing": (
        "scripts.report.turing",
        "Turing",
        "makes the page on which readers tell real from synthetic images, and scores it",
    ),
    "export_network": ("scripts.distribution.networks", "export_network", "writes a network as TorchScript and ONNX"),
    "bundle": ("scripts.distribution.bundle", "write_bundle", "writes the bundle for the Model Zoo"),
    "check_bundle": ("scripts.distribution.checks", "check_bundle", "runs the Model Zoo's checks on a bundle"),
}


def _is_here(module: str) -> bool:
    return (Path(__file__).parent / f"{module.partition('scripts.')[2].replace('.', '/')}.py").is_file()


# The bundle in dist/ lacks what only the repository needs.
COMMANDS = {name: entry for name, entry in COMMANDS.items() if _is_here(entry[0])}


def main(arguments: Sequence[str]) -> int:
    """Runs a command; wrong input ends in one line on stderr and exit code 1, wrong usage in exit code 2."""
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if arguments[0] not in COMMANDS:
        print(f"error: no command {arguments[0]!r}{suggest(arguments[0], COMMANDS)}", file=sys.stderr)
        return 2
    # What the functions tell, on the console: in Python they are silent, and return it.
    told = logging.getLogger(__package__)
    told.handlers = [logging.StreamHandler(sys.stdout)]
    told.setLevel(logging.INFO)
    module, function, _ = COMMANDS[arguments[0]]
    command, given = getattr(importlib.import_module(module), function), list(arguments[1:])
    try:
        if {"-h", "--help"}.intersection(given):
            named = given[:1] if isinstance(command, type) and given[0] in vars(command) else []
            given = [*named, "--", "--help"]
        else:
            given = check_arguments(command, arguments[0], given)
        result = fire.Fire(command, command=given, name=arguments[0], serialize=lambda _: None)
    except OptionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError) as error:
        cause = _mendable(error)
        if cause is None:
            raise
        print(f"error: {' '.join(str(cause).splitlines())}", file=sys.stderr)
        return 1
    return int(bool(getattr(result, "errors", None)))  # those that `doctor` found


def _mendable(error: BaseException) -> BaseException | None:
    """The ValueError behind an error; MONAI's config parser wraps those of the parts that it builds."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ValueError):
        cause = cause.__cause__ or cause.__context__
    return cause


def _usage() -> str:
    lines = [f"  {name:<14} {purpose}" for name, (_, _, purpose) in COMMANDS.items()]
    return "\n".join(
        ["python -m scripts <command> [arguments]", "", *lines, "", "Add --help to a command for its own."]
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
