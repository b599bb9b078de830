"""Reads and checks what an experiment says of its ensembles of generators: `ensemble` in experiment.json."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from scripts.scores.results_files import ResultsError

EXAMPLE = '{"title": "Synthetic only", "arms": {"1": "synthetic_1", "5": "synthetic_5"}}'
ANNOTATION_KEYS = ("images", "lesion_images", "label_percent", "components", "rim_share", "outside_head_share")
MEAN = "mean"  # the key of published Dice for the mean over labels


@dataclass(frozen=True)
class Family:
    """Arms that differ only in the number of members: {number: arm's name}, ascending.

    `alternative_to` is the title of the family that gets its members otherwise, and is compared number by number;
    `unit` is what the number counts.
    """

    title: str
    arms: dict[int, str]
    alternative_to: str | None = None
    unit: str = "member"


@dataclass(frozen=True)
class Choice:
    """All members, the one that adds most coverage first: what `scripts.handlers.member_choice` writes.

    `coverage` is what is covered once each has joined, in that order; `single` what each covers alone, by ascending
    member. Both are shares of `real_images` real images (None: not told), at `images_per_member` images of each and `k`
    neighbours. `training_coverage` is `coverage` by as many real training images, None where there are fewer.
    """

    order: list[int]
    coverage: list[float]
    single: list[float]
    k: int
    images_per_member: int
    training_coverage: list[float | None] = field(default_factory=list)
    real_images: int | None = None


@dataclass(frozen=True)
class Ensemble:
    """A checked `ensemble`; `hours` holds only arms whose generators' training time is known and not zero."""

    families: list[Family]
    hours: dict[str, float]
    published: dict[str, dict[str, float]]
    choice: Choice | None
    annotations: dict[str, Any] | None
    collapsed: list[str]


def read_ensemble(entry: Any, arms: Sequence[str], path: Path) -> Ensemble:
    """Check the `ensemble` of an experiment.

    Args:
        entry: `families` is required: title and arms by number of members, and optionally `unit` ("member") and
            `alternative_to`, another family's title. Optional: `device_hours` by arm, `published` Dice by label
            ("mean": over labels) and arm, `choice`, `annotations` and `collapsed`. Published labels and arms that were
            not run are allowed.
        arms: names of all arms but the baseline.
        path: the file, for messages.

    Raises:
        ResultsError: malformed, or at odds with the arms.
    """
    if not isinstance(entry, dict) or not isinstance(entry.get("families"), list) or not entry["families"]:
        raise ResultsError(f"{path}: ensemble has no families; expected a list such as [{EXAMPLE}].")
    families = [_read_family(family, arms, path) for family in entry["families"]]
    _check_families(families, path)
    choice, annotations, collapsed = (entry.get(key) for key in ("choice", "annotations", "collapsed"))
    collapsed = collapsed or []
    if annotations is not None:
        _check_annotations(annotations, path)
    if not isinstance(collapsed, list) or not all(isinstance(name, str) for name in collapsed):
        raise ResultsError(f"{path}: ensemble.collapsed is {collapsed!r}; expected a list of members' names.")
    return Ensemble(
        families=families,
        hours=_read_hours(entry.get("device_hours") or {}, path),
        published=_read_published(entry.get("published") or {}, path),
        choice=None if choice is None else _read_choice(choice, path),
        annotations=annotations,
        collapsed=collapsed,
    )


def _read_family(entry: Any, arms: Sequence[str], path: Path) -> Family:
    named = entry.get("arms") if isinstance(entry, dict) else None
    if not isinstance(named, dict) or not named or not entry.get("title"):
        raise ResultsError(f"{path}: family {entry!r}; expected a title and arms by number of members: {EXAMPLE}.")
    for number, arm in named.items():
        if not number.isdecimal() or int(number) < 1:
            raise ResultsError(f"{path}: family {entry['title']!r} has {number!r} members; expected 1 or more.")
        if arm not in arms:
            raise ResultsError(
                f"{path}: family {entry['title']!r} names the arm {arm!r}; expected one of {list(arms)}, the "
                "experiment's arms without the baseline."
            )
    ordered = dict(sorted((int(number), arm) for number, arm in named.items()))
    return Family(entry["title"], ordered, entry.get("alternative_to"), str(entry.get("unit", "member")))


def _check_families(families: list[Family], path: Path) -> None:
    titles = [family.title for family in families]
    names = [arm for family in families for arm in family.arms.values()]
    if len(set(titles)) != len(titles) or len(set(names)) != len(names):
        raise ResultsError(f"{path}: families {titles} with arms {names}; expected each title and each arm once.")
    for family in families:
        if family.alternative_to is not None and family.alternative_to not in set(titles) - {family.title}:
            raise ResultsError(
                f"{path}: family {family.title!r} is the alternative to {family.alternative_to!r}; expected another "
                f"family's title, one of {[title for title in titles if title != family.title]}."
            )


def _is_number(value: Any, *, highest: float = 1e9) -> bool:
    """Whether it is a number from 0 to `highest`; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= highest


def _read_hours(hours: Any, path: Path) -> dict[str, float]:
    """Hours above 0; an arm without any, or with null, is not known."""
    if not isinstance(hours, dict):
        raise ResultsError(f"{path}: ensemble.device_hours is {hours!r}; expected an object, hours by arm.")
    for arm, value in hours.items():
        if value is not None and not _is_number(value):
            raise ResultsError(f"{path}: ensemble.device_hours of {arm!r} is {value!r}; expected hours, 0 or more.")
    return {arm: float(value) for arm, value in hours.items() if value}


def _read_published(published: Any, path: Path) -> dict[str, dict[str, float]]:
    tables = published.values() if isinstance(published, dict) else [None]
    for table in tables:
        bad = [value for value in table.values() if not _is_number(value, highest=1)] if isinstance(table, dict) else []
        if bad or not isinstance(table, dict):
            raise ResultsError(
                f"{path}: ensemble.published holds {bad[0] if bad else table!r}; expected Dice from 0 to 1 by label "
                f'and arm, such as {{"{MEAN}": {{"real": 0.729, "synthetic_5": 0.628}}}}.'
            )
    return published


def _read_choice(entry: Any, path: Path) -> Choice:
    try:
        choice = Choice(**{each.name: entry[each.name] for each in fields(Choice) if each.name in entry})
        fits = len(set(choice.order)) == len(choice.order) == len(choice.coverage) == len(choice.single) > 0
        fits = fits and all(_is_number(share, highest=1) for share in (*choice.coverage, *choice.single))
        ceiling = choice.training_coverage
        fits = fits and all(share is None or _is_number(share, highest=1) for share in ceiling)
        fits = fits and len(ceiling) in (0, len(choice.order))
        fits = fits and all(isinstance(n, int) for n in (*choice.order, choice.k, choice.images_per_member))
    except TypeError:
        fits = False
    if not fits:
        raise ResultsError(
            f"{path}: ensemble.choice is {entry!r}; expected order (each member once), coverage and single (0 to 1, as "
            "many), k, images_per_member, optionally training_coverage (as many) and real_images. Run the choice again."
        )
    return choice


def _check_annotations(entry: Any, path: Path) -> None:
    """What `scripts.handlers.annotation_validity` writes; numbers that it could not tell are null."""
    expected = f"labels, members (a list) and parts, each entry with {list(ANNOTATION_KEYS)}: see annotation_validity"
    fits = isinstance(entry, dict) and isinstance(entry.get("labels"), list) and isinstance(entry.get("parts"), dict)
    if not fits or not isinstance(entry.get("members"), list) or not entry["parts"]:
        raise ResultsError(f"{path}: ensemble.annotations is {entry!r}; expected {expected}.")
    for each in (*entry["parts"].values(), *entry["members"]):
        if not isinstance(each, dict) or not set(ANNOTATION_KEYS) <= set(each):
            raise ResultsError(f"{path}: ensemble.annotations has the entry {each!r}; expected {expected}.")
        for key in ("rim_share", "outside_head_share"):
            if not isinstance(each[key], dict) or not {"value", "low", "high"} <= set(each[key]):
                raise ResultsError(
                    f"{path}: {key} in ensemble.annotations is {each[key]!r}; expected value, low, high."
                )
