"""The embedded phantom data sets: brain-like MR, metastases or head-CT-like haemorrhage, written on first use."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import numpy.typing as npt

from scripts.data import phantom_ct, phantom_mr
from scripts.data.atomic import WriteError, explaining, replacing_folder
from scripts.data.contract import Dataset, DatasetError, Item, write_dataset
from scripts.data.phantom_fields import Grid
from scripts.data.splits import assign_splits

FOLDS = 5
_VERSION = 1  # raise it when the voxels change, so that an old folder is not taken for a new one

# Classes, or scanners, go round in these cycles, so a few patients are about as imbalanced as many, and of 40 patients
# each class has at least one per fold: A 47.5%, B 25%, C 15%, D 12.5%; IPH 37.5%, SDH 25%, SAH, IVH, EDH 12.5% each.
_CENTRE_CYCLE = tuple("ABACABAD" * 4 + "ABACABCD")
# Of `sequences` a hospital that sends T1 has two patients in training, and half of those who are tested.
_TRAINED, _VALIDATED = "FFFFFFTFFFFFFT", "FFFTFFFT"
_SEQUENCES = {"F": "FLAIR", "T": "T1"}
_TYPE_CYCLE = ("IPH", "SDH", "SAH", "IPH", "IVH", "SDH", "IPH", "EDH")

FIRST_TESTED = len(_TRAINED + _VALIDATED)

# What `dataset.json` says of each kind.
_DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "mr": {
        "modality": phantom_mr.MODALITIES,
        "labels": phantom_mr.LABELS,
        "classes": tuple(phantom_mr.CENTRES),
        "description": "brain-like MR of tumours from four centres",
    },
    "metastases": {
        "modality": ("T1Gd",),
        "labels": ("background", "metastasis"),
        "classes": (),
        "description": "brain-like contrast-enhanced MR of metastases",
    },
    "sequences": {
        "modality": ("MR",),
        "labels": ("background", "tumour"),
        "classes": tuple(_SEQUENCES.values()),
        "description": "brain-like MR of tumours, FLAIR or T1, which is rare in training",
    },
    "ct": {
        "modality": ("CT",),
        "labels": phantom_ct.LABELS,
        "classes": phantom_ct.TYPES,
        "description": "head-CT-like haemorrhage of five types",
    },
}
KINDS = tuple(_DESCRIPTIONS)


def write_phantom(
    folder: Path | str,
    *,
    kind: str = "mr",
    patients: int = 40,
    image_size: int = 64,
    slices: int = 12,
    seed: int = 0,
) -> Path:
    """Writes a phantom data set as NIfTI volumes with a `dataset.json`, unless the folder holds that one already.

    Patient n depends on the kind, size, slices, `seed` and n only, voxel by voxel. The folder appears complete or not
    at all: it is built in a hidden sibling, described last, then renamed. Of two processes that write the same folder
    the first to finish wins; a killed one leaves at most its hidden sibling `.<folder>.*`, which can be deleted.

    Args:
        folder: where to write; absent, empty, or holding the same phantom.
        kind: "mr" (FLAIR, T1, T1Gd, T2 in one channel-last volume; tumour labels 1 to 3; class = centre A to D; extra
            key `grade`, "high" or "low"), "sequences" (one channel, FLAIR or T1, which is the class and rare in
            training, half of what is tested; label 1; no folds), "metastases" (T1Gd; label 1; no classes, extra key
            `centre`: the scanners are those of "mr") or "ct" (HU; labels 1 to 5 and classes IPH, IVH, SAH, EDH, SDH).
        patients: number of patients, 3 or more (one each to train, validate and test); of "sequences" 24 or more.
        image_size: pixels per side of a slice of 192 mm x 192 mm, 16 or more.
        slices: axial slices over 60 mm, 1 or more.
        seed: 0 or more.

    Returns:
        The folder.

    Raises:
        DatasetError: an argument out of range, a folder with something else in it, or one that cannot be written.
    """
    folder = Path(folder).expanduser().absolute()
    parameters = {
        "version": _VERSION,
        "kind": kind,
        "patients": patients,
        "image_size": image_size,
        "slices": slices,
        "seed": seed,
    }
    _check_parameters(parameters)
    with explaining(folder):
        if _holds_phantom(folder, parameters):
            return folder
    try:
        with replacing_folder(folder) as building:
            _write_folder(building, parameters)
    except WriteError:
        if not _holds_phantom(folder, parameters):  # else another process was faster
            raise
    return folder


def default_dataset(bundle_root: str, kind: str = "mr") -> str:
    """The bundle's default data set, the phantom in `<bundle_root>/data/phantom_<kind>`, written on first use."""
    return str(write_phantom(Path(bundle_root) / "data" / f"phantom_{kind}", kind=kind))


