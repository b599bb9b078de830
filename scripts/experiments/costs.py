"""What a study will cost: every kind of its jobs is run at its shortest, and timed, on this machine."""

from __future__ import annotations

import csv
import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.experiments.downstream import TASKS
from scripts.experiments.jobs import Job, closure

MODIFIERS = sorted({modifier for task in TASKS.values() for modifier in task.modifiers})
PROGRESSIVE = "total_images"  # option of trainings whose number of epochs does not grow with their length
LENGTHS = (PROGRESSIVE, "max_epochs", "candidate_epochs")
STOPPED = 0.85  # share of its cap that a training with patience comes to: assumed, not measured
OVERHEAD = 1.5  # seconds of the workflow for each job
MEBIBYTE = 2**20


@dataclass(frozen=True)
class Cost:
    """Of a kind of job.

    Attributes:
        start: seconds whatever its length.
        unit: seconds of an epoch, or of an image of a progressive training.
        epoch: seconds of what happens between two epochs: validation, checkpoint, pictures.
        memory: most of it, in MiB.
        disk: what it leaves behind, in MiB.
    """

    start: float
    unit: float = 0.0
    epoch: float = 0.0
    memory: float = 0.0
    disk: float = 0.0

    def seconds(self, job: Job, scale: float = 1.0) -> float:
        """Of a job whose training is `scale` times as long as it says, or ends before where it has patience."""
        scale *= STOPPED if job.options.get("patience_epochs") else 1.0
        epochs = _epochs(job) if PROGRESSIVE in job.options else scale * _epochs(job)
        return self.start + scale * self.unit * length(job) + self.epoch * epochs


def kind(job: Job) -> str:
    """Jobs of one kind cost the same for the same length: what runs, and which modifiers its arm has."""
    parts = job.folder.name.split("+")
    return "+".join([job.run, *(name for name in MODIFIERS if name in parts)])


def length(job: Job) -> int:
    """Epochs of a training, or images of a progressive one; 0 of what is no training."""
    for key in LENGTHS:
        if key in job.options:
            value = job.options[key]
            return int(max(value) if isinstance(value, Sequence) else value)
    return 0


def _epochs(job: Job) -> int:
    if PROGRESSIVE not in job.options:
        return length(job)
    images = job.options["iterations_per_epoch"] * job.options["batch_size_at_4_8_16_pixels"][-1]
    return round(job.options[PROGRESSIVE] / images)


def representatives(jobs: Sequence[Job]) -> list[Job]:
    """The first job of every kind, and all that these wait for."""
    first: dict[str, Job] = {}
    for job in jobs:
        first.setdefault(kind(job), job)
    found: dict[Path, Job] = {}
    for job in first.values():
        found |= {each.output: each for each in closure(job, jobs)}
    return list(found.values())


def measure(jobs: Iterable[Job]) -> dict[str, Cost]:
    """The cost of each kind, from the benchmark file and the curves of a job that has run."""
    found: dict[str, Cost] = {}
    for job in jobs:
        if kind(job) in found or not job.benchmark.exists():
            continue
        row = _read(job.benchmark)[-1]
        wall, memory = float(row["s"]), float(row["max_rss"])
        curves = job.folder / "run" / "curves.csv"
        rows = _read(curves) if curves.exists() and length(job) else []
        trained, between = sum(float(row["training_seconds"]) for row in rows), 0.0
        if len(rows) > 1:
            between = sum(float(row["seconds"]) - float(row["training_seconds"]) for row in rows[1:]) / (len(rows) - 1)
        start = max(0.0, wall - trained - between * len(rows))
        disk = sum(file.stat().st_size for file in _files(job)) / MEBIBYTE
        found[kind(job)] = Cost(start, trained / max(1, length(job)), between, memory, disk)
    return found


def estimate(jobs: Iterable[Job], costs: Mapping[str, Cost], scale: float = 1.0) -> dict[Path, float]:
    """Seconds by output, of trainings `scale` times as long as the jobs say; of an unknown kind the mean of others."""
    known = [cost.start for cost in costs.values()]
    unknown = Cost(sum(known) / max(1, len(known)))
    return {job.output: OVERHEAD + costs.get(kind(job), unknown).seconds(job, scale) for job in jobs}


def makespan(jobs: Sequence[Job], seconds: Mapping[Path, float], cores: int) -> float:
    """Seconds until the last job ends, with each started as soon as it can be, the most urgent first.

    Args:
        jobs: each once; what they read and none writes is there.
        seconds: of each, by its output.
        cores: that they share.
    """
    makers = {file: job.output for job in jobs for file in job.writes}
    waits = {job.output: {makers[file] for file in job.reads if file in makers} for job in jobs}
    ready = [(-job.priority, n) for n, job in enumerate(jobs) if not waits[job.output]]
    running: list[tuple[float, int]] = []
    now, free = 0.0, cores
    while ready or running:
        ready.sort()
        while ready and free >= min(cores, jobs[ready[0][1]].threads):
            n = ready.pop(0)[1]
            free -= min(cores, jobs[n].threads)
            heapq.heappush(running, (now + seconds[jobs[n].output], n))
        now, n = heapq.heappop(running)
        free += min(cores, jobs[n].threads)
        done = jobs[n].output
        for m, job in enumerate(jobs):
            if done in waits[job.output]:
                waits[job.output].discard(done)
                if not waits[job.output]:
                    ready.append((-job.priority, m))
    return now


def _files(job: Job) -> list[Path]:
    return [file for file in job.folder.rglob("*") if file.is_file()] if job.folder.is_dir() else list(job.writes)


def _read(file: Path) -> list[dict[str, Any]]:
    with open(file, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t" if file.suffix == ".tsv" else ","))
