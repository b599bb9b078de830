"""Whether lesions appear in boxes: a box's contrast against its surroundings, or what a segmenter sees.

Han et al., Learning more with less, 2019, sections 2.3 and 3.3: synthetic images are dropped only where they clearly
lack the disease, by eye there. Here the contrast that real lesions have says what is too little.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scripts.transforms.outline import find_head

BACKGROUND = -0.85  # pixels whose median over the channels is below it are outside the head, unless they lie within it
RING = 0.5  # width of the ring on each side, as a share of the box's side
FEWEST_PIXELS = 4  # of the ring, to judge by
LEAST_SPREAD = 0.01  # median deviation of the ring, so that flat surroundings do not make any difference a lesion


def measure_contrast(image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """How much brighter each box is than the ring around it, in deviations of the ring, for each channel.

    The difference of the medians over the ring's median absolute deviation: a few bright pixels of the skull in a ring
    or box at the brain's border would otherwise hide a lesion, or pass for one. The ring reaches half the box's sides
    beyond it, is clipped to the image and leaves pixels of any box out, since other lesions are no normal surroundings.
    What lies outside the head is left out of box and ring; fluid inside the head counts, however dark.

    Args:
        image: (C, X, Y) in [-1, 1].
        boxes: (n, 4) in pixels; every pixel that a box touches counts as inside.

    Returns:
        (n, C); 0 for a box that lies wholly outside the head, NaN where a ring of fewer than 4 pixels is left.
    """
    pixels = np.asarray(image, dtype=np.float64)
    head = find_head(np.median(pixels, axis=0) > BACKGROUND)  # (X, Y)
    spans = [find_span(box, head.shape) for box in boxes]
    free = head.copy()
    for span in spans:
        free[span] = False
    contrasts = np.full((len(boxes), len(pixels)), np.nan)
    for n, (box, span) in enumerate(zip(boxes, spans, strict=True)):
        reach = RING * np.tile(np.asarray(box[2:], dtype=float) - box[:2], 2) * (-1, -1, 1, 1)
        outer = find_span(box + reach, head.shape)
        ring, inside = pixels[:, *outer][:, free[outer]], pixels[:, *span][:, head[span]]  # (C, m) each
        if not inside.shape[1]:
            contrasts[n] = 0
        elif ring.shape[1] >= FEWEST_PIXELS:
            middle = np.median(ring, axis=1)  # (C,)
            spread = np.median(np.abs(ring - middle[:, None]), axis=1)
            contrasts[n] = (np.median(inside, axis=1) - middle) / np.maximum(spread, LEAST_SPREAD)
    return contrasts


def find_direction(contrasts: np.ndarray) -> np.ndarray:
    """What real lesions look like on average: the mean of their contrasts (n, C) as a unit vector (C,).

    Contrast along it tells lesions from other places better than the largest contrast of any channel does: a box must
    differ from its surroundings as lesions differ, brighter or darker in each channel.

    Raises:
        ValueError: no box that could be judged, or contrasts that cancel out.
    """
    known = contrasts[~np.isnan(contrasts).any(axis=1)]
    mean = known.mean(axis=0) if len(known) else np.zeros(contrasts.shape[1])
    length = np.linalg.norm(mean)
    if length == 0:
        raise ValueError(
            f"The {len(contrasts)} real boxes have no mean contrast to their surroundings to judge synthetic ones by. "
            "Judge with a detector: pass --model_file."
        )
    return mean / length


def lesion_shares(lesion: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Share (n,) of each box that is lesion, in [0, 1]; NaN for a box outside the image.

    Args:
        lesion: (X, Y) boolean, all lesions of an image.
        boxes: (n, 4) in pixels; every pixel that a box touches counts as inside.
    """
    covered = [lesion[find_span(box, lesion.shape)] for box in boxes]
    return np.array([inside.mean() if inside.size else np.nan for inside in covered])


def area_inside(lesion: np.ndarray, boxes: np.ndarray) -> float:
    """Share of the lesions' area (X, Y) that lies in any of the boxes (n, 4), in [0, 1]; NaN without lesion."""
    asked = np.zeros(lesion.shape, dtype=bool)
    for box in boxes:
        asked[find_span(box, lesion.shape)] = True
    return float((lesion & asked).sum() / lesion.sum()) if lesion.any() else np.nan


def pair_with_others(patients: Sequence[str], seed: int = 0) -> np.ndarray:
    """Another of n elements for each, of another patient where none has more than half of them; each is used once.

    Returns:
        (n,) places 0..n-1, a permutation; only a single element is paired with itself.
    """
    names, owners = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(owners))
    order = order[np.argsort(rng.permutation(len(names))[owners[order]], kind="stable")]  # one patient after another
    largest = int(np.bincount(owners).max(initial=0))
    partners = np.empty_like(order)
    partners[order] = np.roll(order, largest if largest < len(order) else 1)  # a step past the patient's own elements
    return partners


def mirror_boxes(boxes: np.ndarray, size: int) -> np.ndarray:
    """The boxes at their places in the other half of the head, without those that touch one of `boxes`.

    They hold no annotated lesion: how many of them pass for lesions says how far the contrast can be trusted. Boxes are
    (n, 4) in pixels, `size` is that of the image along x, the axis from right to left.
    """
    mirrored = np.stack([size - boxes[:, 2], boxes[:, 1], size - boxes[:, 0], boxes[:, 3]], axis=1)
    low = np.maximum(mirrored[:, None, :2], boxes[None, :, :2])  # (n, n, 2)
    high = np.minimum(mirrored[:, None, 2:], boxes[None, :, 2:])
    return mirrored[~np.all(low < high, axis=2).any(axis=1)]


def find_span(box: np.ndarray, shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Pixels of an image of `shape` (X, Y) that a box (4,) touches; empty where it lies outside."""
    first, last = np.floor(box[:2]).astype(int), np.ceil(box[2:]).astype(int)
    x, y = (slice(max(0, a), max(0, min(b, side))) for a, b, side in zip(first, last, shape, strict=True))
    return x, y
