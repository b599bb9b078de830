"""How often the memorisation audit is wrong: real images of new patients that fail, and copies that pass.

    python -m scripts.experiments.benchmark_memorisation data/lgg

The audit's features are left out: it looks by pixels alone, at the level that it has beside them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence

import fire
import numpy as np

from scripts.data.contract import read_dataset
from scripts.data.slices import LesionRule, SliceDataset
from scripts.metrics.memorisation import LEVEL, find_copies
from scripts.metrics.nearest import THUMBNAIL_SIZE, image_distances, make_thumbnail
from scripts.transforms.preprocessing import slice_preprocessing

COPIED = (0.0, 0.25, 0.5, 1.0)  # shares of training images in sets that are otherwise of new patients


def benchmark_memorisation(
    *folders: str,
    image_size: int = 64,
    most_images: int = 700,
    held_out: Sequence[float] = (0.1, 0.2),
    splits: int = 500,
) -> None:
    """Prints the share of the sets that fail, by data set, held-out patients, and how much of a set is copies.

    Patients are split at random into those to calibrate on, as many new ones, and those to train on. A set has as many
    images as there are training slices, without copies all those of the new patients. A copy is mirrored at random,
    shifted by up to 2 pixels along each axis, scaled by .9 to 1.1, and has noise with a standard deviation of .1 in
    [-1, 1].

    Args:
        folders: of data sets with label maps; slices with lesion are taken.
        image_size: side of the slices in pixels.
        most_images: slices, evenly spread.
        held_out: shares of the patients to calibrate on.
        splits: random ones.
    """
    print(f"| data | to calibrate on | {' | '.join(f'{share:.0%} copies' for share in COPIED)} |")
    print("| --- " * (2 + len(COPIED)) + "|")
    for folder in folders:
        images, patients = _read(folder, image_size, most_images)
        rng = np.random.default_rng(0)
        thumbnails, copies = (
            np.stack([make_thumbnail(image) for image in part]) for part in (images, _copy(images, rng))
        )
        # Rows: real images, then their copies; columns: real images.
        distances = image_distances(np.concatenate([thumbnails, copies]), thumbnails)
        for share in held_out:
            failed = np.array([_fail(distances, patients, share, rng) for _ in range(splits)])
            count = int(share * len(np.unique(patients)))
            rates = " | ".join(f"{rate:.3f}" for rate in failed.mean(axis=0))
            print(f"| {read_dataset(folder).name} | {count} patients | {rates} |", flush=True)


def _fail(distances: np.ndarray, patients: np.ndarray, share: float, rng: np.random.Generator) -> list[bool]:
    """Whether a set fails, for each share of copies, at one split of the patients."""
    names = rng.permutation(np.unique(patients))
    count = int(share * len(names))
    groups = (names[:count], names[count : 2 * count], names[2 * count :])
    held_out, new, training = (np.flatnonzero(np.isin(patients, group)) for group in groups)
    verdicts = []
    for copied in COPIED:
        number = round(copied * len(training))
        # Made ones are each a patient of their own, as without masks; real ones are as they come.
        copies = rng.choice(training, number, replace=False) + len(patients)
        rows = np.concatenate([copies, rng.choice(new, len(training) - number)]) if number else new
        units = np.arange(len(rows)).astype(str) if number else patients[rows]
        found = find_copies(
            lambda a, b: distances[np.ix_(a, b)],
            rows,
            training,
            held_out,
            patients=units.tolist(),
            held_out_patients=patients[held_out].tolist(),
        )
        verdicts.append(found.p <= LEVEL / 2)
    return verdicts


def _read(folder: str, image_size: int, most: int) -> tuple[np.ndarray, np.ndarray]:
    """Slices with lesion (n, C, S, S) and their patients (n,)."""
    description = read_dataset(folder)
    items = [item for item in description.items if item["label"]]
    preprocessing = slice_preprocessing(description=description, image_size=image_size)
    with tempfile.TemporaryDirectory() as cache:
        slices = SliceDataset(items, preprocessing, cache, rule=LesionRule())
        places = np.linspace(0, len(slices) - 1, min(most, len(slices))).astype(int).tolist()
        elements = [slices[place] for place in places]
    images = np.stack([element["image"].numpy() for element in elements])
    return images, np.array([element["patient"] for element in elements])


def _copy(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    copies = []
    for image in images:
        image = image[:, :: rng.choice([-1, 1]), :: rng.choice([-1, 1])]
        reach = 2 * image.shape[-1] // THUMBNAIL_SIZE
        image = np.roll(image, rng.integers(-reach, reach + 1, size=2), axis=(1, 2))
        copies.append(rng.uniform(0.9, 1.1) * image + rng.normal(0, 0.1, image.shape))
    return np.clip(copies, -1, 1)


if __name__ == "__main__":
    fire.Fire(benchmark_memorisation)
