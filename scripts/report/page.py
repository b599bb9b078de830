"""Writes the page of a study: one HTML file that needs no network and no script, and its numbers as CSV."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

import scripts.report.sections
from scripts.data.atomic import write_whole
from scripts.report.arms import spread
from scripts.report.html_files import template
from scripts.scores.csv_tables import write_table
from scripts.scores.formats import count
from scripts.scores.results import Results, read_results

PLACE = ("task", "fraction", "metric", "label", "group", "arm")


def write_report(results_dir: str | Path, output: str | Path | None = None) -> Path:
    """Write the page of a study, whole or not at all, and `scores.csv`, `patients.csv` and `differences.csv` beside it.

    Args:
        results_dir: folder with a study's `results.json`.
        output: the HTML file; `report.html` in the results folder by default.

    Returns:
        The file's path.

    Raises:
        ResultsError: the folder is incomplete or inconsistent.
    """
    folder = Path(results_dir)
    target = Path(output) if output is not None else folder / "report.html"
    results = read_results(folder)
    write_whole(target, render(results, folder))
    write_numbers(results, target.parent)
    return target


def render(results: Results, folder: Path) -> str:
    """The page's HTML; pictures and curves come from the folder."""
    sections = [section for module in find_sections() if (section := module.build(results, folder)) is not None]
    patients = max((task.tested.get("patients", 0) for task in results.tasks), default=0)
    trainings = f"{count(len(results.folds), 'fold')} \u00d7 {count(len(results.seeds), 'seed')}"
    facts = [results.dataset.name, f"{count(patients, 'patient')} tested", trainings, f"{results.image_size} px"]
    facts += [count(len(results.fractions), "fraction") + " of the patients"] * (len(results.fractions) > 1)
    return template("results.html.j2").render(title=results.title, facts=" \u00b7 ".join(facts), sections=sections)


def find_sections() -> list[ModuleType]:
    """The files of `sections/` in their order."""
    package = scripts.report.sections
    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda module: module.ORDER)


def write_numbers(results: Results, folder: Path) -> None:
    """All scores and differences as CSV."""
    scores = [((s.task, s.fraction, s.metric, s.label, s.group, s.arm), s) for s in results.scores]
    columns = ("value", "low", "high", "patients", "sd_over_seeds", *(f"seed_{seed}" for seed in results.seeds))
    rows = [
        [
            *place,
            *(score.estimate.value, score.estimate.low, score.estimate.high, score.estimate.patients),
            spread(score.seeds.values()),
            *(score.seeds.get(seed, float("nan")) for seed in results.seeds),
        ]
        for place, score in scores
    ]
    write_table(folder / "scores.csv", (*PLACE, *columns), rows)
    by_patient = [[*place, name, value] for place, score in scores for name, value in score.patients.items()]
    write_table(folder / "patients.csv", (*PLACE, "patient", "value"), by_patient)
    columns = ("other", "family", "difference", "low", "high", "adjusted_low", "adjusted_high", "p", "p_adjusted")
    columns += ("patients", "noise", "smallest_p", "detectable", "finding")
    rows = [
        [
            *(d.task, d.fraction, d.metric, d.label, d.group, d.arm, d.other, d.family),
            *(d.estimate.value, d.estimate.low, d.estimate.high, d.adjusted_low, d.adjusted_high, d.p, d.p_adjusted),
            *(d.estimate.patients, d.noise, d.smallest_p, d.detectable, d.finding),
        ]
        for d in results.differences
    ]
    write_table(folder / "differences.csv", (*PLACE, *columns), rows)
