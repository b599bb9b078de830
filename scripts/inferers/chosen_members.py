"""The members of an ensemble that synthesise: all that were named, or the first of a choice among them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from scripts.networks.checkpoints import CheckpointError


def choose_files(
    files: Sequence[str | Path], choice_file: str | Path | None = None, count: int | None = None
) -> list[str]:
    """Weights of the members to sample.

    Args:
        files: the members' weights.
        choice_file: a `choice.json` of `MemberChoice`, which knows the members by their SHA-256; None takes all files.
        count: members taken, the first of the choice's order; None for all of them.

    Raises:
        CheckpointError: a choice that cannot be read or knows a member that is not among the files, a file that cannot
            be read, or a count out of range.
    """
    if choice_file is None:
        if count is not None:
            raise CheckpointError(
                f"chosen_count is {count}, but there is no choice_file to choose by. Name the choice.json that "
                "pggan_ensemble_evaluate.json writes, or fewer generator_files."
            )
        return [str(file) for file in files]
    try:
        order = list(json.loads(Path(choice_file).read_text(encoding="utf-8"))["sha256"])
        named = {hashlib.sha256(Path(file).read_bytes()).hexdigest(): str(file) for file in files}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"Cannot choose by {choice_file} among {list(map(str, files))} ({type(error).__name__}: {error}). Name the "
            "choice.json that pggan_ensemble_evaluate.json wrote, and weights that exist."
        ) from None
    wanted = len(order) if count is None else int(count)
    if not 1 <= wanted <= len(order):
        raise CheckpointError(f"chosen_count is {count}, expected 1 to {len(order)}, the members of {choice_file}.")
    missing = [sha for sha in order[:wanted] if sha not in named]
    if missing:
        raise CheckpointError(
            f"{choice_file} chose a member with the SHA-256 {missing[0][:12]}..., which none of the "
            f"{len(named)} generator_files has. Name all members that were compared."
        )
    return [named[sha] for sha in order[:wanted]]
