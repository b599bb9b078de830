"""Scores of a visual Turing test: how often each reader was right, and how far the readers agree."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from scripts.metrics.reader_agreement import compute_cohen_kappa, compute_fleiss_kappa, compute_share
from scripts.scores.json_files import ResultsError, read_dataclass, write_dataclass

REAL, SYNTHETIC = "real", "synthetic"
COLUMNS = ("page", "reader", "image", "class", "answer", "seconds")
Answers = dict[str, tuple[str, float]]  # image -> (answer, seconds)


def score_readers(key: str, *answers: str, output: str = "turing_scores.json") -> None:
    """Prints and writes what the readers' answers say.

    Per reader: accuracy, overall and per class, with exact 95% intervals over the images answered (taken as
    independent), the share of real and of synthetic images called real, and whether that can be told from chance.
    For two readers Cohen's kappa, for more Fleiss', over the images that all of them answered.

    Args:
        key: the key that `make` wrote beside the page.
        answers: the CSV files that the readers saved from the page.
        output: the JSON file of the scores.

    Raises:
        ResultsError: a file that is missing or malformed, answers to another page, an image answered twice.
    """
    truth = read_key(Path(str(key)))
    readers = read_answers([Path(str(file)) for file in answers], truth)
    images = truth["images"]
    scores = {name: score_reader(given, images) for name, given in readers.items()}
    agreement = compute_agreement(readers)
    write_dataclass(Path(str(output)), {"page": truth["page"], "readers": scores, "agreement": agreement})
    print("\n\n".join([*(format_reader(name, score) for name, score in scores.items()), *_agreement_text(agreement)]))
    print(f"\nWrote {output}.")


def read_key(file: Path) -> dict[str, Any]:
    """The key of a page: `page`, and `images` by id with `truth` and `class`."""
    if not file.is_file():
        raise ResultsError(f"No key {file}. `python -m scripts turing make` writes it beside the page.")
    key = read_dataclass(file, dict[str, Any])
    images = key.get("images")
    entries = list(images.values()) if isinstance(images, dict) else []
    if not (isinstance(key.get("page"), str) and entries and all(map(_is_truth, entries))):
        raise ResultsError(f"{file} is no key of a Turing page; expected what `python -m scripts turing make` wrote.")
    return key


def _is_truth(entry: Any) -> bool:
    return isinstance(entry, dict) and entry.get("truth") in (REAL, SYNTHETIC) and isinstance(entry.get("class"), str)


def read_answers(files: Sequence[Path], key: Mapping[str, Any]) -> dict[str, Answers]:
    """Each reader's answers, from one or several files.

    Raises:
        ResultsError: no file, a malformed one, another page's answers, an unknown image, an image answered twice.
    """
    if not files:
        raise ResultsError("No answers given; name the CSV files that the readers saved from the page.")
    readers: dict[str, Answers] = {}
    for file in files:
        for number, row in _read_rows(file):
            where = f"{file}, line {number}"
            if row["page"] != key["page"]:
                raise ResultsError(
                    f"{where}: the answer is to page {row['page']!r}, the key is of {key['page']!r}. "
                    "Name the key that was written with the readers' page."
                )
            if row["image"] not in key["images"]:
                raise ResultsError(f"{where}: image {row['image']!r} is not in the key. Save the answers again.")
            if row["answer"] not in (REAL, SYNTHETIC):
                raise ResultsError(f"{where}: the answer is {row['answer']!r}, expected {REAL} or {SYNTHETIC}.")
            given = readers.setdefault(row["reader"], {})
            if row["image"] in given:
                raise ResultsError(
                    f"{where}: reader {row['reader']!r} has answered image {row['image']!r} already. "
                    "Name each reader's last file only, and give each reader a name of their own."
                )
            given[row["image"]] = row["answer"], _seconds(row["seconds"], where)
    return readers


def _read_rows(file: Path) -> list[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a CSV with all columns."""
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            header = list(reader.fieldnames or [])
            rows = [(reader.line_num, row) for row in reader]
    except FileNotFoundError:
        raise ResultsError(f"No answers {file}. Name the CSV file that the reader saved from the page.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ResultsError(f"Cannot read {file}: {error}. Name the CSV file as the page saved it.") from None
    if missing := [name for name in COLUMNS if name not in header]:
        raise ResultsError(
            f"{file} lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; expected "
            f"{','.join(COLUMNS)}, as the page saves it."
        )
    for number, row in rows:
        if None in row or None in row.values() or not row["reader"].strip():
            raise ResultsError(f"{file}, line {number}: not a reader and {len(header)} cells. Save the answers again.")
    if not rows:
        raise ResultsError(f"{file} holds no answers; ask its reader to save the file after answering.")
    return rows


def _seconds(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise ResultsError(f"{where}: seconds is {text!r}, expected a number from 0.")
    return value


def score_reader(answers: Answers, images: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    """A reader's shares, each with count, total, share, low and high, by what was answered.

    Args:
        answers: of the reader.
        images: of the key.
    """

    def share(chosen: list[str], wanted: str | None = None) -> dict[str, float]:
        count = sum(answers[image][0] == (wanted or images[image]["truth"]) for image in chosen)
        value, low, high = compute_share(count, len(chosen))
        return {"count": count, "total": len(chosen), "share": value, "low": low, "high": high}

    by_truth = {truth: [i for i in answers if images[i]["truth"] == truth] for truth in (REAL, SYNTHETIC)}
    classes = list(dict.fromkeys(entry["class"] for entry in images.values()))
    score: dict[str, Any] = {
        "images": len(images),
        "answered": len(answers),
        "accuracy": share(list(answers)),
        "real_called_real": share(by_truth[REAL], REAL),
        "synthetic_called_real": share(by_truth[SYNTHETIC], REAL),
        "classes": {
            name: share([i for i in answers if images[i]["class"] == name]) for name in sorted(classes) if name
        },
        "median_seconds": median(seconds for _, seconds in answers.values()),
    }
    return {**score, "finding": describe_reader(score)}


def describe_reader(score: Mapping[str, Any]) -> str:
    """What follows from a reader's accuracy, and no more.

    Chance is 1/2. Where a reader answered unequal numbers of real and synthetic images, it is what the same answer
    to all of them would reach, if that is further from 1/2.
    """
    accuracy, counts = score["accuracy"], (score["real_called_real"]["total"], score["synthetic_called_real"]["total"])
    always = max(counts) / sum(counts)
    if accuracy["low"] > always:
        return "Right more often than by chance: this reader can tell synthetic images from real ones."
    if accuracy["high"] < 1 - always:
        return "Wrong more often than by chance: this reader can tell the images apart, but takes one for the other."
    return (
        "Cannot be told from chance; that is no proof that the reader cannot see a difference: an accuracy of "
        f"{_percent(accuracy['low'])} to {_percent(accuracy['high'])} would fit as well."
    )


def compute_agreement(readers: Mapping[str, Answers]) -> dict[str, Any]:
    """Kappa of the readers over the images that all of them answered; empty for one reader.

    Returns:
        method, kappa (NaN where chance explains all), images, and for three readers or more `pairs`, Cohen's each.
    """
    if len(readers) < 2:
        return {}
    common = [i for i in next(iter(readers.values())) if all(i in given for given in readers.values())]
    called = {name: [given[i][0] for i in common] for name, given in readers.items()}
    pairs = {f"{a}, {b}": compute_cohen_kappa(called[a], called[b]) for a, b in combinations(called, 2)}
    if len(readers) == 2:
        return {"method": "Cohen's kappa", "kappa": next(iter(pairs.values())), "images": len(common)}
    counts = [Counter(answers) for answers in zip(*called.values(), strict=True)]
    kappa = compute_fleiss_kappa([[c[REAL], c[SYNTHETIC]] for c in counts]) if common else math.nan
    return {"method": "Fleiss' kappa", "kappa": kappa, "images": len(common), "pairs": pairs}


def format_reader(name: str, score: Mapping[str, Any]) -> str:
    """A reader's scores as lines of text."""
    rows = [("Accuracy", score["accuracy"]), *((f"  {key}", value) for key, value in score["classes"].items())]
    rows += [("Real called real", score["real_called_real"]), ("Synthetic called real", score["synthetic_called_real"])]
    width = max(len(title) for title, _ in rows)
    answered = f"{score['answered']} of {score['images']} images answered"
    lines = [f"{name}: {answered}, {score['median_seconds']:.1f} s each (median)."]
    if score["answered"] < score["images"]:
        lines[0] += " Incomplete: scored on what was answered."
    return "\n".join(
        [*lines, *(f"  {title:<{width}}  {_share_text(share)}" for title, share in rows), score["finding"]]
    )


def _share_text(share: Mapping[str, float]) -> str:
    if not share["total"]:
        return "\u2013"
    interval = f"[{_percent(share['low'])}, {_percent(share['high'])}]"
    return f"{_percent(share['share']):>4} {interval:<13} {share['count']} of {share['total']}"


def _agreement_text(agreement: Mapping[str, Any]) -> list[str]:
    if not agreement:
        return []
    over = f"over the {agreement['images']} images that all readers answered"
    if math.isnan(agreement["kappa"]):
        return [f"{agreement['method']} between readers: not defined {over} (too few, or always the same answer)."]
    return [f"{agreement['method']} between readers: {agreement['kappa']:.2f} {over} (0: as by chance, 1: always)."]


def _percent(value: float) -> str:
    return f"{100 * value:.0f}%"
