from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from scripts.report.comparisons import Comparison, Estimate
from scripts.report.grading import read_grading
from scripts.report.grading_page import _generated, _published, _score_table, describe_findings
from scripts.report.page import write_report
from scripts.report.results import Arm
from scripts.scores.results_files import ResultsError
from tests.report.html_checker import Checker

Make = Callable[..., Path]
REAL, OVER = Arm("real", "Real", "baseline", {}), Arm("over", "Oversampling", "alternative", {})
GANS = [Arm(f"gan{n}", f"GAN {n}", "gan", {}) for n in range(5)]
PUBLISHED = {
    "real": {"title": "Baseline", "accuracy": {"HGG": 0.95, "LGG": 0.05, "all": 0.61}},
    "features_1200": {"accuracy": {"HGG": 0.569, "LGG": 0.384, "all": 0.524}},
}
COUNTS = {"kept": {"HGG": 600, "LGG": 600}, "acceptance": {"HGG": 0.9, "LGG": 0.75}}
EXTRAS: dict[str, Any] = {
    "published": PUBLISHED,
    "generated": {"fold0": {"asked": 1200, "generated": {"HGG": 667, "LGG": 800}, **COUNTS}},
    "synthetic_accuracy": {"fold0": 0.823},
    "nearest": {"synthetic": {"images": 4000, "median": 0.1234, "least": 0.05, "nearest": []}},
}


def result(arm: Arm, mean: float, p: float | None = 0.01, other: Arm = REAL) -> Comparison:
    return Comparison(arm, other, None, Estimate(mean, mean - 0.02, mean + 0.02, 5 if p is None else 12), p, p)


def test_few_arms_are_told_one_by_one() -> None:
    found = [result(GANS[0], 0.1), result(GANS[1], 0.01, 0.4), result(OVER, 0.3)]
    against = [result(GANS[0], 0.1, other=OVER), result(GANS[1], 0.01, 0.4, OVER)]
    assert describe_findings(found, against) == [
        "Balanced accuracy per patient against “Real”: raised by “GAN 0” (+0.100 [0.080, 0.120], p = .01 after Holm); "
        "cannot tell for “GAN 1” (+0.010 [−0.010, 0.030], p = .40 after Holm).",  # noqa: RUF001
        "Against cheap alternatives: of 2 comparisons, 1 raised and none lowered.",
    ]


def test_of_many_arms_only_changes_are_told_one_by_one() -> None:
    unclear = [result(arm, mean, 0.4) for arm, mean in zip(GANS[1:], (0.01, -0.03, 0, 0.02), strict=True)]
    (sentence,) = describe_findings([result(GANS[0], -0.1), *unclear], [])
    assert "lowered by “GAN 0” (−0.100" in sentence  # noqa: RUF001
    assert sentence.endswith("; cannot tell for the other 4 (differences from −0.030 to +0.020).")  # noqa: RUF001
    (sentence,) = describe_findings(unclear, [])
    assert "“Real”: cannot tell for all 4 (" in sentence
    (sentence,) = describe_findings([result(arm, 0.1, None) for arm in GANS], [])
    assert "too few for all 5" in sentence
    assert describe_findings([result(OVER, 0.1)], []) == []


def test_table_says_mean_and_spread_over_seeds(make_grading: Make) -> None:
    results = read_grading(make_grading(skills={"real": 0.6}, seeds=3))
    table = _score_table(results)
    assert (table["trainings"], table["columns"]) == (3, ["Balanced accuracy", "AUC", "MCC"])
    right = [(scores.predictions == scores.truths, scores.truths) for scores in results.slices["real"]]
    values = [np.mean([hits[truths == n].mean() for n in (0, 1)]) for hits, truths in right]
    cell = table["groups"][1]["rows"][0]["cells"][0]
    assert cell["value"].startswith(f"{np.mean(values):.2f} [")
    assert cell["spread"] == f"± {np.std(values, ddof=1):.2f}"


def test_published_balanced_accuracy_follows_from_the_classes() -> None:
    table = _published(PUBLISHED, [REAL])
    assert table is not None
    assert table["classes"] == ["HGG", "LGG"]
    assert [row["title"] for row in table["rows"]] == ["Baseline", "Features 1200"]
    assert [row["cells"] for row in table["rows"]] == [
        ["0.950", "0.050", "0.610", "0.500"],
        ["0.569", "0.384", "0.524", "0.477"],
    ]
    assert table["sentence"].endswith("is 0.500 for “Baseline” and 0.477 for “Features 1200”: no gain.")
    better = PUBLISHED | {"features_1200": {"accuracy": {"HGG": 0.7, "LGG": 0.4}}}
    table = _published(better, [REAL])
    assert table is not None
    assert table["sentence"].endswith(": a gain.")
    assert _published({}, [REAL]) is None


