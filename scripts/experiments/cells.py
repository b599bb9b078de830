"""What a study runs: the cells of folds, seeds and fractions, and the jobs of every arm in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.data.splits import select_fraction, select_items
from scripts.experiments.jobs import Job

if TYPE_CHECKING:
    from scripts.experiments.study import Study


@dataclass(frozen=True)
class Cell:
    """One fold, seed and fraction of the patients; `seed` is None for what all seeds share."""

    study: Study
    fold: int | None
    fraction: float
    seed: int | None = None

    @property
    def name(self) -> str:
        return f"fold{self.fold}" + ("" if self.seed is None else f"_seed{self.seed}")

    @property
    def part(self) -> str:
        """Folder of the fraction, empty for the whole."""
        return "" if self.fraction == 1 else f"fraction_{self.fraction:g}"

    @property
    def folder(self) -> Path:
        """Of its jobs."""
        return self.study.jobs / self.part / self.name

    @property
    def shared(self) -> Cell:
        """The cell of what all seeds share."""
        return replace(self, seed=None)

    @property
    def generators(self) -> Cell:
        """The cell that generators are trained in."""
        return self if self.study.generators_per_seed else self.shared

    @property
    def dataset_dir(self) -> str:
        """The data set, or the view of it that trains on the fraction."""
        return self.study.data if self.fraction == 1 else str(self.shared.folder / "data")

    @property
    def data(self) -> dict[str, Any]:
        """Options that name the data: the view has the fold's split as its own."""
        return {"dataset_dir": self.dataset_dir, "fold": self.fold if self.fraction == 1 else None}

    @property
    def seen(self) -> dict[str, Any]:
        """Options that say what networks see of the data."""
        return {
            **self.data,
            "cache_dir": self.study.cache_dir,
            "image_size_pixels": self.study.image_size_pixels,
        }

    @property
    def seeded(self) -> dict[str, Any]:
        return {} if self.seed is None else {"seed": self.seed}

    @property
    def reads(self) -> tuple[Path, ...]:
        """What must be there before its jobs."""
        return () if self.fraction == 1 else (Path(self.dataset_dir) / "dataset.json",)

    def training_patients(self) -> set[str]:
        """The patients who are trained on."""
        items = select_items(self.study.dataset, "training", self.fold, boxed=True)
        return {item["patient"] for item in select_fraction(items, self.fraction, seed=self.study.seeds[0])}


@dataclass
class Plan:
    """Jobs by what they write: what several arms need is there once."""

    study: Study
    jobs: dict[Path, Job] = field(default_factory=dict)

    def add(self, job: Job) -> Job:
        return self.jobs.setdefault(job.output, job)

    def bundle(
        self,
        cell: Cell,
        config: str,
        folder: Path,
        output: str,
        options: Mapping[str, Any],
        *,
        reads: tuple[Path, ...] = (),
        **more: Any,
    ) -> Job:
        """Adds a bundle run that writes `output` into its folder, its output_dir, whose only writer it is."""
        options = {**options, "output_dir": folder}
        return self.add(Job(config, folder, (folder / output,), (*cell.reads, *reads), options, **more))

    def train(
        self,
        cell: Cell,
        config: str,
        folder: Path,
        option: str,
        options: Mapping[str, Any],
        *,
        reads: tuple[Path, ...] = (),
        writes: tuple[Path, ...] = (),
        priority: int = 0,
    ) -> Job:
        """Adds a training whose option names its weights, `<folder>/model.pt`; its other files lie in `run`."""
        weights = folder / f"{option.removesuffix('_file')}.pt"
        options = {**options, "output_dir": folder / "run", option: weights}
        reads = (*cell.reads, *reads)
        return self.add(Job(config, folder, (weights, *writes), reads, options, self.study.threads, priority))

    def masks(self, cell: Cell, file: Path, options: Mapping[str, Any], *, reads: tuple[Path, ...] = ()) -> Job:
        """Adds a plan of masks and classes to synthesise."""
        seen = {key: value for key, value in {**cell.seen, **cell.seeded}.items() if key != "dataset_dir"}
        options = {**options, **seen, "output": file}
        place, reads = file.with_suffix(""), (*cell.reads, *reads)
        return self.add(Job("plan", place, (file,), reads, options, arguments=(cell.dataset_dir,)))

    def subset(self, cell: Cell) -> None:
        """Adds the view of the data set that a fraction trains on."""
        if cell.reads:
            options = {
                "output": cell.dataset_dir,
                "patient_fraction": cell.fraction,
                "fold": cell.fold,
                "seed": self.study.seeds[0],
                "test_left_out": self.study.test_left_out,
            }
            folder = Path(cell.dataset_dir)
            self.add(Job("subset", folder, cell.reads, options=options, arguments=(self.study.data,)))


def cells(study: Study) -> Iterator[Cell]:
    """Every fraction, fold and seed."""
    for fraction in study.fractions:
        for fold in study.folds:
            for seed in study.seeds:
                yield Cell(study, fold, fraction, seed)
