"""Which generator to take and which of its images to keep (Karki et al. 2020, sections 3.2 and 4.2).

The paper names three criteria: how well a segmenter finds the asked lesion in the image (FCN score), how sharp the
image is, and how many images a classifier of real and generated images takes for real. It does not say how it weighed
them: here candidates are ranked by each and the mean rank decides, and an image is kept if it passes a minimum of each.
Two criteria are added: whether every asked label appears, and whether the image is no copy of a training image.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

RANKED = ("fcn_score", "sharpness", "realness", "novelty")  # what candidates are ranked by
CRITERIA = (*RANKED, "presence")


@dataclass(frozen=True)
class Rules:
    """Minima that an image must reach, 0 for none; a criterion that was not measured (NaN) is passed."""

    fcn_score: float = 0.0  # Dice of the segmenter's prediction with the asked mask, mean over the labels, 0..1
    sharpness: float = 0.0  # as a share of the median of real training images
    realness: float = 0.0  # the classifier's probability of "real", 0..1; the paper's threshold is 10%
    novelty: float = 0.0  # share of held-out real images that lie nearer to a training image, 0..1
    presence: float = 0.0  # Dice of the asked label that the segmenter finds worst, 0..1
    kept_share: float = 0.25  # if fewer images pass, the best by mean rank are kept up to this share of all, 0..1

    def __post_init__(self) -> None:
        for name in ("fcn_score", "realness", "novelty", "presence", "kept_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"minimum_{name} is {getattr(self, name)}, expected a share from 0 to 1.")
        if self.sharpness < 0:
            raise ValueError(f"minimum_sharpness is {self.sharpness}, expected 0 or more times the real median.")


@dataclass(frozen=True)
class Judgement:
    """Verdict on images: `kept` (n,) bool, `failed` criterion -> (n,) bool, and whether `kept_share` had to step in."""

    kept: np.ndarray
    failed: dict[str, np.ndarray]
    topped_up: bool


def rank_candidates(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """Mean rank of each candidate over the criteria, 1 = best; higher scores are better, ties share their mean rank.

    Args:
        scores: candidate -> criterion of `RANKED` -> mean over its images; a criterion that is NaN for any candidate
            is left out for all.
    """
    names = list(scores)
    ranks = []
    for criterion in RANKED:
        values = np.array([scores[name][criterion] for name in names])
        if not np.isnan(values).any():
            ranks.append(stats.rankdata(-values, method="average"))
    if not ranks:
        return dict.fromkeys(names, 1.0)
    return dict(zip(names, np.mean(ranks, axis=0).tolist(), strict=True))


def choose_candidate(scores: Mapping[str, Mapping[str, float]], *, least_novel: float = 0.0) -> str:
    """The candidate with the best mean rank; of equals the one with the higher FCN score, the main criterion.

    One of whose images a smaller share than `least_novel` is novel is chosen only where all are such: copies of
    training images win by every other score.
    """
    ranks = rank_candidates(scores)

    def order(name: str) -> tuple[bool, float, float, str]:
        own = scores[name]
        return own["novelty"] < least_novel, ranks[name], -np.nan_to_num(own["fcn_score"], nan=-1.0), name

    return min(ranks, key=order)


def judge_images(rows: Sequence[Mapping[str, Any]], rules: Rules, *, real_sharpness: float) -> Judgement:
    """Which images pass all minima.

    Args:
        rows: one per image, with the keys of `CRITERIA`.
        rules: the minima.
        real_sharpness: median sharpness of real training images, the unit of `rules.sharpness`.
    """
    values = {name: np.array([float(row[name]) for row in rows]) for name in CRITERIA}
    minima = {name: getattr(rules, name) * (real_sharpness if name == "sharpness" else 1) for name in CRITERIA}
    failed = {name: values[name] < minima[name] for name in CRITERIA}  # NaN < x is False
    kept = ~np.any(list(failed.values()), axis=0)
    least = int(np.ceil(rules.kept_share * len(rows)))
    if kept.sum() >= least:
        return Judgement(kept, failed, topped_up=False)
    known = [stats.rankdata(-values[name]) for name in RANKED if not np.isnan(values[name]).any()]
    ranks = np.mean(known or [np.arange(len(rows))], axis=0)
    # those that pass first, then those that are no copies, then by rank
    order = np.lexsort((np.arange(len(rows)), ranks, failed["novelty"], ~kept))
    topped = np.zeros(len(rows), dtype=bool)
    topped[order[:least]] = True
    return Judgement(topped, failed, topped_up=True)


def mean_of_unseen(values: Sequence[float], known: Sequence[Collection[str]], sources: Collection[str]) -> float:
    """Mean of what those networks say of an image that know the fewest of its source patients.

    Cross-fitting by patient: a network scores a copy of an image that it was trained on as it scores that image.

    Args:
        values: of the image, one per network; NaN where it cannot be told.
        known: patients whom each network was trained on.
        sources: patients whom the image owes something to.
    """
    seen = [len(set(sources) & set(patients)) for patients in known]
    return float(np.mean([value for value, count in zip(values, seen, strict=True) if count == min(seen)]))


def measure_novelty(nearest: np.ndarray, held_out: np.ndarray) -> np.ndarray:
    """Share (n,) of held-out real images that lie nearer to a training image than each image does, in 0..1.

    Below .05 an image lies nearer than 95% of held-out images do, and so is about as likely a copy.

    Args:
        nearest: distance (n,) of each image from the training image nearest to it.
        held_out: the same of held-out real images, (m,); NaN where there are none.
    """
    if not len(held_out):
        return np.full(len(nearest), np.nan)
    return np.searchsorted(np.sort(held_out), nearest, side="left") / len(held_out)