def test_generated_counts_by_class_and_in_all() -> None:
    (group,) = _generated(EXTRAS["generated"], ["HGG", "LGG"])
    assert [(row["title"], *row["cells"]) for row in group["rows"]] == [
        ("HGG", "–", "667", "600", "0.900"),  # noqa: RUF001
        ("LGG", "–", "800", "600", "0.750"),  # noqa: RUF001
        ("All", "1,200", "1,467", "1,200", "–"),  # noqa: RUF001
    ]


def test_page_with_everything(make_grading: Make) -> None:
    skills = {"real": 0.1, "class_weights": 0.1, "features_600": 0.2, "features_1200": 3.0}
    folder = make_grading(skills=skills, folds=2, patients=40, captions={"tsne": "By <t-SNE>."}, **EXTRAS)
    (folder / "pictures").mkdir()
    Image.new("L", (4, 4)).save(folder / "pictures" / "feature_maps.png")
    Image.new("L", (4, 4)).save(folder / "pictures" / "tsne.png")
    (folder / "curves").mkdir()
    (folder / "curves" / "features_gan.csv").write_text("epoch,loss\n1,2\n2,1\n")
    raw = write_report(folder).read_text(encoding="utf-8")
    checker, text = Checker(raw), unescape(raw)
    assert not checker.complaints + checker.open
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', raw)
    assert not {"<features>", "<class weights>", "<t-SNE>"} & set(re.findall(r"<[^>]*>", raw))
    assert "Yes: Real + 1,200 generated features beat Real features only and every cheap alternative." in text
    assert "tested on 40 patients (24 HGG, 16 LGG), 200 slices" in text
    assert "bottleneck features, 1024 × 15 × 15" in text  # noqa: RUF001
    assert "p corrected over this table's 3 tests" in text
    assert "corrected after Holm within two families: 3 tests against the baseline and 2 against" in text
    assert "for the class asked of it: Fold0 0.823." in text
    assert "0.500 for “Baseline” and 0.477 for" in text
    assert "test set of 11 patients of REMBRANDT" in text
    assert text.index("By <t-SNE>.</figcaption>") < text.index("Feature maps</figcaption>")
    headings = ["Grading", "How many synthetic features?", "Accuracy per class", "The synthetic features"]
    headings += ["Are they new?", "Pictures", "Training curves", "features_gan", "What was run", "How to read this"]
    assert checker.headings == headings


def test_page_with_the_baseline_alone_and_too_few_patients(make_grading: Make) -> None:
    page = unescape(write_report(make_grading(skills={"real": 0.6}, seeds=1, patients=5)).read_text(encoding="utf-8"))
    assert "No arm with GAN features was run, so there is nothing to judge." in page
    assert "Differences in balanced accuracy" not in page
    assert "REMBRANDT" not in page
    assert Checker(page).headings == ["Grading", "Accuracy per class", "What was run", "How to read this"]
    page = unescape(write_report(make_grading(seeds=1, patients=5)).read_text(encoding="utf-8"))
    assert "Too few patients to tell: 5" in page
    assert "not tested" in page
    assert "within two families" not in page


def test_sweeps_have_a_figure_each(make_grading: Make) -> None:
    skills = dict.fromkeys(("real", "features_600", "features_1200", "images_1200"), 0.3)
    sweeps = {"Generated features": ["features_600", "features_1200"], "Generated images": ["images_1200"]}
    page = write_report(make_grading(skills=skills, seeds=1, sweeps=sweeps)).read_text(encoding="utf-8")
    assert {"Generated features", "Generated images"} <= set(Checker(page).headings)
    found = re.findall(r"Accuracies with ([\d, ]+) synthetic features", page)
    assert found == ["0, 600, 1,200"] * 2 + ["0, 1,200"] * 2  # for desktop and phone


def test_malformed_folder_is_refused(make_grading: Make) -> None:
    folder = make_grading(skills={"real": 0.6}, seeds=1, captions={"lost": "No such picture."})
    with pytest.raises(ResultsError, match="captions for"):
        write_report(folder)
