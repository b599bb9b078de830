"""Runs the command of a job with a log, and measures it; in a warm worker where the study has some.

    python -IS scripts/experiments/launch.py LOG BENCHMARK THREADS module arguments ...

It needs nothing but the standard library, so that it starts at once.
"""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

WORKERS = "STUDY_WORKERS"  # environment variable: the socket of the workers
LAST_LINES = 30  # of the log, where the command fails
KIBIBYTE = 1024


def main(log: str, benchmark: str, threads: str, *command: str) -> int:
    """Ends with the command's exit status, and writes the benchmark file where that is 0."""
    began, workers = time.monotonic(), os.environ.get(WORKERS)
    os.makedirs(os.path.dirname(log), exist_ok=True)
    status, memory = _ask(workers, log, threads, command) if workers else _start(log, threads, command)
    if status:
        with open(log, encoding="utf-8", errors="replace") as stream:
            print(*stream.read().splitlines()[-LAST_LINES:], sep="\n", file=sys.stderr)
        return status
    with open(f"{benchmark}.{os.getpid()}", "w", encoding="utf-8") as stream:
        stream.write(f"s\tmax_rss\n{time.monotonic() - began:.2f}\t{memory / KIBIBYTE:.1f}\n")
    os.replace(stream.name, benchmark)
    return 0


def _start(log: str, threads: str, command: Sequence[str]) -> tuple[int, int]:
    """Exit status and peak memory in KiB of a process."""
    words = [sys.executable, "-W", "ignore", "-m", *command]
    with open(log, "wb") as stream:
        status = subprocess.call(words, stdout=stream, stderr=stream, env={**os.environ, "OMP_NUM_THREADS": threads})
    return status and 1, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def _ask(workers: str, log: str, threads: str, command: Sequence[str]) -> tuple[int, int]:
    """The same of a worker, which ends when this process does."""
    with socket.socket(socket.AF_UNIX) as connection, open(log, "wb"):
        connection.connect(workers)
        connection.sendall(json.dumps([log, int(threads), *command]).encode() + b"\n")
        answer = connection.makefile("rb").readline() or b"[1, 0]"  # of a worker that was killed
    status, memory = json.loads(answer)
    return status, memory


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
