"""`doctor`: reads every file of a data set and lists all that would stop or mislead a training, before any starts."""

from __future__ import annotations

import contextlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from scripts.data.contract import SPLITS, Dataset, DatasetError, Item, image_files, is_annotated, read_dataset
from scripts.data.inspection import (
    BEYOND,
    WINDOW_REMEDY,
    Finding,
    Inspection,
    inspect_items,
    is_ct,
    shown_name,
    shown_size,
)
from scripts.data.likeness import find_same
from scripts.data.patients import find_alike
from scripts.data.prepare import format_table
from scripts.data.splits import select_items

logger = logging.getLogger(__name__)

SEVERITIES = ("error", "warning", "info")
SIZE_STEP = 32  # pixels; networks halve an image five times


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found in a data set."""

    dataset: Dataset
    findings: list[Finding]

    @property
    def errors(self) -> list[Finding]:
        """Findings that must be corrected before any training."""
        return [finding for finding in self.findings if finding.severity == "error"]


def doctor(folder: str, *, image_size: int = 256, fold: int | None = None) -> Diagnosis:
    """Checks a data set and tells what it found in a table; the command ends with exit code 1 if errors are in it.

    Args:
        folder: the folder of dataset.json.
        image_size: side of the slices the networks will see, in pixels, for the size of the cache.
        fold: the fold to check; by default the lists of the file and all folds.

    Raises:
        DatasetError: dataset.json is missing or malformed.
    """
    if not isinstance(image_size, int) or image_size < SIZE_STEP:
        raise ValueError(f"image_size is {image_size}, expected a number of pixels from {SIZE_STEP}.")
    dataset = read_dataset(str(folder))
    if fold is not None and fold not in _views(dataset, None):
        known = ", ".join(str(view) for view in _views(dataset, None)[1:]) or "none"
        raise DatasetError(f"{dataset.root}: fold is {fold!r}, its folds are: {known}.")
    inspections = inspect_items(dataset)
    findings = [finding for inspection in inspections for finding in inspection.findings]
    findings += check_splits(dataset, fold) + check_names(dataset, inspections, fold) + check_patients(dataset)
    findings += check_same(dataset, inspections, fold) + check_values(dataset, inspections, fold)
    findings += check_sizes(inspections, image_size) + check_axes(inspections)
    diagnosis = Diagnosis(dataset, findings)
    logger.info(f"{summarise(dataset, inspections, image_size, fold)}\n\n{format_findings(findings)}\n")
    if diagnosis.errors:
        logger.info(f"Not ready: {len(diagnosis.errors)} errors. Correct them before training.")
    else:
        logger.info("Ready to train: no errors.")
    return diagnosis


def check_splits(dataset: Dataset, fold: int | None = None) -> list[Finding]:
    """Patients in two splits or folds, images listed twice, and splits without labelled items."""
    findings = []
    homes: dict[str, dict[str, set[str]]] = {"splits": defaultdict(set), "folds": defaultdict(set)}
    files: Counter[str] = Counter()
    for split in SPLITS:
        for item in dataset.splits[split]:
            homes["splits"][item["patient"]].add(split)
            files[image_files(item)[0]] += 1
            if item.get("fold") is not None:
                homes["folds"][item["patient"]].add(str(item["fold"]))
    for kind in ("splits", "folds") if fold is None else ("folds",):
        for patient, found in sorted(homes[kind].items()):
            if len(found) > 1:
                findings.append(Finding("error", f"patient in two {kind}", f"{patient}: {', '.join(sorted(found))}"))
    for file, count in files.items():
        if count > 1:
            findings.append(Finding("error", "image listed twice", f"{file}: {count} times"))
    if findings:
        return findings
    for view in _views(dataset, fold):
        for split in SPLITS:
            try:
                select_items(dataset, split, view, boxed=True)
            except DatasetError as error:
                severity = "warning" if split == "test" else "error"
                findings.append(Finding(severity, f"no {split} items", str(error)))
    return findings


def check_names(dataset: Dataset, inspections: Iterable[Inspection], fold: int | None = None) -> list[Finding]:
    """Classes and labels that no item, no training item or a single patient has; items without class."""
    findings = []
    patients: dict[str, set[str]] = defaultdict(set)
    for item in dataset.items:
        if item["class"] is None and dataset.classes:
            findings.append(Finding("info", "no class", f"{shown_name(item, dataset)}, patient {item['patient']}"))
        patients[item["class"] or ""].add(item["patient"])
    for name in dataset.classes:
        if len(patients[name]) < 2:
            severity, count = ("warning", "one patient") if patients[name] else ("error", "no sample")
            findings.append(Finding(severity, f"class with {count}", name))
    for where, items in _trained(dataset, fold):
        trained = {item["class"] for item in items}
        for name in dataset.classes:
            if patients[name] and name not in trained:
                findings.append(Finding("warning", "class not in training", f"{name}: {where}"))
    seen = frozenset[int]().union(*(inspection.labels for inspection in inspections))
    for value, name in enumerate(dataset.labels):
        if value not in seen and value > 0:
            findings.append(Finding("warning", "label in no file", f"{value}: {name}"))
    return findings


def check_patients(dataset: Dataset) -> list[Finding]:
    """Patients that were guessed with a doubt, and patients and classes that are written in two ways."""
    guess = dataset.patients_guessed
    findings = [Finding("warning", "patients are guessed", str(guess))] if guess and guess.doubt else []
    for kind, names in (("patients", [item["patient"] for item in dataset.items]), ("classes", dataset.classes)):
        findings += [Finding("warning", f"{kind} written alike", " and ".join(alike)) for alike in find_alike(names)]
    return findings


def check_same(dataset: Dataset, inspections: Sequence[Inspection], fold: int | None = None) -> list[Finding]:
    """Pictures that are equal, or nearly, in two splits of the lists or a fold, or under two patients."""
    homes = [{id(item): split for split in SPLITS for item in dataset.splits[split]}]
    for view in _views(dataset, fold):
        homes.append({id(item): split for split in SPLITS for item in _items_of(dataset, split, view)})
    findings = []
    for pair in find_same([inspection.likeness for inspection in inspections]):
        first, second = inspections[pair.first].item, inspections[pair.second].item
        if image_files(first) == image_files(second):
            continue  # check_splits has told
        shown = " and ".join(f"{shown_name(item, dataset)}, patient {item['patient']}" for item in (first, second))
        what = "equal pixels" if pair.exact else "nearly equal pixels"
        places = [(home.get(id(first)), home.get(id(second))) for home in homes]
        splits = next((f" ({one}, {other})" for one, other in places if one and other and one != other), "")
        if splits:
            findings.append(Finding("error", f"{what} in two splits", shown + splits))
        elif first["patient"] != second["patient"]:
            findings.append(Finding("warning", f"{what} under two patients", shown))
        elif pair.exact:
            findings.append(Finding("info", f"{what} in two files of a patient", shown))
    return findings


def check_values(dataset: Dataset, inspections: Sequence[Inspection], fold: int | None = None) -> list[Finding]:
    """CT without a window, a range that no image keeps, labels without a lesion to train on."""
    findings = []
    for title in dataset.modality if dataset.intensity_range is None else []:
        if is_ct(title):
            findings.append(Finding("warning", "CT without intensity_range", f"{title}: {WINDOW_REMEDY}"))
    beyond = [found for inspection in inspections for found in inspection.findings if found.check == BEYOND]
    if beyond and len({found.example.split(":")[0] for found in beyond}) > len(inspections) / 2:
        findings.append(Finding("error", "intensity_range does not suit most images", beyond[0].example))
    place = {id(inspection.item): inspection for inspection in inspections}
    for where, items in _trained(dataset, fold):
        trained = [place[id(item)] for item in items if id(item) in place]
        unread = any(found.check == "label cannot be read" for inspection in trained for found in inspection.findings)
        if trained and not unread and not any(inspection.labels - {0} for inspection in trained):
            findings.append(Finding("error", "no lesion in training", f"{len(trained)} empty label maps: {where}"))
    return findings


def check_sizes(inspections: Iterable[Inspection], image_size: int) -> list[Finding]:
    """Slices that are not image_size x image_size, and an image_size that networks must pad."""
    findings = []
    if image_size % SIZE_STEP:
        example = f"{image_size}: networks pad slices to a multiple of {SIZE_STEP}"
        findings.append(Finding("info", "image_size is padded", example))
    for inspection in inspections:
        if inspection.shape and inspection.shape[1:3] != (image_size, image_size):
            change = "shrunk" if max(inspection.shape[1:3]) > image_size else "padded"
            example = f"patient {inspection.item['patient']}: {shown_size(inspection.shape[1:3])}"
            findings.append(Finding("info", f"slices are {change} to {image_size}x{image_size}", example))
    return findings


def check_axes(inspections: Iterable[Inspection]) -> list[Finding]:
    """Volumes that are cut across another axis than most, and volumes that are not cut into axial slices."""
    cut = Counter(inspection.slice_axis for inspection in inspections if inspection.slice_axis)
    if len(cut) > 1:
        counts = ", ".join(f"{count} {axis}" for axis, count in cut.most_common())
        example = f"{counts}, each across its largest spacing. Prepare with --slice_axis to cut all across one"
        return [Finding("warning", "slices across different axes", example)]
    return [Finding("info", f"slices are {axis}", f"{count} volumes") for axis, count in cut.items() if axis != "axial"]


def summarise(dataset: Dataset, inspections: list[Inspection], image_size: int, fold: int | None = None) -> str:
    """The data set in a few lines, with patients, images and slices by split, and the memory and disk it needs."""
    rows = [["split" if fold is None else f"fold {fold}", "patients", "images", "slices", "with lesion"]]
    place = {id(inspection.item): inspection for inspection in inspections}
    for name, items in [*((split, _items_of(dataset, split, fold)) for split in SPLITS), ("all", dataset.items)]:
        read = [place[id(item)] for item in items]
        numbers = [len({item["patient"] for item in items}), len(items)]
        numbers += [sum(each.slices for each in read), sum(each.lesion_slices for each in read)]
        rows.append([name, *map(str, numbers)])
    shapes = sorted({inspection.shape[1:] for inspection in inspections if inspection.shape}, key=np.prod)
    sizes = "none" if not shapes else shown_size(shapes[0])
    if len(shapes) > 1:
        sizes = f"{len(shapes)} different, from {sizes} to {shown_size(shapes[-1])}"
    fitting = -(-max((max(shape[:2]) for shape in shapes), default=SIZE_STEP) // SIZE_STEP) * SIZE_STEP
    slices = sum(inspection.slices for inspection in inspections if is_annotated(inspection.item))
    cache = slices * image_size**2 * (2 * dataset.channel_count + 1)  # float16 image, uint8 label
    largest = max((int(np.prod(inspection.shape)) * 4 for inspection in inspections if inspection.shape), default=0)
    return f"""{dataset.name} ({dataset.root})
