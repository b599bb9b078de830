"""What was run: data, command, machine and time."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Block, Code, Definitions, Group, Row, Section, Table, columns, text_cells
from scripts.scores.formats import count, format_seconds
from scripts.scores.results import Results

ORDER = 190


def build(results: Results, folder: Path) -> Section | None:
    run, data = results.run, results.dataset
    folds = ", ".join("the data set's own split" if fold is None else str(fold) for fold in results.folds)
    items = [
        ("Data", f"{data.name} ({data.folder}), {count(data.patients, 'patient')}, {count(data.slices, 'slice')}"),
        ("Folds", folds),
        ("Seeds", ", ".join(map(str, results.seeds))),
        ("Image size", f"{results.image_size} px"),
        ("Commit", run.commit),
        ("Hardware", run.hardware),
        ("Versions", ", ".join(f"{name} {version}" for name, version in run.versions.items())),
        ("Training time", f"{format_seconds(sum(run.seconds.values()))}, the sum of all trainings"),
    ]
    blocks: list[Block] = [Code(run.command), Definitions(items)]
    if run.seconds:
        spent = sorted(run.seconds.items(), key=lambda job: -job[1])
        rows = [Row(name, text_cells(format_seconds(seconds))) for name, seconds in spent]
        caption = "Training time over fractions, folds and seeds, longest first."
        blocks.append(Table("Job", columns("Time"), [Group(rows)], caption, "Time by job"))
    return Section("run", "What was run", blocks)
