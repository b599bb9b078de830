"""The one way to write: files and folders that are whole or absent, and the one line where that fails."""

from __future__ import annotations

import errno
import os
import re
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT)
UNWRITABLE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.EFBIG, errno.EIO), ""),
    **dict.fromkeys((errno.ENOTDIR, errno.EEXIST), ", a file lies where a folder must be"),
    errno.ENOTEMPTY: ", another run was faster",
    errno.EISDIR: ", a folder lies where a file must be",
}
PROBE = 2**20  # bytes
held: set[Path] = set()  # places that this process alone writes, see `claims`


class WriteError(ValueError):
    """A place that cannot be written; the message says why, what space is needed, and what to do."""


@contextmanager
def replacing(file: Path, size: int = 0) -> Iterator[Path]:
    """Where to write a file: what lies there at the end of the block becomes `file`, whose folder is made.

    It is flushed to the disk first. After an error there is the old file, or none, and nothing beside it.

        with replacing(file) as temporary:
            image.save(temporary)

    Args:
        file: that is written.
        size: bytes that it needs, where they are known.

    Yields:
        A path in the same folder, whose name ends as the file's, so that libraries know the format.

    Raises:
        WriteError: the disk is full, or the folder cannot be written.
    """
    temporary = _temporary(file)
    try:
        with explaining(file, temporary, size):
            file.parent.mkdir(parents=True, exist_ok=True)
            if not any(file.absolute().is_relative_to(place) for place in held):
                remove_left_behind(file)
            yield temporary
            _flush(temporary)
            os.replace(temporary, file)
    finally:
        with suppress(OSError):
            temporary.unlink()


@contextmanager
def replacing_folder(folder: Path, replace: bool = False) -> Iterator[Path]:
    """The same of a folder, empty at first; a WriteError where there is an old one, not to be replaced."""
    temporary, old = _temporary(folder), _temporary(folder.with_name(f"{folder.name}.old"))
    try:
        with explaining(folder, temporary):
            remove_left_behind(folder)
            temporary.mkdir(parents=True)
            yield temporary
            for file in temporary.rglob("*"):
                _flush(file)
            if replace and folder.is_dir():
                os.rename(folder, old)
            os.rename(temporary, folder)
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def write_whole(file: Path, content: bytes | str) -> None:
    """Writes a file that is in memory, text as UTF-8."""
    data = content.encode() if isinstance(content, str) else content
    with replacing(file, len(data)) as temporary:
        temporary.write_bytes(data)


@contextmanager
def explaining(place: Path, temporary: Path | None = None, size: int = 0) -> Iterator[None]:
    """Turns what the disk says in the block into a `WriteError` of the place; libraries that hide it are seen through.

    Args:
        place: that is written.
        temporary: where it is written at first.
        size: bytes that it needs, where they are known.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, ValueError) and not isinstance(error, WriteError):
            raise
        cause = find_disk_error(error, place)
        if cause is None and temporary is not None:
            cause = _probe(temporary)
        if cause is None:
            raise
        raise describe_disk_error(cause, place, size, 0 if temporary is None else _measure(temporary)) from error


def find_disk_error(error: BaseException | None, place: Path | None = None) -> OSError | None:
    """The disk's refusal among an error and its causes; of several places, that of one."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (*FULL, *UNWRITABLE):
            if place is None or error.errno in FULL or not error.filename:
                return error
            named = Path(error.filename).absolute()
            if named in _around(place) or place.absolute().parent in named.parents:
                return error
        error = error.__cause__ or error.__context__
    return None


def describe_disk_error(error: OSError, place: str | Path, size: int = 0, written: int = 0) -> WriteError:
    """What to tell of a disk's refusal to write `size` bytes, 0 if unknown, at a place, after `written` bytes."""
    number = error.errno or 0
    if number not in FULL:
        why = os.strerror(number) + UNWRITABLE.get(number, "")
        named = Path(error.filename or place)
        where = "" if named == Path(place) or named.name.startswith(".tmp-") else f" ({named})"
        return WriteError(f"Cannot write {place}: {why}{where}. Name a writable folder.")
    free = shutil.disk_usage(next(path for path in _around(Path(place)) if path.exists())).free + written
    needed = _shown(size) if size > free else f"more than {_shown(free)}"
    return WriteError(
        f"Cannot write {place}: the disk is full, {needed} are needed and {_shown(free)} free. Free space, or name "
        "another folder."
    )


def remove_left_behind(place: Path) -> None:
    """Removes the temporary files of processes that are no more: of a file those beside it, of a folder all in it.

    Folders inside that have a lock of their own are left to their next writer.
    """
    if place.is_dir():
        for folder, folders, files in os.walk(place):
            here = Path(folder)
            _remove_dead(here, [*folders, *files], ".+")
            folders[:] = [name for name in folders if not (here / f".{name}.lock").exists()]
    if place.parent.is_dir():
        _remove_dead(place.parent, os.listdir(place.parent), rf"{re.escape(place.name)}(\.old)?")


def _remove_dead(folder: Path, names: Sequence[str], pattern: str) -> None:
    for name in names:
        made = re.fullmatch(rf"\.tmp-(\d+)-{pattern}", name)
        if made and not _is_at_work(int(made[1])):
            shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink(missing_ok=True)


def _around(place: Path) -> list[Path]:
    return [place.absolute(), *place.absolute().parents]


def _shown(size: int) -> str:
    return f"{size / 2**20:.2f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"


def _measure(place: Path) -> int:
    """Bytes of a file, or of the files in a folder."""
    files = place.rglob("*") if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files if file.is_file())


def _temporary(place: Path) -> Path:
    return place.with_name(f".tmp-{_writer()}-{place.name}")


def _writer() -> int:
    """This process, or the thread of it, which has a number of its own among them."""
    return os.getpid() if threading.current_thread() is threading.main_thread() else threading.get_native_id()


def _flush(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _probe(place: Path) -> OSError | None:
    """What the disk says to another MiB beside a file or folder."""
    file = place.with_name(f"{place.name}.probe")
    try:
        with open(file, "wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, PROBE)
    except OSError as error:
        return find_disk_error(error)
    finally:
        with suppress(OSError):
            file.unlink()
    return None


def _is_at_work(process: int) -> bool:
    """Whether another process of that number lives; this one writes nothing there yet."""
    if process == _writer():
        return False
    with suppress(PermissionError):  # another user's
        try:
            os.kill(process, 0)
        except ProcessLookupError:
            return False
    return True
