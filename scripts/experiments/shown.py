"""What a system's jobs leave behind for the page: evidence, pictures, loss curves, and sets to draw from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Shown:
    """Filled by a system's `judge`, gathered by the collector, which passes over what is not there.

    Attributes:
        evidence: (kind, title, file), kinds as the fields of `Evidence`.
        pictures: (file, caption, section).
        curves: (title, file).
        sets: (title, folder) of synthetic sets that pictures are drawn from.
        needs: files of further jobs that must have run.
    """

    evidence: list[tuple[str, str, Path]] = field(default_factory=list)
    pictures: list[tuple[Path, str, str]] = field(default_factory=list)
    curves: list[tuple[str, Path]] = field(default_factory=list)
    sets: list[tuple[str, Path]] = field(default_factory=list)
    needs: list[Path] = field(default_factory=list)

    def add_selection(self, title: str, folder: Path) -> None:
        """Adds what a selection of images, see `CandidateScores`, leaves in its folder."""
        self.evidence.append(("selection", title, folder / "selection.json"))
        caption = f"{title}: images that were kept, and those that each filter rejected."
        self.pictures.append((folder / "selection.png", caption, "selection"))

    def add_audit(self, title: str, folder: Path) -> None:
        """What the memorisation audit left in an evaluation's folder."""
        self.evidence.append(("memorisation", title, folder / "memorisation.json"))
        caption = (
            f"{title}: the synthetic images that lie nearest to training images in comparison with held-out ones, with "
            "the training and the held-out image nearest to each; the numbers are the ratios of the distances."
        )
        self.pictures.append((folder / "memorisation.png", caption, "memorisation"))
