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
from scripts.report.detectors import Compared, read_detectors
from scripts.report.detectors_page import _score_table, _size_table, describe_arm, headline
from scripts.report.page import write_report
from scripts.report.results import Arm
from scripts.scores.results_files import ResultsError
from tests.report.html_checker import Checker

Make = Callable[..., Path]
REAL, GAN, MORE = Arm("real", "Real", "baseline", {}), Arm("gan", "GAN", "gan", {}), Arm("more", "More", "gan", {})
SHARE = {"value": 0.9, "low": 0.85, "high": None, "n": 7}
PRESENCE = {
    "criterion": "contrast",
    "threshold": 0.2,
    "quantile": 0.05,
    "every_box": False,
    "images": 4200,
    "kept": 4000,
}
EXTRAS: dict[str, Any] = {
    "published": {"iou50": {"real": {"mAP": 0.51}, "never_run": {"mAP": 0.9}}, "iou25": {"gan": {"sensitivity": 0.91}}},
    "presence": {**PRESENCE, "parts": {"training_mirrored": {"boxes": 5200, "present": SHARE}}},
    "placement": {
        "parts": {"held_out": {"boxes": 31, "with_lesion": SHARE, "area_inside": SHARE}},
        "minimum_lesion_share": 0.1,
    },
    "nearest": {"synthetic": {"images": 4000, "median": 0.1234, "least": 0.05, "nearest": []}},
}


def result(arm: Arm, mean: float, p: float | None = 0.01) -> Comparison:
    return Comparison(arm, REAL, None, Estimate(mean, mean - 0.02, mean + 0.02, 5 if p is None else 12), p, p)


def read_page(folder: Path) -> str:
    return unescape(write_report(folder).read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("compared", "finding", "sentence"),
    [
        ([], "cannot tell", "No arm with GAN images was run, so there is nothing to judge."),
        ([result(GAN, 0.1), result(MORE, 0.1)], "raised", "Yes: against “Real”, mAP rose with “GAN” and “More”."),
        (
            [result(GAN, 0.1), result(MORE, 0.01)],
            "raised",
            "Yes: against “Real”, mAP rose with “GAN”; with “More” it cannot be told.",
        ),
        ([result(GAN, -0.1)], "lowered", "No: against “Real”, mAP fell with “GAN”."),
        (
            [result(GAN, 0.1), result(MORE, -0.1)],
            "cannot tell",
            "Mixed: against “Real”, mAP rose with “GAN” and fell with “More”.",
        ),
        ([result(GAN, 0.1, 0.2)], "cannot tell", "Cannot tell: no reliable change in mAP against “Real” was measured."),
        ([result(GAN, 0.1, None)], "too few", "Too few patients to tell: 5, and the test needs 6 or more."),
    ],
)
def test_headline_says_no_more_than_follows(compared: list[Comparison], finding: str, sentence: str) -> None:
    assert headline(compared) == (finding, sentence)


def test_sentence_on_an_arm_tells_both_measures() -> None:
    found = [Compared("mAP", result(GAN, 0.1)), Compared("sensitivity", result(GAN, 0.01, 0.4), 4.111)]
    assert describe_arm(GAN, [*found, Compared("mAP", result(MORE, 0.3))]) == (
        "GAN: mAP +0.100 [0.080, 0.120], raised (p = .01 after Holm); sensitivity at equally many false positives "
        "(4.11 per slice) +0.010 [−0.010, 0.030], cannot tell (p = .40)."  # noqa: RUF001
    )
    few = [Compared("mAP", result(GAN, 0.1, None))]
    assert describe_arm(GAN, few) == "GAN: mAP +0.100 [0.080, 0.120], 5 patients are too few to tell."


def test_table_says_mean_and_spread_over_seeds_beside_the_papers_figures(make_detectors: Make) -> None:
    results = read_detectors(make_detectors(skills={"real": 0.6}, seeds=3, published=EXTRAS["published"]))
    table = _score_table(results)
    assert (table["trainings"], table["published"], table["columns"][0]) == (3, True, "mAP")
    recalls = [np.mean(m.found_at > 0.001) for m in results.matches["real", 0.5]]
    cells = table["groups"][0]["rows"][0]["cells"]
    assert cells[1]["value"].startswith(f"{np.mean(recalls):.3f} [")
    assert cells[1]["spread"] == f"± {np.std(recalls, ddof=1):.3f}"
    assert [cell["published"] for cell in cells] == ["0.51", "", ""]


def test_sizes_are_thirds_of_all_boxes(make_detectors: Make) -> None:
    results = read_detectors(make_detectors(skills={"real": 0.6}, seeds=1))
    table = _size_table(results)
    matches = results.truths
    first = np.quantile(matches.areas, 1 / 3)
    small = matches.areas < first
    assert table["columns"][0] == f"Small, under {first:.0f} px² (n\u00a0=\u00a0{small.sum()})"
    cell = table["groups"][0]["rows"][0]["cells"][0]
    assert cell.startswith(f"{np.mean(matches.found_at[small] > 0.001):.3f}")


def test_page_with_everything(make_detectors: Make) -> None:
    folder = make_detectors(skills={"real": 0.3, "gan": 0.95}, folds=2, captions={"tsne": "By <t-SNE>."}, **EXTRAS)
    (folder / "pictures").mkdir()
    Image.new("L", (4, 4)).save(folder / "pictures" / "boxes_drawn.png")
    Image.new("L", (4, 4)).save(folder / "pictures" / "tsne.png")
    (folder / "curves").mkdir()
    (folder / "curves" / "generator.csv").write_text("epoch,loss\n1,2\n2,1\n")
    raw = write_report(folder).read_text(encoding="utf-8")
    checker, text = Checker(raw), unescape(raw)
    assert not checker.complaints + checker.open
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', raw)
    assert "<images>" not in raw
    assert "<synthetic>" not in raw
    assert "Yes: against “Real only”, mAP rose with “Real + <synthetic>”." in text
    assert [text.count(what) for what in ("paper 0.51", "paper 0.91", "paper 0.9<")] == [1, 1, 0]
    assert "contrast with its surroundings is 0.20 or more, as in all but 5% of the real boxes" in text
    assert "Synthetic images kept: 4,000 of 4,200" in text
    assert "p corrected over the 2 tests" in text
    assert text.index("By <t-SNE>.</figcaption>") < text.index("Boxes drawn</figcaption>")
    headings = ["Is there a lesion?", "Is it where it was asked for?", "Is it new?", "Pictures", "Training curves"]
    assert [each for each in checker.headings if each in headings] == headings
    assert {"IoU ≥ 0.5", "IoU ≥ 0.25", "generator", "What was run"} <= set(checker.headings)
    assert all(title in text for title in ("Training mirrored", "Held out", "0.123"))


def test_page_with_the_baseline_alone_and_too_few_patients(make_detectors: Make) -> None:
    page = read_page(make_detectors(skills={"real": 0.6}, seeds=1, patients=3))
    assert "nothing to judge" in page
    assert "Differences in mAP" not in page
    assert not {"The synthetic images", "Pictures", "Training curves"} & set(Checker(page).headings)
    page = read_page(make_detectors(seeds=1, patients=3))
    assert "Too few patients to tell: 3" in page
    assert "not tested" in page


def test_malformed_folder_is_refused(make_detectors: Make) -> None:
    folder = make_detectors(skills={"real": 0.6}, seeds=1, captions={"lost": "No such picture."})
    with pytest.raises(ResultsError, match="captions for"):
        write_report(folder)
