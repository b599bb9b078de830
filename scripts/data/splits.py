"""Splits by patient: stratified by class, seeded, and the refusal of whatever would leak across them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from scripts.data.contract import SPLITS, Dataset, DatasetError, Item, is_annotated, source_patients

PARTS = 2  # halves of the patients for cross-fitting


def assign_folds(items: Sequence[Item], *, folds: int = 5, seed: int = 0) -> list[Item]:
    """Copies of the items with a `fold` in 0..folds-1 each; all items of one patient share it.

    Within each class the patients, in seeded random order, go to the fold that has the fewest of their class, then
    the fewest patients; ties go to the last fold. So each class is spread as evenly as its number allows, and a
    class with one patient lies in the last fold, which `assign_splits` trains on.

    Raises:
        DatasetError: fewer patients than folds.
    """
    classes = _class_by_patient(items)
    if len(classes) < folds:
        raise DatasetError(f"{len(classes)} patients cannot fill {folds} folds. Ask for fewer folds.")
    generator = np.random.default_rng(seed)
    fold_of: dict[str, int] = {}
    total: Counter[int] = Counter()
    sizes = Counter(classes.values())
    for name in sorted(sizes, key=lambda name: (sizes[name], name)):  # the rarest class chooses first
        patients = sorted(patient for patient in classes if classes[patient] == name)
        generator.shuffle(patients)
        of_class: Counter[int] = Counter()
        for patient in patients:
            fold = min(reversed(range(folds)), key=lambda k: (of_class[k], total[k]))
            fold_of[patient] = fold
            of_class[fold] += 1
            total[fold] += 1
    return [{**item, "fold": fold_of[item["patient"]]} for item in items]


def patient_parts(items: Sequence[Item], where: str | Path) -> dict[str, int]:
    """Patients in two parts, 0 and 1, for cross-fitting: a network is trained on one and asked about the other.

    A single patient is a DatasetError; `where` is the data set, for the message.
    """
    if len({item["patient"] for item in items}) < PARTS:
        raise DatasetError(
            f"{where}: one training patient cannot be parted, so no network can judge patients that it was not trained "
            "on. Use a larger patient_fraction, or select without networks that judge."
        )
    return {item["patient"]: item["fold"] for item in assign_folds(items, folds=PARTS)}


def assign_splits(items: Sequence[Item], *, folds: int = 5, seed: int = 0) -> dict[str, list[Item]]:
    """Items with folds, listed as fold 0 sees them: test = fold 0, validation = fold 1, training = the others."""
    if folds < 3:
        raise DatasetError(f"folds is {folds}, expected 3 or more: one to test, one to validate, the rest to train.")
    return _split_by_fold(assign_folds(items, folds=folds, seed=seed), 0)


def split_by_class(items: Sequence[Item], classes: Sequence[str]) -> dict[str, list[Item]]:
    """As `assign_splits`, with one fold for each class that has patients, in the order of `classes`: leave one out.

    Raises:
        DatasetError: fewer than three such classes, a patient without class or with several.
    """
    of_patient: dict[str, set[str | None]] = defaultdict(set)
    for item in items:
        of_patient[item["patient"]].add(item.get("class"))
    for patient, named in of_patient.items():
        if len(named) > 1 or None in named:
            raise DatasetError(
                f"patient {patient!r} has the classes {sorted(map(str, named))}, expected one. Give every patient one "
                "class, or leave out --folds_by class."
            )
    present = [name for name in classes if {name} in of_patient.values()]
    if len(present) < 3:
        raise DatasetError(
            f"folds_by class needs three classes with patients: one to test, one to validate, the rest to train; here "
            f"are {present or 'none'}. Leave it out."
        )
    return _split_by_fold([{**item, "fold": present.index(str(item["class"]))} for item in items], 0)


def select_items(
    dataset: Dataset, split: str, fold: int | None = None, *, labelled: bool = True, boxed: bool = False
) -> list[Item]:
    """The items of one split, with a label unless `labelled` is False, all folds disjoint by patient.

    With `boxed`, for networks that work on boxes, items with `boxes` and no label count as labelled.

    Without `fold` the lists of the file count; where it lists no validation, a fifth of the training patients
    (stratified by class, seed 0) is set aside for it. With `fold` k the items that have a fold are
    cross-validated: test = fold k, validation = fold k+1, training = the others; items without one (an official
    test set) are left out.

    Raises:
        DatasetError: unknown split or fold, an empty split, a split without labels, a patient in two splits, a training
            item that says it is synthetic and that owes something to a patient who is validated or tested on.
    """
    if split not in SPLITS:
        raise DatasetError(f"split is {split!r}, expected one of {', '.join(SPLITS)}.")
    splits = _file_splits(dataset) if fold is None else _fold_splits(dataset, fold)
    check_disjoint(splits, dataset)
    items = [item for item in splits[split] if item["label"] or (boxed and is_annotated(item)) or not labelled]
    if not items:
        unlabelled = f" with a label{' or boxes' if boxed else ''}" if splits[split] else ""
        where = f"fold {fold}" if fold is not None else "dataset.json"
        raise DatasetError(
            f"{dataset.root}: the {split} split of {where} has no item{unlabelled}. "
            "List some there, or re-split with `python -m scripts prepare decathlon`."
        )
    claimed = [item for item in items if item.get("synthetic")] if split == "training" and labelled else []
    if claimed:  # synthetic images among real ones
        check_trained_on(dataset.trained_on, dataset.root, dataset, fold)
        check_synthetic_sources(claimed, dataset, fold)
    return items


def select_fraction(items: Sequence[Item], fraction: float, *, seed: int = 0) -> list[Item]:
    """All items of a share, in (0, 1], of the patients; with one seed smaller fractions lie within larger ones.

    The patients of each class are put in seeded random order and the classes are interleaved, so that every fraction
    holds the classes about as the whole does. At least one patient is kept; the number is rounded, half to even.
    """
    if not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
        raise DatasetError(f"patient_fraction is {fraction!r}, expected a number above 0 and up to 1, such as 0.1.")
    classes = _class_by_patient(items)
    generator = np.random.default_rng(seed)
    place: dict[str, tuple[float, str]] = {}
    for name in sorted(set(classes.values())):
        patients = sorted(patient for patient in classes if classes[patient] == name)
        generator.shuffle(patients)
        place |= {patient: ((n + 0.5) / len(patients), name) for n, patient in enumerate(patients)}
    chosen = set(sorted(place, key=lambda patient: place[patient])[: max(1, round(fraction * len(place)))])
    return [item for item in items if item["patient"] in chosen]


def check_disjoint(splits: dict[str, list[Item]], dataset: Dataset) -> None:
    """Raises DatasetError when a patient is in two splits."""
    home: dict[str, str] = {}
    for split, items in splits.items():
        for item in items:
            other = home.setdefault(item["patient"], split)
            if other != split:
                raise DatasetError(
                    f"{dataset.root}: patient {item['patient']!r} is in both {other} and {split}. "
                    "Keep all images of a patient in one split; `python -m scripts prepare` writes such splits."
                )


def check_synthetic_sources(items: Iterable[Item], dataset: Dataset, fold: int | None = None) -> None:
    """Raises DatasetError when a synthetic item was made from a patient that is validated or tested on.

    An item without `synthetic` provenance is refused too: nobody could tell where it came from. One made without a
    mask has no source; whom its generator knows is for `check_trained_on`.
    """
    held_out, of_fold = held_out_patients(dataset, fold), "" if fold is None else f" of fold {fold}"
    for item in items:
        if not item.get("synthetic"):
            raise DatasetError(f"{item['image']}: no 'synthetic' provenance in its dataset.json. Synthesise it again.")
        for source in source_patients(item):
            if source in held_out:
                raise DatasetError(
                    f"{item['image']}: made from patient {source!r} of the {held_out[source]} split{of_fold}. "
                    "Synthesise from training patients of this fold only."
                )


def check_trained_on(patients: Sequence[str], where: str | Path, dataset: Dataset, fold: int | None = None) -> None:
    """Raises DatasetError when a synthetic set's generator knows a patient that is validated or tested on, or nobody.

    `patients` are those whom it was trained on, `where` is the set, for the message.
    """
    if not patients:
        raise DatasetError(f"{where} does not say which patients its generator was trained on. Synthesise again.")
    refuse_known_patients(patients, where, held_out_patients(dataset, fold), shown_place(dataset, fold))


def refuse_known_patients(known: Iterable[str], where: str | Path, barred: Mapping[str, str], place: str) -> None:
    """The one refusal of weights and sets that know patients whom they must not know: a DatasetError.

    Args:
        known: patients that they learned from.
        where: the weights or the set, for the message.
        barred: patient -> split, of those whom they must not know.
        place: whose splits these are, for the message.
    """
    leaked = sorted(set(known) & barred.keys())
    if leaked:
        more = f" and {len(leaked) - 1} more" if len(leaked) > 1 else ""
        raise DatasetError(
            f"{where} was trained on patient {leaked[0]!r}{more} of the {barred[leaked[0]]} split of {place}. Name "
            "what was trained on this fold's training patients only, or train it with the same --fold."
        )


def shown_place(dataset: Dataset, fold: int | None) -> str:
    """Whose splits count, for messages."""
    return f"{dataset.root}" if fold is None else f"fold {fold} of {dataset.root}"


def held_out_patients(dataset: Dataset, fold: int | None) -> dict[str, str]:
    """Whom nothing may learn from: patient -> validation or test."""
    splits = _file_splits(dataset) if fold is None else _fold_splits(dataset, fold)
    return {item["patient"]: split for split in ("validation", "test") for item in splits[split]}


def _file_splits(dataset: Dataset) -> dict[str, list[Item]]:
    splits = {split: list(dataset.splits.get(split, [])) for split in SPLITS}
    if not splits["validation"] and len({item["patient"] for item in splits["training"]}) >= 5:
        with_folds = assign_folds(splits["training"], folds=5)
        home = {item["patient"]: "training" if item["fold"] else "validation" for item in with_folds}
        for split in ("training", "validation"):
            splits[split] = [item for item in dataset.splits["training"] if home[item["patient"]] == split]
    return splits


def _fold_splits(dataset: Dataset, fold: int) -> dict[str, list[Item]]:
    items = [item for item in dataset.items if item.get("fold") is not None]
    known = sorted({item["fold"] for item in items})
    if fold not in known:
        have = f"its folds are {known}" if known else "its items have no 'fold'"
        raise DatasetError(f"{dataset.root}: fold {fold} does not exist; {have}. `prepare` writes them.")
    return _split_by_fold(items, fold)


def _split_by_fold(items: Sequence[Item], fold: int) -> dict[str, list[Item]]:
    count = max(item["fold"] for item in items) + 1
    splits: dict[str, list[Item]] = {split: [] for split in SPLITS}
    for item in items:
        distance = (item["fold"] - fold) % count
        splits[{0: "test", 1: "validation"}.get(distance, "training")].append(item)
    return splits


def _class_by_patient(items: Sequence[Item]) -> dict[str, str]:
    """Each patient's most frequent class; the stratum '' holds those without one."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for item in items:
        counts[item["patient"]][item.get("class") or ""] += 1
    return {patient: min(c, key=lambda name: (-c[name], name)) for patient, c in counts.items()}
