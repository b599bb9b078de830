"""Runs a study's workflow: one at a time, with its progress, and so that it can be killed and goes on."""

from __future__ import annotations

import fcntl
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import torch

from scripts.config_files import own_path
from scripts.experiments.costs import Cost, estimate, kind, makespan
from scripts.experiments.jobs import Job
from scripts.nearest_name import OptionError
from scripts.scores.formats import format_seconds

logger = logging.getLogger(__name__)

WORKFLOW = own_path("scripts/experiments/study.smk")
POLL = 0.5  # seconds
LAST_LINES = 30  # of the log, where the workflow fails
MOST_DRIFT = 4.0  # what a job took over what it should have, at the most


class WorkflowError(ValueError):
    """A job of a study failed; what it said stands on stderr."""


@dataclass
class Progress:
    """Which of a study's jobs are done, and how long the others will take.

    Attributes:
        jobs: of the study.
        costs: by kind; empty where nothing was measured, so that nothing is said of the time left.
        cores: that jobs share.
    """

    jobs: Sequence[Job]
    costs: Mapping[str, Cost]
    cores: int
    done: set[Path] = field(default_factory=set)
    started: dict[Path, float] = field(default_factory=dict)

    def update(self) -> list[tuple[Job, float]]:
        """The jobs that have ended since the last call, with the seconds that each ran."""
        ended = []
        for job in self.jobs:
            if job.output in self.done:
                continue
            if is_done(job):
                self.done.add(job.output)
                ended.append((job, read_seconds(job)))
            elif job.log.exists():
                self.started.setdefault(job.output, time.time())
        return ended

    def seconds_left(self) -> float:
        """By the costs, drifted as the jobs that have ended did."""
        ended = [job for job in self.jobs if job.output in self.done and job.output in self.started]
        spent, planned = sum(map(read_seconds, ended)), sum(estimate(ended, self.costs).values())
        drift = min(MOST_DRIFT, max(1 / MOST_DRIFT, spent / planned)) if planned > 60 else 1.0
        left = [job for job in self.jobs if job.output not in self.done]
        seconds = {output: drift * value for output, value in estimate(left, self.costs).items()}
        for job in left:
            if job.output in self.started:
                ran = time.time() - self.started[job.output]
                seconds[job.output] = max(1.0, seconds[job.output] - ran)
        return makespan(left, seconds, self.cores)


def is_done(job: Job) -> bool:
    """Whether the job has ended well: its benchmark file is newer than its log, which it opens first."""
    if not job.benchmark.exists() or not job.output.exists():
        return False
    return not job.log.exists() or job.benchmark.stat().st_mtime >= job.log.stat().st_mtime


def read_seconds(job: Job) -> float:
    return float(job.benchmark.read_text(encoding="utf-8").splitlines()[-1].split("\t")[0])


def run_workflow(
    file: Path,
    jobs: Sequence[Job],
    *,
    command: str,
    costs: Mapping[str, Cost],
    cores: int,
    executor: str = "local",
    targets: Sequence[Path] = (),
) -> None:
    """Runs a study to its page, or to some of its files, with a line for every job that ends.

    Args:
        file: the study's; its folder gets `study.log` and a lock.
        jobs: that are run.
        command: that the page says was run.
        costs: by kind of job, for the time left.
        cores: that jobs share.
        executor: of Snakemake, such as `slurm`, with its options.
        targets: files to make in place of the page.

    Raises:
        WorkflowError: a job failed.
        OptionError: the study is running already.
        KeyboardInterrupt: Ctrl-C; it says what is kept.
    """
    log = file.with_name("study.log")
    words = [sys.executable, "-m", "snakemake", "-s", WORKFLOW, "--configfile", str(file), "--cores", str(cores)]
    words += ["--rerun-incomplete", "--nolock", "--quiet", "rules"]
    if executor != "local":
        words += ["--jobs", str(cores), "--executor", *shlex.split(executor)]
    # A page that is newer than all of its files would hide that some are missing, such as those of a further seed.
    words += ["--", *map(str, targets)] if targets else ["--forcerun", "page"]
    progress = Progress(jobs, costs, cores)
    if executor == "local" and not torch.cuda.is_available():  # CUDA does not survive a fork
        words = [sys.executable, "-W", "ignore", "-m", "scripts.experiments.workers", *words]
    before = len(progress.update())
    if before:
        logger.info(f"{before} of {len(jobs)} jobs are done already.")
    with _only_one(file.with_name("study.lock")) as lock, open(log, "w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            words,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, "STUDY_COMMAND": command},
            start_new_session=True,
            pass_fds=[lock.fileno()],
        )
        lock.write(f"{os.getpid()} {process.pid}")
        lock.flush()
        try:
            while process.poll() is None:
                time.sleep(POLL)
                _report(progress, log)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(progress.done)} of {len(jobs)} jobs are done and kept: the same command goes on from there."
            ) from None
        finally:
            _end(process)
        _report(progress, log)
    if process.returncode:
        logger.error("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]))
        raise WorkflowError(f"a job failed, as {log} says above. Mend it: the same command goes on from there")


def _report(progress: Progress, log: Path) -> None:
    for job, seconds in progress.update():
        left = f"; about {format_seconds(progress.seconds_left())} left" if progress.costs else ""
        place = "/".join(job.folder.parts[-2:])
        logger.info(f"[{len(progress.done)}/{len(progress.jobs)}] {kind(job)} {place}: {format_seconds(seconds)}{left}")


@contextmanager
def _only_one(file: Path) -> Iterator[IO[str]]:
    """A lock that the workflow holds too; a workflow whose command was killed is ended first.

    Raises:
        OptionError: the command that holds it is at work.
    """
    with open(file, "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            owner, group = map(int, (lock.read() or "0 0").split())
            if not group or _is_alive(owner):
                raise OptionError(
                    f"{file.parent} is being written by process {owner or '?'}. Wait for it, or end it"
                ) from None
            os.killpg(group, signal.SIGKILL)
            fcntl.flock(lock, fcntl.LOCK_EX)
        lock.truncate(0)
        yield lock


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the workflow and all of its jobs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