def draw_patient(
    index: int, *, kind: str, image_size: int, slices: int, seed: int
) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int16], dict[str, str]]:
    """Draws patient `index`.

    Returns:
        image (X, Y, Z, 4) for "mr", else (X, Y, Z); label (X, Y, Z); the item's keys: `patient`, and for "mr" and
        "sequences" `class` and `grade`, for "ct" `class`, for "metastases" `centre`.
    """
    rng = np.random.default_rng([seed, index])
    grid = Grid(image_size, slices)
    keys = {"patient": f"phantom_{index:04d}"}
    if kind == "ct":
        main = _TYPE_CYCLE[index % len(_TYPE_CYCLE)]
        image, label = phantom_ct.draw_ct_patient(rng, grid, main=main)
        return image, label, {**keys, "class": main}
    if kind == "sequences":
        image, label, grade = phantom_mr.draw_mr_patient(rng, grid, centre="A")
        sequence = _SEQUENCES[(_TRAINED + _VALIDATED)[index] if index < FIRST_TESTED else "FT"[index % 2]]
        channel = phantom_mr.MODALITIES.index(sequence)
        return image[..., channel], (label > 0).astype(np.int16), {**keys, "class": sequence, "grade": grade}
    centre = _CENTRE_CYCLE[index % len(_CENTRE_CYCLE)]
    if kind == "metastases":
        image, label = phantom_mr.draw_metastases_patient(rng, grid, centre=centre)
        return image, label, {**keys, "centre": centre}
    image, label, grade = phantom_mr.draw_mr_patient(rng, grid, centre=centre)
    return image, label, {**keys, "class": centre, "grade": grade}


def _check_parameters(parameters: dict[str, Any]) -> None:
    if parameters["kind"] not in KINDS:
        raise DatasetError(f"The phantom's kind is {parameters['kind']!r}, expected one of {', '.join(KINDS)}.")
    fewest = FIRST_TESTED + 2 if parameters["kind"] == "sequences" else 3
    for name, least in (("patients", fewest), ("image_size", 16), ("slices", 1), ("seed", 0)):
        value = parameters[name]
        if not isinstance(value, int) or value < least:
            raise DatasetError(f"The phantom's {name} is {value!r}, expected a whole number, {least} or more.")


def _holds_phantom(folder: Path, parameters: dict[str, Any]) -> bool:
    """Whether the folder holds this phantom; False where it is absent or empty, an error where it holds another."""
    try:
        if not any(folder.iterdir()):
            return False
        found = json.loads((folder / "dataset.json").read_text(encoding="utf-8")).get("phantom")
    except FileNotFoundError:
        if not folder.exists():
            return False
        found = None
    except (ValueError, AttributeError):  # not JSON, not text, or no object
        found = None
    if found == parameters:
        return True
    held = f"the phantom {found}" if found else "something that is no phantom"

    raise DatasetError(f"{folder} holds {held}, expected nothing or {parameters}. Name another folder or delete it.")


def _write_folder(folder: Path, parameters: dict[str, Any]) -> None:
    """Writes all volumes, then `dataset.json`."""
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    drawing = {name: parameters[name] for name in ("kind", "image_size", "slices", "seed")}
    # numpy and zlib release the interpreter's lock
    with ThreadPoolExecutor(max_workers=min(os.cpu_count() or 1, 8)) as pool:
        items = list(pool.map(lambda index: _write_patient(folder, index, **drawing), range(parameters["patients"])))
    if parameters["kind"] == "sequences":
        trained = len(_TRAINED)
        splits = {"training": items[:trained], "validation": items[trained:FIRST_TESTED], "test": items[FIRST_TESTED:]}
    else:
        splits = assign_splits(items, folds=min(FOLDS, len(items)), seed=parameters["seed"])
    about = _DESCRIPTIONS[parameters["kind"]]
    dataset = Dataset(
        root=folder,
        name=f"phantom_{parameters['kind']}",
        modality=list(about["modality"]),
        labels=list(about["labels"]),
        classes=list(about["classes"]),
        splits=splits,
    )
    write_dataset(
        folder,
        dataset,
        description=f"Computed images of no person: {about['description']}",
        licence="Apache-2.0",
        phantom=parameters,
    )


def _write_patient(folder: Path, index: int, **drawing: Any) -> Item:
    """Writes one patient's volumes and returns its item."""
    image, label, keys = draw_patient(index, **drawing)
    grid = Grid(drawing["image_size"], drawing["slices"])
    # the arrays run left, back, up (LPS); NIfTI's world runs right, front, up (RAS)
    affine = np.diag([-grid.spacing[0], -grid.spacing[1], grid.spacing[2], 1.0])
    affine[:3, 3] = [-grid.axes[0][0], -grid.axes[1][0], grid.axes[2][0]]
    item: Item = {}
    for name, array in (("image", image), ("label", label)):
        path = folder / f"{name}s" / f"{keys['patient']}.nii.gz"
        volume = nib.Nifti1Image(array, affine)
        volume.header.set_xyzt_units("mm", "sec")
        nib.save(volume, path)
        item[name] = str(path)
    return {**item, **keys}
