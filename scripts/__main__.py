"""`python -m scripts <command>`: prepares and checks data sets, plans syntheses, writes phantoms and reports."""

from __future__ import annotations

import atexit
import gc
import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.command_help import describe_command
from scripts.config_files import own_version
from scripts.nearest_name import OptionError, suggest
from scripts.user_errors import tell_error

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
GROUPS = {
    "Your data": ("prepare", "doctor", "subset", "phantom"),
    "Does it help?": ("study", "plan", "report", "turing"),
    "Elsewhere": ("export", "adapt"),
    "For maintainers": ("export_network", "bundle", "check_bundle"),
}


def _source(module: str) -> Path:
    return Path(__file__).parent / f"{module.partition('scripts.')[2].replace('.', '/')}.py"


# The bundle in dist/ lacks what only the repository needs.
COMMANDS = {name: entry for name, entry in COMMANDS.items() if _source(entry[0]).is_file()}


class _Console(logging.StreamHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - as `logging` calls it
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            raise
        super().handleError(record)


def main(arguments: Sequence[str]) -> int:
    """Runs a command; wrong input ends in one line on stderr and exit code 1, wrong usage in exit code 2."""
    try:
        code = _run(arguments)
        sys.stdout.flush()  # what is left when a pipe was closed is no news
        return code
    except SystemExit:
        raise  # Fire's
    except BaseException as error:
        return tell_error(error, stopped="Give the same command again.")


def _run(arguments: Sequence[str]) -> int:
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_usage())
        return 0
    if arguments[0] == "--version":
        print(own_version())
        return 0
    if arguments[0] not in COMMANDS:
        raise OptionError(f"no command {arguments[0]!r}{suggest(arguments[0], COMMANDS)}")
    # What the functions tell, on the console: in Python they are silent, and return it.
    told = logging.getLogger(__package__)
    told.handlers = [_Console(sys.stdout)]
    told.setLevel(logging.INFO)
    module, function, _ = COMMANDS[arguments[0]]
    given = list(arguments[1:])
    if {"-h", "--help"}.intersection(given):
        print(describe_command(_source(module), function, arguments[0], given[0]))
        return 0
    import fire  # not at --help

    from scripts.command_options import check_arguments

    command = getattr(importlib.import_module(module), function)
    given = check_arguments(command, arguments[0], given)
    result = fire.Fire(command, command=given, name=arguments[0], serialize=lambda _: None)
    return int(bool(getattr(result, "errors", None)))  # those that `doctor` found


def _usage() -> str:
    lines = []
    for group, names in GROUPS.items():
        lines += ["", f"{group}:", *(f"  {name:<14} {COMMANDS[name][2]}" for name in names if name in COMMANDS)]
    return "\n".join(
        ["python -m scripts <command> [arguments]", *lines, "", "Add --help to a command for its own; --version."]
    )


if __name__ == "__main__":
    atexit.register(gc.freeze)  # else the interpreter's end collects garbage for a second
    sys.exit(main(sys.argv[1:]))
