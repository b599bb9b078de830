"""Warm workers: a study's jobs run in forks of one process that has imported everything, so that none waits for it.

    python -m scripts.experiments.workers command ...

The workers live as long as the command, the study's workflow, whose jobs ask for them (`launch.py`). Each job is a
process of its own that starts as a new one would, and ends when the process that asks for it does.
"""

from __future__ import annotations

import gc
import importlib
import json
import multiprocessing
import os
import pkgutil
import resource
import runpy
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from scripts.experiments.jobs import MAIN
from scripts.experiments.launch import WORKERS

POLL = 0.1  # seconds
HERE = Path(__file__).parents[1]
FORK = multiprocessing.get_context("fork")


def serve(command: Sequence[str]) -> int:
    """Runs a command, and jobs in workers for as long as it runs; ends with its exit status."""
    with tempfile.TemporaryDirectory(prefix="study_") as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path := f"{folder}/workers")
        listener.listen(64)
        workflow = subprocess.Popen(command, env={**os.environ, WORKERS: path})
        _import_all()
        jobs: dict[socket.socket, BaseProcess] = {}
        while workflow.poll() is None:
            readable, _, _ = select.select([listener, *jobs], [], [], POLL)
            for connection in readable:
                if connection is listener:
                    asking, _ = listener.accept()
                    with suppress(OSError, ValueError):  # of one that was killed before it had asked
                        request = json.loads(asking.makefile("rb").readline())
                        worker = FORK.Process(target=_work, args=(request, asking, listener, *jobs))
                        worker.start()
                        jobs[asking] = worker
                else:  # says nothing more: who asked is gone
                    jobs[connection].kill()
            for connection in [connection for connection, job in jobs.items() if not job.is_alive()]:
                del jobs[connection]
                connection.close()
        return workflow.returncode


def _import_all() -> None:
    """What jobs import; garbage collection then leaves the pages alone that workers share."""
    for module in pkgutil.walk_packages([str(HERE)], f"{MAIN}."):
        if not module.name.endswith("__main__"):
            with suppress(ImportError):  # of a package that is not installed, which no job needs then
                importlib.import_module(module.name)
    for name in ("monai.bundle", "ignite.handlers.tensorboard_logger"):
        importlib.import_module(name)
    gc.freeze()


def _work(request: list[Any], asking: socket.socket, *others: socket.socket) -> None:
    """Runs one job, and answers with its exit status and peak memory in KiB."""
    import torch

    for connection in others:
        connection.close()
    log, threads, *command = request
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    status = run_here(log, command)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    asking.sendall(json.dumps([status, memory]).encode() + b"\n")


def run_here(log: str | Path, command: Sequence[str]) -> int:
    """Runs a module with its arguments in this process, whose output goes to a log; returns the exit status."""
    sys.argv = list(command)
    with open(log, "w", encoding="utf-8", buffering=1) as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
        sys.stdout = sys.stderr = stream
        try:
            runpy.run_module(command[0], run_name="__main__", alter_sys=True)
        except SystemExit as end:
            if isinstance(end.code, str):
                print(end.code)
            return int(bool(end.code))
        except BaseException:
            sys.excepthook(*sys.exc_info())
            return 1
        return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
