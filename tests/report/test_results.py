from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from scripts.report.results import read_curve, read_results
from scripts.scores.results_files import ResultsError

HEADER = "patient,class,label,dice,iou,hd95_mm,volume_error_ml\n"


def small(folder: Path, rows: dict[str, str], *, folds: int = 1) -> Path:
    """Two arms, `real` and `gan`, with the score rows given; `{arm}/{fold}` names a file."""
    arms = [{"name": "real", "kind": "baseline"}, {"name": "gan", "kind": "gan"}]
    experiment = {"title": "t", "dataset": {"name": "d"}, "arms": arms, "baseline": "real", "seeds": [0]}
    (folder / "experiment.json").write_text(json.dumps({**experiment, "folds": list(range(folds))}))
    for place, text in rows.items():
        arm, fold = place.split("/")
        path = folder / "arms" / arm / f"fold{fold}_seed0.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(HEADER + text)
    return folder


def test_patient_means_over_labels_and_folds_by_hand(tmp_path: Path) -> None:
    rows = {"real/0": "p,A,core,0.2,0,1,-3\np,A,edema,0.4,0,3,1\n", "real/1": "p,A,core,0.9,0,inf,2\n"}
    results = read_results(small(tmp_path, rows | {k.replace("real", "gan"): v for k, v in rows.items()}, folds=2))
    assert results.scores.by_patient("real") == pytest.approx({"p": 0.5})
    assert results.scores.by_patient("real", "volume_error_ml") == {"p": 2.0}  # signs do not cancel
    assert results.scores.by_patient("real", "hd95_mm") == {"p": 2.0}  # an infinite distance is undefined


def test_row_undefined_in_one_arm_is_left_out_of_all(tmp_path: Path) -> None:
    rows = {
        "real/0": "p,A,core,nan,nan,nan,0\np,A,edema,0.5,0,0,0\n",
        "gan/0": "p,A,core,0.0,0,0,2\np,A,edema,0.7,0,0,0\n",
    }
    scores = read_results(small(tmp_path, rows)).scores
    assert scores.left_out == 1
    assert scores.by_patient("gan") == {"p": 0.7}


@pytest.mark.parametrize(
    ("real", "gan", "message"),
    [
        ("p,A,x,1.2,0,0,0\n", "p,A,x,1,0,0,0\n", "line 2: dice is 1.2"),
        ("p,A,x,high,0,0,0\n", "p,A,x,1,0,0,0\n", "dice is 'high'"),
        ("p,A,x,1,0,0,0\np,A,x,1,0,0,0\n", "p,A,x,1,0,0,0\n", "line 3.*occurs twice"),
        ("p,A,x,1,0,0,0\n", "q,A,x,1,0,0,0\n", "'real' and 'gan' differ in 2 rows"),
        ("p,A,x,1,0,0,0\n", "p,B,x,1,0,0,0\n", "class 'B', elsewhere 'A'"),
        ("", "p,A,x,1,0,0,0\n", "holds no rows"),
        ("p,A\n", "p,A,x,1,0,0,0\n", "line 2: not as many cells"),
        ("p,A,x,nan,0,0,0\n", "p,A,x,nan,0,0,0\n", "no row has a Dice in every arm"),
    ],
)
def test_bad_scores_are_refused(tmp_path: Path, real: str, gan: str, message: str) -> None:
    with pytest.raises(ResultsError, match=message):
        read_results(small(tmp_path, {"real/0": real, "gan/0": gan}))


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match=r"experiment\.json is missing"):
        read_results(tmp_path)
    with pytest.raises(ResultsError, match=re.escape(str(Path("gan", "fold0_seed0.csv")))):
        read_results(small(tmp_path, {"real/0": "p,A,x,1,0,0,0\n"}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"baseline": "gan"}, "baseline is 'gan'"),
        ({"arms": [{"name": "real", "kind": "control"}]}, "expected kind to be one of"),
        ({"arms": [{"name": "real", "kind": "baseline"}] * 2}, "repeat"),
        ({"dataset": {}}, "dataset.name"),
    ],
)
def test_bad_experiment_is_refused(tmp_path: Path, change: dict, message: str) -> None:
    small(tmp_path, {})
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ResultsError, match=message):
        read_results(tmp_path)


def test_malformed_json_says_where(tmp_path: Path) -> None:
    (tmp_path / "experiment.json").write_text('{"title": }')
    with pytest.raises(ResultsError, match="line 1 column 11"):
        read_results(tmp_path)


def test_whole_folder(make_results: Callable[..., Path]) -> None:
    results = read_results(make_results())
    assert [path.stem for path in results.pictures] == ["CS", "DU"]
    assert len(results.curves) == 3
    assert results.baseline.title == "Real only"
    assert len(results.scores.by_patient("gan")) == 28


def test_a_trainings_score_is_its_mean_over_patients_by_hand(tmp_path: Path) -> None:
    rows = {0: "p,A,x,0.2,0,0,0\np,A,y,0.4,0,0,0\nq,A,y,0.9,0,0,0\n", 1: "p,A,x,0.6,0,0,0\nq,A,y,0.8,0,0,0\n"}
    small(tmp_path, {})
    for arm in ("real", "gan"):
        for seed, text in rows.items():
            path = tmp_path / "arms" / arm / f"fold0_seed{seed}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(HEADER + text)
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"seeds": [0, 1]}))
    scores = read_results(tmp_path).scores
    assert scores.by_training("gan") == pytest.approx({0: (0.3 + 0.9) / 2, 1: 0.7})
    assert scores.by_training("gan", label="x") == pytest.approx({0: 0.2, 1: 0.6})
    assert scores.by_patient("gan", seed=1) == {"p": 0.6, "q": 0.8}


@pytest.mark.parametrize(
    ("captions", "message"),
    [({"EZ": "No such picture"}, r"captions for \['EZ'\]"), (["CS"], "one text per picture"), ({"CS": ""}, "one text")],
)
def test_bad_captions_are_refused(make_results: Callable[..., Path], captions: object, message: str) -> None:
    path = make_results() / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"captions": captions}))
    with pytest.raises(ResultsError, match=message):
        read_results(path.parent)


def test_curve(tmp_path: Path) -> None:
    path = tmp_path / "loss.csv"
    path.write_text("epoch,train,validation\n1,0.5,\n2,0.25,0.75\n")
    step, table = read_curve(path)
    assert step == "epoch"
    np.testing.assert_array_equal(table["validation"], [np.nan, 0.75])
    path.write_text("epoch,train\n1,low\n")
    with pytest.raises(ResultsError, match="'low'"):
        read_curve(path)


def test_one_labels_scores_and_the_data_sets_own_split(tmp_path: Path) -> None:
    rows = "p,A,core,0.2,0,1,0\np,A,edema,0.4,0,3,0\nq,A,edema,0.6,0,3,0\n"
    small(tmp_path, {})
    for arm in ("real", "gan"):
        path = tmp_path / "arms" / arm / "foldNone_seed0.csv"
        path.parent.mkdir(parents=True)
        path.write_text(HEADER + rows)
    path = tmp_path / "experiment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"folds": [None]}))
    scores = read_results(tmp_path).scores
    assert scores.labels == ["core", "edema"]
    assert scores.by_patient("real", label="core") == {"p": 0.2}
    assert scores.by_patient("real", label="edema") == {"p": 0.4, "q": 0.6}
    assert scores.by_patient("real") == {"p": pytest.approx(0.3), "q": 0.6}
