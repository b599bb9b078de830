"""Who the patient of an image is: as columns and keys say it, or guessed from folders and names, and told."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

# What columns and keys of the patient are called, without case and punctuation; the first that is there counts.
PATIENT_KEYS = (
    *("patient", "patientid", "patientnumber", "patientno", "patientname", "subject", "subjectid", "subjectnumber"),
    *("participant", "participantid", "person", "personid", "pid", "patid", "mrn"),
)
BLANK = ("", "nan", "none", "null", "n/a")

_CONTAINERS = re.compile(
    r"images?(tr|ts)?|imgs?|jpegimages|pictures|scans|volumes|data|raw|dicom|nifti|png|jpe?g|files"
)
_SPLITS = re.compile(r"train(ing)?|val(id|idation|idating)?|test(ing)?")
_DATE = (
    r"(?:19|20)\d\d[-_.]?(?:0[1-9]|1[0-2])[-_.]?(?:0[1-9]|[12]\d|3[01])(?:[-_T]?\d{6})?|(?:19|20)\d\d[-_.](?:0[1-9]|1[0-2])"
    r"|(?:0[1-9]|[12]\d|3[01])[-_.](?:0[1-9]|1[0-2])[-_.](?:19|20)\d\d"
)
_VISIT = (
    r"(?:ses|session|visit|timepoint|time|tp|day|week|month|year|follow[-_ ]?up|fu|baseline|base|bl|pre|post)(?:op)?"
    r"[-_ ]?\d*|[vmd]\d{1,3}"
)
_VIEW = (
    r"t1|t1n|t1w|t1ce|t1c|t1gd|t2|t2w|t2f|flair|dwi|adc|swi|pd|ct|mri?|pet|arterial|venous|portal|axial|sagittal"
    r"|coronal|left|right|[lr]|od|os|cc|mlo"
)
_SEEN_AGAIN = re.compile(rf"{_DATE}|{_VISIT}|{_VIEW}")  # a folder of one patient's images, seen again
_LATER = re.compile(r"(?:scan|study|exam|series|acq|run)[-_ ]?\d*")  # so below the first folder
_YEAR = re.compile(r"(?:19|20)\d\d")
_SUFFIX = re.compile(
    rf"[-_ .](?:{_DATE}|{_VISIT}|{_VIEW}|0000|image|img"
    r"|(?:slice|slc|sl|frame|scan|z|tile|patch|crop|layer|series|acq|run)[-_ ]?\d+)$",
    re.IGNORECASE,
)
_STANDARD = re.compile(
    r"(?<![a-z0-9])(sub-[a-z0-9]+|tcga[-_.][a-z0-9]{2}[-_.][a-z0-9]{4}|brats-[a-z]+-\d+|brats\d\d_[^_/]+_[^_/]+(?=_\d))"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_NUMBERED = re.compile(
    r"(?<![a-z0-9])(?:patient|pat|subject|subj|sub|participant|case|pid|pt|p)[-_ ]?(?:id[-_ ]?)?\d+(?![a-z0-9])",
    re.IGNORECASE,
)
_GROUP = re.compile(
    r"class|grade|fold|batch|part|site|cent(?:er|re)|set|group|stage|cohort|hospital|split|birads|type|level|score|train|valid|test|task",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class PatientGuess:
    """From what patients were guessed, with up to three examples, and why that may be wrong."""

    source: str
    examples: list[str] = field(default_factory=list)
    doubt: str = ""

    def __str__(self) -> str:
        told = f"Patients were guessed from {self.source}: {', '.join(self.examples)}."
        return f"{told} {self.doubt}".strip()


def find_patient_key(names: Iterable[str]) -> str | None:
    """The column or key that names the patient: `patient_id`, `PatientID`, `Subject` ...; None if there is none."""
    plain = {re.sub("[^a-z]", "", name.lower()): name for name in reversed(list(names))}
    return next((plain[key] for key in PATIENT_KEYS if key in plain), None)


def clean_patients(values: Sequence[Any]) -> list[str | None]:
    """Patients as texts: blank ones and NaN None, `1.0` as `1` (a spreadsheet's number) unless there are fractions."""
    texts = [None if isinstance(value, float) and math.isnan(value) else str(value).strip() for value in values]
    known = [None if text is None or text.lower() in BLANK else text for text in texts]
    if any(text and re.fullmatch(r"\d+\.\d*[1-9]\d*", text) for text in known):
        return known
    return [text and re.sub(r"^(\d+)\.0+$", r"\1", text) for text in known]


def guess_patients(names: Sequence[str], classes: Sequence[str | None] = ()) -> tuple[list[str], PatientGuess]:
    """The patient of each image, guessed so that images which may be of one patient share it where names tell.

    In this order: a number that says whose it is, where all have one (`sub-01`, `TCGA-CS-4942`, `pat_3`, `case 7`);
    the folders, where names repeat in them or several images lie in each of many numbered ones; else the name. Dates,
    visits, sequences, sides and slice numbers (`_20190312`, `ses-2`, `_t1`, `_left`, `slice_04`) tell no patients
    apart, folders such as `images` and `train` neither, unless nothing else does.

    `names` are paths of the images below the data set's folder, with `/`, without suffixes; a folder that is called
    like its image's class is no patient.
    """
    paths = [name.split("/") for name in names]
    ways = (_by_number, _by_folder, _by_name)
    patients, source, doubt = next(found for way in ways if (found := way(paths, classes)))
    shown: dict[str, str] = {}
    for patient, name in zip(patients, names, strict=True):
        shown.setdefault(patient, f"{patient} ({name})")
    return patients, PatientGuess(source, list(shown.values())[:3], doubt)


def find_alike(patients: Iterable[str]) -> list[list[str]]:
    """Groups of patients whose names differ in case, punctuation or leading zeros only: `P1`, `p-01`."""
    groups: dict[str, list[str]] = defaultdict(list)
    for patient in sorted(set(patients)):
        groups[re.sub(r"[\W_]+|(?<!\d)0+(?=\d)", "", patient.casefold())].append(patient)
    return [group for group in groups.values() if len(group) > 1]


Found = tuple[list[str], str, str]  # patients, from what, why it may be wrong


def _by_number(paths: Sequence[Sequence[str]], _: Sequence[str | None]) -> Found | None:
    cleaned = ["/".join([*_folders(path), path[-1]]) for path in paths]
    standard = [match[1] for text in cleaned if (match := _STANDARD.search(text))]
    if len(standard) == len(cleaned):
        return standard, "identifiers in their paths", ""
    numbered = [text[: match.end()] for text in cleaned if (match := _NUMBERED.search(text))]
    return (numbered, "numbers in their paths", "") if len(numbered) == len(cleaned) else None


def _by_folder(paths: Sequence[Sequence[str]], classes: Sequence[str | None]) -> Found | None:
    years = all(any(_YEAR.fullmatch(folder) for folder in path[:-1]) for path in paths)
    folders = ["/".join(_folders(path, years=years)) for path in paths]
    places: dict[str, set[str]] = defaultdict(set)
    for path, folder in zip(paths, folders, strict=True):
        places[path[-1]].add(folder)
    repeated = any(len(found) > 1 for found in places.values())
    used = set(folders) - {""}
    of_class = bool(classes) and [folder.split("/")[-1] for folder in folders] == list(classes)
    numbered = all(re.search(r"\d", folder) and not _GROUP.search(folder) for folder in used)
    several = max(Counter(folders).values()) > 1 and len(used) > 2
    if repeated and not of_class and (len(used) > 2 or numbered):
        return _with_names_outside(paths, folders), "folders, since names repeat in them", ""
    if several and numbered and not of_class:
        return _with_names_outside(paths, folders), "folders", ""
    if repeated:
        doubt = f"Names repeat in {len(used)} folders: if these are patients, splits leak. {_REMEDY}"
        return ["/".join([*_folders(path), path[-1]]) for path in paths], "paths, since names repeat", doubt
    return None


def _by_name(paths: Sequence[Sequence[str]], _: Sequence[str | None]) -> Found:
    leaves = [path[-1] for path in paths]
    if len({tuple(_folders(path)) for path in paths}) > 2:
        doubt = f"They lie in folders: if these are patients, splits leak. {_REMEDY}"
    else:
        doubt = ""
    stripped = [_strip(leaf) for leaf in leaves]
    if len(set(stripped)) > 1 or len(set(leaves)) == 1:
        leaves = stripped
    leaves = _apart_by_split(paths, leaves)
    trunks = Counter(re.sub(r"[-_ .(]*\d+\)?$", "", leaf) for leaf in set(leaves))
    if not doubt and len(trunks) > 1 and 2 * sum(n for n in trunks.values() if n > 1) > len(leaves):
        trunk = max(trunks, key=lambda name: trunks[name])
        first, second = sorted(leaf for leaf in set(leaves) if leaf.startswith(trunk))[:2]
        doubt = f"If {first} and {second} are of one patient, splits leak. {_REMEDY}"
    return leaves, "the names of files", doubt


_REMEDY = 'Say so with --patient_pattern of prepare, such as "^([^/]+)/" (folder) or "^([^_]+)_" (name).'


def _folders(path: Sequence[str], *, years: bool = False) -> list[str]:
    """The folders of an image that may tell patients apart."""
    kept: list[str] = []
    for folder in path[:-1]:
        name = folder.lower()
        patterns = [_SEEN_AGAIN, _CONTAINERS, _SPLITS, *([_LATER] if kept else []), *([_YEAR] if years else [])]
        if not any(pattern.fullmatch(name) for pattern in patterns):
            kept.append(folder)
    return kept


def _with_names_outside(paths: Sequence[Sequence[str]], folders: Sequence[str]) -> list[str]:
    return [folder or _strip(path[-1]) for path, folder in zip(paths, folders, strict=True)]


def _apart_by_split(paths: Sequence[Sequence[str]], leaves: Sequence[str]) -> list[str]:
    """Names that repeat in folders of splits only, `train/1` and `val/1`, are told apart by these."""
    splits = [next((part for part in path[:-1] if _SPLITS.fullmatch(part.lower())), "") for path in paths]
    homes: dict[str, set[str]] = defaultdict(set)
    for path, split in zip(paths, splits, strict=True):
        homes[path[-1]].add(split)
    if all(len(home) < 2 for home in homes.values()):
        return list(leaves)
    return [f"{split}/{leaf}" if split else leaf for split, leaf in zip(splits, leaves, strict=True)]


def _strip(leaf: str) -> str:
    while match := _SUFFIX.search(leaf):
        leaf = leaf[: match.start()]
    return leaf
