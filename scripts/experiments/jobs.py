"""Jobs: commands with what they read and write, which one Snakefile runs in their order."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts.config_files import own_path

MAIN = __name__.partition(".experiments")[0]
LOGGING = own_path("configs/logging.conf")
LAUNCH = (sys.executable, "-IS", own_path("scripts/experiments/launch.py"))


@dataclass(frozen=True)
class Job:
    """A bundle run, or a command of `python -m scripts`, with a log beside its output.

    Attributes:
        run: name of a config in `configs/`, or of a command, which has arguments.
        folder: of what it writes, under the folder of jobs.
        writes: files that say that it is done.
        reads: files that other jobs write.
        options: of the config or command; None is left out, so that the default stays.
        threads: that the work runs with.
        priority: higher ones start first; generators do, since much waits for them.
        arguments: of a command; a bundle run has none.
    """

    run: str
    folder: Path
    writes: tuple[Path, ...]
    reads: tuple[Path, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 1
    priority: int = 0
    arguments: tuple[str, ...] = ()

    def name(self, root: str | Path) -> str:
        """Of its rule: what runs, and where below a folder."""
        place = os.path.relpath(self.output.with_suffix(""), root)
        return "_".join(re.findall(r"[A-Za-z0-9]+", f"{self.run} {place}"))

    @property
    def output(self) -> Path:
        """The first file that it writes."""
        return self.writes[0]

    @property
    def log(self) -> Path:
        """Beside the folder, for some jobs refuse one that is not empty."""
        return self.folder.with_name(f"{self.folder.name}.log")

    @property
    def benchmark(self) -> Path:
        """Seconds and peak memory of its last run that ended well."""
        return self.folder.with_name(f"{self.folder.name}.benchmark.tsv")

    @property
    def command(self) -> list[str]:
        """The module that runs, and its arguments."""
        words = [
            "monai.bundle",
            "run",
            "--logging_file",
            LOGGING,
            "--config_file",
            own_path(f"configs/{self.run}.json"),
        ]
        if self.arguments:
            words = [MAIN, self.run, *self.arguments]
        return [*words, *flags(self.options)]

    @property
    def shell(self) -> str:
        """The command line, which writes the log and the benchmark, and shows the log's end where it fails."""
        return shlex.join([*LAUNCH, *map(str, (self.log, self.benchmark, self.threads)), *self.command])


def flags(options: Mapping[str, Any]) -> list[str]:
    """Options as arguments. None is left out: the bundle runner ignores it, so a config's default stays."""
    shown = {name: _as_text(value) for name, value in options.items() if value is not None}
    return [word for name, value in shown.items() for word in (f"--{name}", value)]


def closure(job: Job, jobs: Iterable[Job]) -> list[Job]:
    """A job and all that it waits for."""
    makers = {file: each for each in jobs for file in each.writes}
    found: dict[Path, Job] = {}
    waiting = [job]
    while waiting:
        each = waiting.pop()
        if each.output not in found:
            found[each.output] = each
            waiting += [makers[file] for file in each.reads if file in makers]
    return list(found.values())


def _as_text(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, list | tuple | dict) else str(value)
