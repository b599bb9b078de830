"""One writer per place: locks on output folders and files that name their owner and that its death releases.

A lock is a POSIX record lock on a small file beside the place, which a process does not pass on to its forks and which
NFS takes to its server. It does not hold between machines that mount a folder with `nolock` or `local_lock`; after the
crash of a whole machine an NFS server keeps it until the machine's lease ends.
"""

from __future__ import annotations

import atexit
import errno
import fcntl
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from scripts.data.atomic import explaining, held, remove_left_behind

logger = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS)
_locks: dict[Path, tuple[int, int]] = {}  # lock -> its descriptor, closing any of which would free it, and its process


class ClaimError(ValueError):
    """Another process writes to the place; the message says which, since when and what to do."""


def claim(place: Path, rank: int = 0, meet: Callable[[], Sequence[int]] = lambda: [os.getpid()]) -> None:
    """Makes this process, with the other ranks of its training, the only writer of a folder or file until it ends.

    What killed writers have left there is removed. A place in a folder that is held is held already.

    Args:
        place: folder or file.
        rank: of this process.
        meet: waits until all ranks call it, and gives their processes; by default there is no other.

    Raises:
        ClaimError: another process, or a rank of a training that was killed, is still at work there.
        WriteError: the place's folder cannot be written.
    """
    place = place.expanduser().absolute()
    if any(place.is_relative_to(path) for path in held):
        return
    with explaining(place):
        if rank:
            meet()  # when rank 0 has the lock
        lock, descriptor = _open(place) if rank else _lock(place)
        if not _locks:
            atexit.register(_release_all)
        _locks[lock] = descriptor, os.getpid()
        try:
            if rank:
                _try_lock(descriptor, fcntl.LOCK_EX, 1, rank)  # waits
            else:
                since = f"{socket.gethostname()} since {time.strftime('%Y-%m-%d %H:%M:%S')}"
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"process {', '.join(map(str, meet()))} of {since}".encode(), 0)
                _try_lock(descriptor, fcntl.LOCK_UN, 0, 1)  # byte r is for rank r
                remove_left_behind(place)
        except BaseException:
            _release(lock)
            raise
    held.add(place)


@contextmanager
def claimed(place: Path) -> Iterator[None]:
    """The same for the time of a block."""
    before = {*_locks}
    claim(place)
    try:
        yield
    finally:
        for lock in _locks.keys() - before:
            held.discard(place.expanduser().absolute())
            _release(lock)


def lock_file(place: Path) -> Path:
    """Beside the place; inside a folder that is a mount, or whose parent is not ours to write."""
    inside = place.is_dir() and (os.path.ismount(place) or not os.access(place.parent, os.W_OK))
    return place / ".lock" if inside else place.with_name(f".{place.name}.lock")


def _open(place: Path) -> tuple[Path, int]:
    lock = lock_file(place)
    return lock, os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)


def _lock(place: Path) -> tuple[Path, int]:
    """The place's lock, and the descriptor that holds all of it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    while True:
        lock, descriptor = _open(place)
        if not _try_lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            owner = os.pread(descriptor, 200, 0).decode(errors="replace") or "another process"
            os.close(descriptor)
            raise ClaimError(f"{place} is being written by {owner}. Wait for its end, end it, or name another place.")
        with suppress(FileNotFoundError):  # its owner has just removed it
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                return lock, descriptor
        os.close(descriptor)


def _try_lock(descriptor: int, operation: int, length: int = 0, start: int = 0) -> bool:
    """Whether that could be done; a disk without locks is said to be so, and lets everybody write."""
    try:
        fcntl.lockf(descriptor, operation, length, start)
    except OSError as error:
        if error.errno not in NO_LOCKS:
            return False
        logger.warning("The disk of the output has no locks: nothing keeps a second run from writing there too.")
    return True


def _release(lock: Path) -> None:
    """Lets a lock go, and removes it, unless other ranks are still at work."""
    descriptor, process = _locks.pop(lock)
    if process == os.getpid():
        if _try_lock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB):
            lock.unlink(missing_ok=True)
        os.close(descriptor)


def _release_all() -> None:
    for lock in [*_locks]:
        _release(lock)
