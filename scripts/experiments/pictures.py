"""The pictures of a study's page: synthetic images beside their sources, and good and bad cases of the segmenters."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy import ndimage

from scripts.data.atomic import write_whole
from scripts.data.contract import Dataset, Item, image_files, read_dataset
from scripts.experiments.planning import StudyPlan
from scripts.experiments.study import Study
from scripts.pictures.grids import (
    LABEL_COLOURS,
    channel_picture,
    image_pictures,
    label_picture,
    picture_titles,
    write_grid,
)
from scripts.pictures.single_slices import load_slice
from scripts.scores.results import Picture
from scripts.transforms.loading import LoadItemd

SHOWN = 8  # columns of synthetic images
CASES = {"best": 1.0, "median": 0.5, "worst": 0.0}  # and their places among the patients by score
CELL = 240  # pixels of a picture with contours or boxes
REFERENCE, PREDICTION = (255, 255, 255), LABEL_COLOURS[0]


def draw_pictures(
    study: Study, plan: StudyPlan, scores: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]
) -> list[Picture]:
    """Writes every picture into `<results>/pictures` and says what they show.

    Args:
        study: what was run.
        plan: its jobs.
        scores: of the segmentation's baseline and best GAN arm: Dice by patient.
        titles: of the arms.
    """
    folder = study.results / "pictures"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    dataset = study.dataset
    pictures = [_draw_sources(dataset, title, made, study, folder) for title, made in _sets(plan)]
    pictures += _copy_pictures(plan, folder)
    pictures += [_draw_cases(study, dataset, plan, scores, titles), _join_detections(plan, titles, folder)]
    return [picture for picture in pictures if picture is not None]


def legend(dataset: Dataset) -> list[tuple[str, str]]:
    """Colours of the labels, as `label_picture` draws them."""
    colours = [LABEL_COLOURS[n % len(LABEL_COLOURS)] for n in range(dataset.foreground_count)]
    return [
        (name, "#{:02x}{:02x}{:02x}".format(*colour)) for name, colour in zip(dataset.labels[1:], colours, strict=True)
    ]


def _sets(plan: StudyPlan) -> list[tuple[str, Path]]:
    """The synthetic sets to draw from, each once."""
    found = {made: title for shown in plan.shown.values() for title, made in shown.sets}
    return [(title, made) for made, title in found.items() if (made / "dataset.json").exists()]


def _draw_sources(dataset: Dataset, title: str, made: Path, study: Study, folder: Path) -> Picture | None:
    """Columns of a synthetic set: the image that the mask is from, the mask, and what was made of it."""
    synthetic = read_dataset(made)
    items = [item for item in synthetic.items if item["label"]]
    if not items:
        return None
    by_file = {image_files(item)[0]: item for item in dataset.items}
    columns, titles = [], []
    for n in np.linspace(0, len(items) - 1, min(SHOWN, len(items))).astype(int):
        image = load_slice(synthetic, items[n]).fit(study.image_size_pixels)
        source, _, z = str(items[n]["synthetic"].get("source", "")).rpartition("#")
        column = []
        if source in by_file:
            real = load_slice(dataset, by_file[source], int(z)).fit(study.image_size_pixels)
            column = image_pictures(np.asarray(real.image), dataset.modality)
        mask = label_picture(np.asarray(image.label)[0], dataset.foreground_count)
        columns.append([*column, mask, *image_pictures(np.asarray(image.image), dataset.modality)])
        titles.append(items[n]["class"] or "")
    has_source = len(columns[0]) > 1 + len(picture_titles(dataset.modality, ""))
    rows = [*(picture_titles(dataset.modality, "source") if has_source else []), "mask"]
    file = folder / f"made_{made.parent.name}_{made.name}.png"
    write_grid(columns, file, row_titles=[*rows, *picture_titles(dataset.modality, "made")], column_titles=titles)
    what = "the image that the mask was taken from, the mask, and" if has_source else "the annotation, and"
    return Picture(f"pictures/{file.name}", f"{title}. Top to bottom: {what} what was made.", legend=legend(dataset))


def _copy_pictures(plan: StudyPlan, folder: Path) -> list[Picture]:
    found = []
    for (fraction, system), shown in plan.shown.items():
        for file, caption, section in shown.pictures:
            if file.exists():
                name = f"{system}_{file.parent.name}_{file.stem}" + ("" if fraction == 1 else f"_{fraction:g}")
                write_whole(folder / f"{name}.png", file.read_bytes())
                found.append(Picture(f"pictures/{name}.png", caption, section))
    return found


def _draw_cases(
    study: Study,
    dataset: Dataset,
    plan: StudyPlan,
    scores: Mapping[str, Mapping[str, float]],
    titles: Mapping[str, str],
) -> Picture | None:
    """The baseline's best, median and worst patient, a row for each arm: reference white, prediction in colour."""
    if not scores:
        return None
    baseline = next(iter(scores.values()))
    ranked = sorted((patient for patient in baseline if not np.isnan(baseline[patient])), key=baseline.__getitem__)
    rows = {}
    for arm in scores:
        files = sorted(_cases_folder(plan, arm).glob("*.npz"))
        cases = {str(case["patient"]): case for case in (np.load(file) for file in files)}
        rows[arm] = cases
    ranked = [patient for patient in ranked if all(patient in cases for cases in rows.values())]
    if not ranked:
        return None
    items = {image_files(item)[0]: item for item in dataset.items}
    columns, heads = [], []
    for words, place in CASES.items():
        patient = ranked[round(place * (len(ranked) - 1))]
        column = []
        for arm, cases in rows.items():
            case = cases[patient]
            column.append(_contours(study, dataset, items.get(str(case["image"])), case))
            words += f"{' / ' if column[1:] else ' '}{scores[arm].get(patient, np.nan):.2f}"
        columns.append(column)
        heads.append(words)
    write_grid(columns, study.results / "pictures" / "cases.png", row_titles=[], column_titles=heads, cell_size=CELL)
    caption = (
        f"The patients with the best, median and worst Dice of {titles[next(iter(scores))]}, in whose slice with most "
        f"lesion the reference is white and the prediction orange. Rows: {'; '.join(titles[arm] for arm in scores)}; "
        "the numbers are their Dice."
    )
    return Picture("pictures/cases.png", caption, "cases")