channels: {", ".join(dataset.modality)}
labels:   {", ".join(dataset.labels)}
classes:  {", ".join(dataset.classes) or "none"}
patients: {dataset.patients_guessed or "as the data set names them"}
sizes:    {sizes}; the largest slice fits --image_size {fitting}
memory:   {largest / 2**20:.1f} MiB for the largest image
cache:    {cache / 2**20:.0f} MiB on disk for {slices} slices of {image_size}x{image_size} pixels

{format_table(rows)}"""


def format_findings(findings: list[Finding]) -> str:
    """A table with a row per severity and check: how often, and the first example; the worst and commonest first."""
    if not findings:
        return "No findings."
    groups: dict[tuple[str, str], list[Finding]] = defaultdict(list)
    for finding in findings:
        groups[finding.severity, finding.check].append(finding)
    order = sorted(groups, key=lambda group: (SEVERITIES.index(group[0]), -len(groups[group])))
    rows = [["severity", "check", "count", "first example"]]
    rows += [[*group, str(len(groups[group])), groups[group][0].example] for group in order]
    widths = [max(len(row[n]) for row in rows) for n in range(3)]
    return "\n".join(
        f"{severity:<{widths[0]}}  {check:<{widths[1]}}  {count:>{widths[2]}}  {example}"
        for severity, check, count, example in rows
    )


def _trained(dataset: Dataset, fold: int | None) -> Iterator[tuple[str, list[Item]]]:
    """Of the file's lists and of every fold, how they are called and their training items, where there are any."""
    for view in _views(dataset, fold):
        with contextlib.suppress(DatasetError):  # check_splits has told
            items = select_items(dataset, "training", view, boxed=True)
            yield "the lists of dataset.json" if view is None else f"fold {view}", items


def _items_of(dataset: Dataset, split: str, fold: int | None) -> list[Item]:
    """What a training would use; where it would refuse, what the file lists."""
    try:
        return select_items(dataset, split, fold, boxed=True)
    except DatasetError:
        return dataset.splits[split] if fold is None else []


def _views(dataset: Dataset, fold: int | None) -> list[int | None]:
    """The file's lists and every fold, or the one fold asked for."""
    if fold is not None:
        return [fold]
    return [None, *sorted({item["fold"] for item in dataset.items if item.get("fold") is not None})]
