"""nnU-Net's raw format: `imagesTr/CASE_0000.nii.gz` per channel, `labelsTr/CASE.nii.gz`, and its own dataset.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scripts.data.contract import Dataset, DatasetError, Item
from scripts.data.json_models import read_object
from scripts.data.layouts.files import find_files, find_folder


def read_nnunet_raw(source: Path) -> Dataset:
    """The cases of `labelsTr` with their channels; `imagesTs`, if any, is the test list, labelled by `labelsTs`.

    A picture such as PNG may hold all channels in its `_0000` file. Where dataset.json has the list `dataset`, the
    training cases are those of it.

    Raises:
        DatasetError: no or malformed dataset.json, regions or an ignore label, a case without all its channels.
    """
    raw = read_object(source / "dataset.json", "nnU-Net's raw format has it. Is this another layout?")
    channels = raw.get("channel_names") or raw.get("modality")
    labels = raw.get("labels")
    if not isinstance(channels, dict) or not isinstance(labels, dict):
        raise DatasetError(f"{source / 'dataset.json'}: expected the objects 'channel_names' and 'labels'.")
    ending = "." + str(raw.get("file_ending", ".nii.gz")).lstrip(".")
    listed = raw.get("dataset")
    training = _read_list(source, listed, len(channels)) if listed else _read_cases(source, "Tr", ending, len(channels))
    splits = {"training": training}
    if (source / "imagesTs").is_dir():
        splits["test"] = _read_cases(source, "Ts", ending, len(channels))
    names = [str(channels[key]) for key in sorted(channels, key=int)]
    return Dataset(source, str(raw.get("name", source.name)), names, _label_names(labels, source), splits=splits)


def _label_names(labels: dict[str, Any], source: Path) -> list[str]:
    """{"background": 0, "tumour": 1} of version 2, {"0": "background"} of version 1."""
    if all(key.isdigit() for key in labels):
        labels = {str(name): int(key) for key, name in labels.items()}
    labels = {name: int(value) if str(value).strip().isdigit() else value for name, value in labels.items()}
    if not all(isinstance(value, int) for value in labels.values()):
        raise DatasetError(
            f"{source / 'dataset.json'}: 'labels' has regions, {labels}; expected one integer per label. "
            "Name the integers in the files there instead."
        )
    if "ignore" in labels:
        raise DatasetError(f"{source / 'dataset.json'}: an 'ignore' label is not supported. Annotate those voxels.")
    if sorted(labels.values()) != list(range(len(labels))):
        raise DatasetError(f"{source / 'dataset.json'}: 'labels' is {labels}, expected the integers 0, 1, 2 ...")
    return sorted(labels, key=lambda name: labels[name])


def _read_cases(source: Path, suffix: str, ending: str, channel_count: int) -> list[Item]:
    images = find_folder(source, f"images{suffix}")
    channels: dict[str, list[str]] = {}
    for file in find_files(images, f"*_[0-9][0-9][0-9][0-9]{ending}"):
        channels.setdefault(file.name[: -len(ending) - 5], []).append(str(file))
    labels = {file.name[: -len(ending)]: str(file) for file in find_files(source / f"labels{suffix}", f"*{ending}")}
    if not channels:
        raise DatasetError(f"{images} has no files such as CASE_0000{ending}.")
    unpaired = sorted(labels.keys() - channels.keys() if suffix == "Ts" else labels.keys() ^ channels.keys())
    if unpaired:
        raise DatasetError(f"{source}: {len(unpaired)} cases lack image or label, first {unpaired[0]!r}. Add it.")
    items = []
    for case, files in channels.items():
        if len(files) not in (1, channel_count):
            raise DatasetError(f"{images}: case {case} has {len(files)} of {channel_count} channels. Add the others.")
        image = files if channel_count > 1 and len(files) > 1 else files[0]
        items.append({"image": image, "label": labels.get(case), "case": case, "class": None})
    return items


def _read_list(source: Path, listed: Any, channel_count: int) -> list[Item]:
    """The cases of `dataset`: {"case": {"images": [one per channel], "label": file}}, relative to the folder."""
    where = f"{source / 'dataset.json'}: 'dataset'"
    if not isinstance(listed, dict):
        raise DatasetError(f"{where} is a {type(listed).__name__}, expected an object of cases.")
    items = []
    for case, content in listed.items():
        files, label = (content.get("images"), content.get("label")) if isinstance(content, dict) else (None, None)
        if not isinstance(files, list) or not files or not isinstance(label, str):
            raise DatasetError(f'{where}: {case} is {content!r}, expected {{"images": [...], "label": ...}}.')
        if len(files) not in (1, channel_count):
            raise DatasetError(f"{where}: case {case} has {len(files)} of {channel_count} channels. Add the others.")
        paths = [str(source / file) for file in (*files, label)]
        for path in paths:
            if not Path(path).exists():
                raise DatasetError(f"{where}: case {case}: no file {path}. Complete the download.")
        image = paths[:-1] if len(files) > 1 else paths[0]
        items.append({"image": image, "label": paths[-1], "case": str(case), "class": None})
    return items
