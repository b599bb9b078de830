"""A paragraph of methods to paste, and how to read the page."""

from __future__ import annotations

from pathlib import Path

from scripts.report.blocks import Heading, Paragraph, Section
from scripts.scores.formats import count, format_share, join_words
from scripts.scores.results import Results

ORDER = 200
STATISTICS = (
    "The patient was the unit: each patient's scores were averaged over the trainings before arms were compared. "
    "Intervals are 95% bootstrap intervals over patients (expanded percentile), widened by the standard error that the "
    "spread over trainings gives; p values are two-sided from the paired sign-flip test over patients, corrected after "
    "Holm within each family of comparisons; adjusted intervals hold at 1 - .05/m for the m comparisons of a family. A "
    "difference was called raised or lowered only where the corrected p was under .05 and the 95% interval, trainings "
    "included, excluded zero. With fewer than six patients no test was made and no interval is given."
)
READING = (
    "\u201cHelps\u201d takes a gain over the baseline and over every cheap alternative; none of them is picked by its "
    "test score. \u201cCannot tell\u201d is not \u201cno effect\u201d: the interval says how large an effect would "
    "still fit, and \u201ccould be told from\u201d how large one had to be to be found in four of five such studies. "
    "Intervals and p cover the choice of patients and, as far as trainings were repeated, the chance in them. Folds "
    "share training patients, so their scores are not fully independent. Rows in which a label is in neither the "
    "reference nor some arm's prediction are left out in every arm."
)


def build(results: Results, folder: Path) -> Section | None:
    data = results.dataset
    folds = "the data set's own split" if results.folds == [None] else count(len(results.folds), "fold")
    shares = join_words([format_share(share) for share in results.fractions])
    titles = dict.fromkeys(arm.title for arm in results.arms)
    text = (
        f"{data.name} ({count(data.patients, 'patient')}, {count(data.slices, 'slice')}) was split by patient; {folds} "
        f"and {count(len(results.seeds), 'training')} of every arm were run at {results.image_size} px on {shares} of "
        f"the training patients. Arms: {'; '.join(titles)}. "
        + " ".join(task.method for task in results.tasks if task.method)
        + f" {STATISTICS}"
    )
    return Section("methods", "Methods", [Paragraph(text), Heading("How to read this"), Paragraph(READING, "small")])
