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

LOGGING = "configs/logging.conf"


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
        """Seconds and memory of its last run, as Snakemake measures them."""
        return self.folder.with_name(f"{self.folder.name}.benchmark.tsv")

    @property
    def shell(self) -> str:
        """The command line, which shows the log's end where it fails."""
        python = [sys.executable, "-W", "ignore", "-m"]
        words = ["monai.bundle", "run", "--logging_file", LOGGING, "--config_file", f"configs/{self.run}.json"]
        if self.arguments:
            words = ["scripts", self.run, *self.arguments]
        log = shlex.quote(str(self.log))
        line = f"OMP_NUM_THREADS={self.threads} {shlex.join([*python, *words])} {flags(self.options)}"
        return f"{line} > {log} 2>&1 || (tail -n 30 {log}; false)"


def flags(options: Mapping[str, Any]) -> str:
    """Options as a command line. None is left out: the bundle runner ignores it, so a config's default stays."""
    shown = {name: _as_text(value) for name, value in options.items() if value is not None}
    return " ".join(f"--{name} {shlex.quote(value)}" for name, value in shown.items())


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
