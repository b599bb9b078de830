"""What each section must show of the study in `conftest.py`."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from scripts.report.page import render
from scripts.scores.results import Results

SHOWN = {
    "verdict": ["It helps.", "Add seeds.", "run --seeds 5", "Detection", "Cannot tell."],
    "scores": ["0.740 \u00b1 0.014", "[0.690, 0.790]", "HD95, mm"],
    "leaderboard": ["0.740 [0.690, 0.790]", "+0.040 [0.010, 0.070]", "2 h 30 min", "Real, classical (best cheap"],
    "differences": [
        "+0.040 [0.010, 0.070]",
        "adjusted [0.005, 0.075]",
        "raised",
        "above 0 is better",
        "by 0.004 (standard",
    ],
    "labels": ["core", "oedema", "Dice by label"],
    "classes": ["Of 1 comparisons by class 1 could be tested: 1 raised, 0 lowered.", "50 + 30"],
    "amounts": ["GAN, per slice", "Real + GAN, 1:2", "grey, the baseline"],
    "froc": ["IoU \u2265 0.5", "0.125", "False positives per slice"],
    "quality": [
        "8.25 [7.50, 9.50]",
        "3.25 [3.00, 3.50]",
        "0.800 [0.700, 0.900]",
        "0.873 [0.800, 0.900]",
        "0.91",
        "1.07",
        "UNet.encode",
        "KID \u00d7 1000",
    ],
    "memorisation": ["GAN: failed, 91% are copies.", "0.23", "0.57", "91.2%", "8.7%", "8.7% .001", "0.61 [0.55, 0.66]"],
    "presence": [
        "0.80 [0.70, 0.90]",
        "all but 5% of the real boxes",
        "43 of 50",
        "from 10% of the box on",
        "an IoU with it of 0.25 or more",
        "with a box that shows none",
        "glioma20 14 (70%) 6",
    ],
    "selection": [
        "epoch 50 (chosen)40 0.61 [0.55, 0.66] 0.80 [0.70, 0.90]",
        "0.43",
        "LEAKS",
        "ClassImagesKeptSharpness in real medians under 0.5Novelty under 0.05",
        "All40 31 (78%) 9 4",
        "B12 3 (25%) 7 2",
        "A note.",
    ],
    "annotations": ["1.25", "80.00 [70.00, 90.00]", "Real, training"],
    "choice": ["40.0%", "60.0%", "GAN, collapsed", "differ: 7."],
    "counts": ["250", "120", "20", "48.0%"],
    "cases": ["Shows cases.", "core <i>"],
    "pictures": ["Shows pictures."],
    "training": ["50", "30", "1 of 2 trainings", "50.0", "0.760", "0.730 (20.5)", "of the validation patients"],
    "curves": ["GAN", "epoch"],
    "published": ["0.812", "0.700", "Author 2020"],
    "run": ["abc1234", "8 cores", "torch 2.9", "2 h 1 min", "run study.json"],
    "methods": ["9 patients", "Segmenters were U-Nets.", "2 folds", "50% and 100%"],
    "data": ["scores.csv", "differences.csv"],
}


def read_section(page: str, name: str) -> str:
    found = re.search(rf'<section id="{name}">(.*?)</section>', page, re.DOTALL)
    assert found
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]*>", "", found[1])))


@pytest.mark.parametrize("name", SHOWN)
def test_a_section_shows(results: Results, folder: Path, name: str) -> None:
    shown = read_section(render(results, folder), name)
    for text in SHOWN[name]:
        assert text in shown, shown
