"""Losses of the trainings."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from scripts.report.blocks import Figure, Gallery, Section
from scripts.report.charts import draw_losses
from scripts.scores.json_files import ResultsError
from scripts.scores.results import Curve, Results

ORDER = 170
WIDTH = 390  # of one of several curves, in CSS pixels


def build(results: Results, folder: Path) -> Section | None:
    figures = [_draw(curve, folder, f"l{number}") for number, curve in enumerate(results.curves)]
    folded = "Losses of the first fold and seed"
    return Section("curves", "Training curves", [Gallery(figures, folded)]) if figures else None


def _draw(curve: Curve, folder: Path, name: str) -> Figure:
    """Its first column counts epochs or iterations, the others are losses; empty cells are NaN.

    Raises:
        ResultsError: the file is missing or holds no numbers.
    """
    file = folder / curve.file
    try:
        with open(file, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        table = {column: np.array([float(row[column] or "nan") for row in rows]) for column in rows[0]}
    except (OSError, ValueError, IndexError) as error:
        raise ResultsError(f"{file} is no table of losses ({error}). Run the study again, which copies it.") from error
    step, *_ = table
    steps = table.pop(step)
    drawing, legend = draw_losses(curve.title, step, steps, table, width=WIDTH, name=name)
    return Figure(drawing, curve.title, legend=legend)
