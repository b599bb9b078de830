from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from scipy.stats import binomtest
from sklearn.metrics import cohen_kappa_score

from scripts.__main__ import main
from scripts.report.turing_scores import Answers, compute_agreement, format_reader, read_answers, read_key, score_reader
from scripts.scores.json_files import ResultsError

HEADER = "page,reader,image,class,answer,seconds\n"
IMAGES = {f"i{n:03d}": {"truth": "real" if n % 2 else "synthetic", "class": "A" if n < 21 else "B"} for n in range(40)}
KEY = {"page": "tabc", "images": IMAGES}


def answers(wrong: int, among: int = 40) -> Answers:
    """Answers to the first images, the first ones wrong."""
    other = {"real": "synthetic", "synthetic": "real"}
    truths = [(name, entry["truth"]) for name, entry in IMAGES.items()][:among]
    return {name: (other[truth] if n < wrong else truth, float(n)) for n, (name, truth) in enumerate(truths)}


def write_csv(file: Path, reader: str, given: Answers) -> Path:
    rows = "".join(f"tabc,{reader},{image},A,{answer},{seconds}\n" for image, (answer, seconds) in given.items())
    file.write_text(HEADER + rows)
    return file


def test_scores_by_hand() -> None:
    score = score_reader(answers(10), IMAGES)
    interval = binomtest(30, 40).proportion_ci(method="exact")
    accuracy = {"count": 30, "total": 40, "share": 0.75, "low": interval.low, "high": interval.high}
    assert score["accuracy"] == pytest.approx(accuracy)
    assert {name: (s["count"], s["total"]) for name, s in score["classes"].items()} == {"A": (11, 21), "B": (19, 19)}
    assert (score["real_called_real"]["count"], score["synthetic_called_real"]["count"]) == (15, 5)
    assert score["median_seconds"] == 19.5
    assert score["finding"].startswith("Right more often than by chance")


@pytest.mark.parametrize(
    ("wrong", "start"), [(0, "Right more"), (20, "Cannot be told from chance"), (14, "Cannot"), (35, "Wrong more")]
)
def test_the_sentence_follows_from_the_interval(wrong: int, start: str) -> None:
    score = score_reader(answers(wrong), IMAGES)
    assert score["finding"].startswith(start)
    low, high = score["accuracy"]["low"], score["accuracy"]["high"]
    assert (low <= 0.5 <= high) == start.startswith("Cannot")


def test_the_same_answer_to_unequal_numbers_is_no_skill() -> None:
    # 19 real and 2 synthetic ones answered, all called real: 90% are right
    given = {name: ("real", 1.0) for name, entry in IMAGES.items() if entry["truth"] == "real" or name < "i003"}
    score = score_reader(given, IMAGES)
    assert score["accuracy"]["share"] == pytest.approx(20 / 22)
    assert score["accuracy"]["low"] > 0.5
    assert score["finding"].startswith("Cannot be told from chance")


def test_incomplete_answers_are_scored_and_said() -> None:
    score = score_reader(answers(0, among=15), IMAGES)
    assert score["accuracy"]["total"] == 15
    assert math.isnan(score["classes"]["B"]["share"])
    text = format_reader("Anna", score)
    assert text.startswith("Anna: 15 of 40 images answered, 7.0 s each (median). Incomplete: scored on what was")
    assert "Incomplete" not in format_reader("Anna", score_reader(answers(3), IMAGES))


def test_agreement_of_two_over_what_both_answered() -> None:
    readers = {"a": answers(12), "b": answers(5, among=30)}
    agreement = compute_agreement(readers)
    calls = [[given[image][0] for image in list(IMAGES)[:30]] for given in readers.values()]
    assert agreement["method"] == "Cohen's kappa"
    assert agreement["images"] == 30
    assert agreement["kappa"] == pytest.approx(cohen_kappa_score(*calls))
    assert compute_agreement({"a": answers(3)}) == {}


def test_agreement_of_three() -> None:
    # all alike on 20 images each of which is answered both ways: Fleiss 1; and pair by pair
    readers = {name: answers(0, among=20) for name in "abc"}
    agreement = compute_agreement(readers)
    assert (agreement["method"], agreement["kappa"], agreement["images"]) == ("Fleiss' kappa", 1, 20)
    assert agreement["pairs"] == {"a, b": 1, "a, c": 1, "b, c": 1}
    nothing = compute_agreement({**readers, "d": {"i039": ("real", 1.0)}})
    assert nothing["images"] == 0
    assert math.isnan(nothing["kappa"])


def test_command_prints_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key, output = tmp_path / "turing_key.json", tmp_path / "scores.json"
    key.write_text(json.dumps(KEY))
    files = [write_csv(tmp_path / f"{name}.csv", name, answers(n, 15)) for n, name in enumerate(("Anna", "Ben"))]
    assert main(["turing", "score", str(key), *map(str, files), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "Accuracy               100% [78%, 100%]" in printed
    assert "Cohen's kappa between readers: 0.87 over the 15 images" in printed
    written = json.loads(output.read_text())
    assert written["readers"]["Ben"]["accuracy"]["count"] == 14
    assert written["readers"]["Ben"]["classes"]["B"]["share"] is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEADER, "holds no answers"),
        ("", "lacks the columns page, reader"),
        ("page;reader;image;class;answer;seconds\n", "lacks the columns"),
        (HEADER + "tzzz,Anna,i001,A,real,1\n", "to page 'tzzz', the key is of 'tabc'"),
        (HEADER + "tabc,Anna,i999,A,real,1\n", "image 'i999' is not in the key"),
        (HEADER + "tabc,Anna,i001,A,fake,1\n", "the answer is 'fake', expected real or synthetic"),
        (HEADER + "tabc,Anna,i001,A,real,soon\n", "seconds is 'soon'"),
        (HEADER + "tabc,Anna,i001,A,real\n", "line 2: not a reader and 6 cells"),
        (HEADER + "tabc,,i001,A,real,1\n", "line 2: not a reader"),
        (HEADER + "tabc,Anna,i001,A,real,1\n" * 2, "line 3: reader 'Anna' has answered image 'i001' already"),
        ("page\x00\xff", "Cannot read"),
    ],
)
def test_wrong_answers_are_explained(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode("latin-1"))
    with pytest.raises(ResultsError, match=r"a\.csv") as caught:
        read_answers([tmp_path / "a.csv"], KEY)
    assert message in str(caught.value)


def test_names_with_commas_and_a_byte_order_mark(tmp_path: Path) -> None:
    text = "\ufeff" + HEADER + 'tabc,"Kim, ""A""",i001,A,real,1.5\r\n'
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    assert read_answers([tmp_path / "a.csv"], KEY) == {'Kim, "A"': {"i001": ("real", 1.5)}}


def test_missing_files_and_wrong_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ResultsError, match="No answers given"):
        read_answers([], KEY)
    with pytest.raises(ResultsError, match=r"No answers .*none\.csv"):
        read_answers([tmp_path / "none.csv"], KEY)
    with pytest.raises(ResultsError, match="No key"):
        read_key(tmp_path / "none.json")
    for content in ({"page": "t"}, {"page": "t", "images": {}}, {"page": "t", "images": {"i001": {"truth": "x"}}}):
        (tmp_path / "key.json").write_text(json.dumps(content))
        assert main(["turing", "score", str(tmp_path / "key.json"), "a.csv"]) == 1
        error = capsys.readouterr().err
        assert "is no key of a Turing page" in error
        assert error.count("\n") == 1
