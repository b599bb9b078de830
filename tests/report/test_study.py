from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scripts.metrics.statistics import holm
from scripts.report.study import Study, compare_over_fractions, read_study, score_arm
from scripts.scores.results_files import ResultsError

MakeStudy = Callable[..., Path]


def change(folder: Path, file: str = "study.json", **values: Any) -> Path:
    path = folder / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def arm(study: Study, name: str) -> Any:
    return next(arm for arm in study.arms if arm.name == name)


def test_fractions_come_by_size_with_the_arms_of_all(make_study: MakeStudy) -> None:
    study = read_study(make_study(added={1.0: 0.0, 0.025: 0.0, 0.1: 0.0}, full_arms=("original",)))
    assert [(f.title, f.size) for f in study.fractions] == [
        ("2.5%", "1 patient, 40 slices"),
        ("10%", "4 patients, 160 slices"),
        ("100%", "40 patients, 1,600 slices"),
    ]
    assert [a.name for a in study.arms] == ["original", "gan", "classical", "gan_classical"]
    assert (study.gan.name, study.alternative.name, study.baseline.name) == ("gan_classical", "classical", "original")
    assert study.gan_alone is not None
    assert study.gan_alone.name == "gan"


def test_differences_are_corrected_over_the_fractions_that_ran_both(make_study: MakeStudy) -> None:
    study = read_study(make_study(full_arms=("original", "classical"), noise=0.05))
    found = compare_over_fractions(study, study.gan, study.alternative)
    assert list(found) == ["2.5%", "10%", "25%"]
    p = [c.p for c in found.values() if c.p is not None]
    assert [c.p_adjusted for c in found.values()] == pytest.approx(holm(p).tolist())
    dice = [study.fractions[1].results.scores.by_patient(name) for name in ("gan_classical", "classical")]
    assert found["10%"].difference.mean == pytest.approx(np.mean([dice[0][p] - dice[1][p] for p in dice[0]]))
    assert compare_over_fractions(study, None, study.baseline) == {}


def test_precision_and_recall_by_hand(make_study: MakeStudy) -> None:
    folder = make_study()
    header = "patient,image,label,outcome,dice,predicted_pixels,reference_pixels\n"
    rows = ["p01,a,IPH,true_positive", "p01,b,IVH,false_positive", "p02,c,IPH,missed", "p02,d,IPH,ignored"]
    path = folder / "fraction_0.1" / "detections" / "gan" / "foldNone_seed0.csv"
    path.write_text(header + "".join(f"{row},0,0,0\n" for row in rows))
    study = read_study(folder)
    scores = score_arm(study.fractions[1], arm(study, "gan"))
    assert (scores.precision.mean, scores.precision.n) == (0.5, 1)
    assert (scores.recall.mean, scores.recall.n) == (0.5, 2)
    alone = score_arm(study.fractions[1], arm(study, "gan"), label="IVH")
    assert alone.precision.mean == 0
    assert math.isnan(alone.recall.mean)
    assert math.isnan(score_arm(study.fractions[3], arm(study, "gan")).precision.mean)  # without detections


def test_arm_without_any_detection_is_unknown(make_study: MakeStudy) -> None:
    folder = make_study()
    path = folder / "fraction_0.1" / "detections" / "gan" / "foldNone_seed0.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n")
    study = read_study(folder)
    assert score_arm(study.fractions[1], arm(study, "gan")).precision.n == 0


def test_published_figures(make_study: MakeStudy) -> None:
    study = read_study(make_study())
    original = arm(study, "original")
    assert study.published("dice", original, 0.1) == 0.478
    assert study.published("dice", original, 0.5) is None
    assert study.published("dice_by_label", original, 0.025, label="IPH") == 0.772
    assert study.published("dice", arm(study, "gan"), 0.1) is None
    assert study.published_labels == ["IPH", "EDH"]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"gan": ""}, r"lacks \['gan'\]"),
        ({"gan": "classical"}, r"gan is 'classical'; expected an arm of that kind, one of \['gan', 'gan_classical'\]"),
        ({"alternative": "mixup"}, "alternative is 'mixup'"),
        ({"fractions": 3}, "fractions is 3"),
        ({"fractions": [{"fraction": 2.5, "folder": "fraction_0.1"}]}, "expected a share up to 1"),
        ({"fractions": [{"fraction": 0.1, "folder": "fraction_0.1"}] * 2}, "repeat"),
        ({"fractions": [{"fraction": 0.1, "folder": "absent"}]}, r"experiment\.json is missing"),
        ({"published": {"dice": {"original": {"ten": 0.3}}}}, "published cannot be read"),
        ({"seconds": 12}, "seconds is 12"),
    ],
)
def test_bad_study_is_refused(make_study: MakeStudy, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        read_study(change(make_study(added={0.1: 0.0}), **values))


def test_other_patients_at_another_fraction_are_refused(make_study: MakeStudy) -> None:
    folder = make_study(added={0.1: 0.0, 0.25: 0.0})
    for path in (folder / "fraction_0.25" / "arms").glob("*/*.csv"):
        path.write_text(path.read_text().replace("p03", "q03"))
    with pytest.raises(ResultsError, match=r"10% and 25% differ .* 2 scored patients \['p03', 'q03'\]"):
        read_study(folder)


def test_missing_and_unknown_detections_are_refused(make_study: MakeStudy) -> None:
    folder = make_study(added={0.1: 0.0})
    path = folder / "fraction_0.1" / "detections" / "gan" / "foldNone_seed0.csv"
    path.write_text("patient,label,outcome\np01,IPH,found\n")
    with pytest.raises(ResultsError, match=r"line 2.*expected the columns"):
        read_study(folder)
    path.unlink()
    with pytest.raises(ResultsError, match=r"gan.foldNone_seed0\.csv is missing"):
        read_study(folder)


def test_selection_without_candidates_is_refused(make_study: MakeStudy) -> None:
    folder = make_study(added={0.1: 0.0})
    change(folder, "fraction_0.1/selection.json", candidates=None)
    with pytest.raises(ResultsError, match="candidates is None"):
        read_study(folder)