def _cases_folder(plan: StudyPlan, arm: str) -> Path:
    mine = [each for each in plan.evaluations if each.task == "segmentation" and each.arm.name == arm]
    return mine[0].folder / "cases"


def _contours(study: Study, dataset: Dataset, item: Item | None, case: Mapping[str, np.ndarray]) -> np.ndarray:
    """The slice's shown channel (or its colours) with the contours, (CELL, CELL, 3)."""
    shape = case["label"].shape
    picture = np.zeros(shape[::-1], np.uint8)
    if item is not None:
        data: Any = LoadItemd.of(dataset, ["image"])({"image": item["image"]})
        image = np.asarray(data["image"], dtype=np.float32)
        image = image[..., int(case["z"])] if image.ndim == 4 else image
        low, high = image.min(axis=(1, 2), keepdims=True), image.max(axis=(1, 2), keepdims=True)
        scaled = 2 * (image - low) / np.maximum(high - low, 1e-6) - 1
        picture = channel_picture(scaled, dataset.modality, study.shown_channel)
    side = max(shape)
    square = Image.new("RGB", (side, side))
    square.paste(Image.fromarray(picture).convert("RGB"), ((side - shape[0]) // 2, (side - shape[1]) // 2))
    drawn = np.asarray(square.resize((CELL, CELL), Image.Resampling.BICUBIC)).copy()
    for key, colour in (("label", REFERENCE), ("pred", PREDICTION)):
        mask = Image.new("L", (side, side))
        inside = Image.fromarray((case[key].T > 0).astype(np.uint8) * 255)
        mask.paste(inside, ((side - shape[0]) // 2, (side - shape[1]) // 2))
        filled = np.asarray(mask.resize((CELL, CELL), Image.Resampling.BILINEAR)) > 127
        drawn[filled & ~ndimage.binary_erosion(filled, iterations=2)] = colour
    return drawn


def _join_detections(plan: StudyPlan, titles: Mapping[str, str], folder: Path) -> Picture | None:
    """The same test images with what several arms' detectors find, a row for each arm."""
    rows = {arm: found / "pictures" for arm, found in plan.detections.items()}
    shared: Sequence[str] = sorted(
        set.intersection(*({file.name for file in each.glob("*.png")} for each in rows.values())) if rows else set()
    )
    if not shared:
        return None
    columns = [[np.asarray(Image.open(each / name)) for each in rows.values()] for name in shared]
    write_grid(columns, folder / "detections.png", row_titles=[], cell_size=CELL)
    shown = "; ".join(titles[arm] for arm in rows)
    caption = f"Test images, true boxes dashed, with what one detector of each arm finds. Rows: {shown}."
    return Picture("pictures/detections.png", caption, "cases")
