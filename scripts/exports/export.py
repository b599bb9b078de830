"""`export`: writes synthetic sets in the formats of other tools."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from scripts.data.atomic import replacing_folder
from scripts.data.claims import claimed
from scripts.data.contract import DatasetError

logger = logging.getLogger(__name__)

FORMATS = ("decathlon", "nnunet", "coco", "yolo", "dicom", "png")
WITH_MASKS = ("decathlon", "nnunet")
OPTIONS = {"real": WITH_MASKS, "fold": ("decathlon",), "channels": ("coco", "yolo"), "dataset_id": ("nnunet",)}


@dataclass(frozen=True)
class Exported:
    """What `export` wrote."""

    folder: Path
    format: str
    image_count: int
    notes: list[str]  # what else was decided, such as the splits


def export(
    *sets: str,
    to: str,
    output: str,
    real: str | None = None,
    fold: int | None = None,
    channels: Any = None,
    dataset_id: int | None = None,
    allow_memorised: Any = None,
) -> Exported:
    """Writes one or several synthetic sets in the format of another tool; every image stays marked as synthetic.

    Args:
        sets: folders of synthetic sets; several (one per generator or fold) are written as one.
        to: decathlon, nnunet, coco, yolo, dicom or png.
        output: a new folder.
        real: decathlon, nnunet: the real data set to write beside them, in training, validation and test parts in
            which no synthetic image meets a patient that its generator knows.
        fold: decathlon with --real: of the cross-validation, as in the generator's training.
        channels: coco, yolo: one channel, or three for red, green and blue, such as 0,1,2; by default all.
        dataset_id: nnunet: number of the data set, 1 to 999; by default 501.
        allow_memorised: a set, or several (a,b), to export although it failed its memorisation audit; its folder or the
            folder's name.

    Raises:
        DatasetError: an unknown format or option, an existing output, sets that the format cannot take, or a leak
            between synthetic and held-out images, or a set that repeats training images; nothing is left half-written.
    """
    given = {"real": real, "fold": fold, "channels": channels, "dataset_id": dataset_id}
    _check_options(to, {name: value for name, value in given.items() if value is not None})
    folder = Path(str(output)).expanduser().absolute()
    if folder.exists():
        raise DatasetError(f"{folder} exists, expected a new folder. Name another --output, or remove that one.")
    from scripts.exports.entries import select_synthetic  # loads MONAI: not at --help

    selection = select_synthetic(sets, allow_memorised=allow_memorised)
    if to in WITH_MASKS and not selection.has_masks:
        raise DatasetError(
            f"{selection.sets[0].root} has boxes in place of label maps, which {to} cannot take. "
            "Export it to coco, yolo, dicom or png."
        )
    write, notes = _prepare(to, selection, given)
    start = time.perf_counter()
    with claimed(folder), replacing_folder(folder) as temporary:
        write(temporary)
    wrote = f"Wrote {len(selection.entries)} synthetic images to {folder} ({to})"
    logger.info("\n".join([f"{wrote} in {time.perf_counter() - start:.1f} s.", *notes]))
    return Exported(folder, to, len(selection.entries), notes)


def _check_options(to: str, given: dict[str, Any]) -> None:
    if to not in FORMATS:
        raise DatasetError(f"--to is {to!r}, expected one of {', '.join(FORMATS)}.")
    for name, value in given.items():
        if to not in OPTIONS[name]:
            takers = ", ".join(OPTIONS[name])
            raise DatasetError(f"--{name} is {value!r}, but {to} has no such option; it is for {takers}.")
    if "fold" in given and "real" not in given:
        raise DatasetError("--fold says how to split real images. Name these with --real.")
    number = given.get("dataset_id", 501)
    if not isinstance(number, int) or not 1 <= number <= 999:
        raise DatasetError(f"--dataset_id is {number!r}, expected a number from 1 to 999.")


def _prepare(to: str, selection: Any, given: dict[str, Any]) -> tuple[Callable[[Path], None], list[str]]:
    """What writes the format into an empty folder, and what to tell the user then; refuses all that it can before."""
    if to == "dicom":
        try:
            from scripts.exports.dicom import write_dicom
        except ModuleNotFoundError as error:
            raise DatasetError(f"No package {error.name!r}, which dicom needs. Run `pip install highdicom`.") from None
        return partial(write_dicom, selection=selection), []
    if to in ("coco", "yolo", "png"):
        from scripts.exports.pictures import check_channels, write_coco, write_png_csv, write_yolo

        if to == "png":
            return partial(write_png_csv, selection=selection), []
        channels = given["channels"]
        try:
            if channels is not None and not isinstance(channels, (list, tuple)):
                channels = [int(word) for word in str(channels).split(",")]
        except ValueError:
            raise DatasetError(f"--channels is {channels!r}, expected numbers such as 0 or 0,1,2.") from None
        channels = check_channels(channels, selection.description.modality)
        return partial(write_coco if to == "coco" else write_yolo, selection=selection, channels=channels), []
    from scripts.exports.volumes import plan_folds, split_real, write_decathlon, write_nnunet

    if to == "decathlon":
        real = None if given["real"] is None else split_real(given["real"], selection, fold=given["fold"])
        counts = [] if real is None else [f"{split} {len(entries)}" for split, entries in real.items()]
        notes = [f"Real images: {', '.join(counts)}."] if counts else []
        return partial(write_decathlon, selection=selection, real=real), notes
    folds = None if given["real"] is None else plan_folds(given["real"], selection)
    notes = ["No splits_final.json: there is nobody real to validate on. Export with --real, or add your own."]
    if folds is not None:
        made = {entry.name for entry in selection.entries}
        notes = [
            f"fold {n}: trains on {len(set(fold['train']) - made)} real and {len(made & set(fold['train']))} "
            f"synthetic cases, validates {len(fold['val'])} real ones"
            for n, fold in enumerate(folds.splits)
        ]
    number = given["dataset_id"] or 501
    return partial(write_nnunet, selection=selection, dataset_id=number, folds=folds), notes
