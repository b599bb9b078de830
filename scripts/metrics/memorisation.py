"""Whether a synthetic set repeats training images more often than images of new patients would."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from scripts.metrics.statistics import RESAMPLES, PatientMean, average_by_patient, expanded_percentiles

LEVEL = 0.05  # of both tests of a set, by pixels and by features, after Bonferroni
LOW_SHARE = 0.05  # of held-out patients whose images lie below the threshold
SMALLEST = 1e-3  # is added to distances, so that a copy of both has no ratio 0 / 0


@dataclass(frozen=True)
class CopyTest:
    """The images of a set that count as copies, and whether they are more than chance allows."""

    ratios: np.ndarray  # (n,) distance to the nearest training image, over that to the nearest held-out one
    real_ratios: np.ndarray  # (h,) the same of held-out images, over that to the nearest of another held-out patient
    threshold: float  # a smaller ratio makes a copy
    copies: float  # share of the images, mean over their patients
    expected: float  # that share among images of new patients
    p: float  # of as many copies or more among images of new patients
    told: bool  # whether half of the images being copies would have been told at this level


def find_copies(
    measure: Callable[[np.ndarray, np.ndarray], np.ndarray],
    made: np.ndarray,
    training: np.ndarray,
    held_out: np.ndarray,
    *,
    patients: Sequence[str],
    held_out_patients: Sequence[str],
    level: float = LEVEL,
) -> CopyTest:
    """Tests a synthetic set, calibrated on held-out real images.

    An image's ratio is its distance to the nearest training image over that to the nearest held-out one. So images
    that lie near to everything, such as blurred ones, are no copies, and numbers of training and held-out images cancel
    out: the same ratio of held-out images, without the own patient, is what images of new patients have. The threshold
    is where k of h held-out patients lie below, 5% of them, at least one. Were the n synthetic patients like these,
    the number of those below it would be beta-binomial, BB(n, k, h + 1 - k), whatever the distributions are
    (a precedence test; Nelson 1963). Images of one patient, or made from one patient's mask, are as much as one image.

    Args:
        measure: distances (n, m) of n images from m others, such as `scripts.metrics.nearest.image_distances`.
        made, training, held_out: synthetic, training and held-out images, as `measure` takes them.
        patients: of the synthetic images, or of their masks; each its own where it was made without a mask.
        held_out_patients: of the held-out images.
        level: of this test; an audit by pixels and by features makes two, each at half the level.

    Raises:
        ValueError: held-out images of fewer than two patients.
    """
    owners = np.asarray(held_out_patients)
    if len(np.unique(owners)) < 2:
        raise ValueError(f"{len(np.unique(owners))} held-out patient to calibrate on, expected two or more.")
    others = np.where(owners[:, None] == owners, np.inf, measure(held_out, held_out))
    ratios = _ratio(measure(made, training), measure(made, held_out))
    real_ratios = _ratio(measure(held_out, training), others)

    # The threshold: k patients' worth of held-out images lie at it or below.
    real_weights = _patient_weights(owners)
    count = len(np.unique(owners))
    k = max(1, int(LOW_SHARE * (count + 1)))
    order = np.argsort(real_ratios)
    place = int(np.searchsorted(np.cumsum(real_weights[order]), k - 1e-9))
    threshold = float(real_ratios[order][place])

    # As many of the synthetic patients below it, or more.
    weights = _patient_weights(np.asarray(patients))
    units = round(float(weights.sum()))
    below = float(weights[ratios < threshold].sum())
    by_chance = stats.betabinom(units, k, count + 1 - k)
    return CopyTest(
        ratios=ratios,
        real_ratios=real_ratios,
        threshold=threshold,
        copies=below / units,
        expected=k / (count + 1),
        p=float(by_chance.sf(int(below + 1e-9) - 1)),
        told=bool(by_chance.sf(units // 2 - 1) <= level / 2),
    )


def membership_auc(
    training: ArrayLike, held_out: ArrayLike, *, patients: tuple[Sequence[str], Sequence[str]], seed: int = 0
) -> PatientMean:
    """How well a discriminator's scores tell training images from held-out ones: .5 not at all, 1 always.

    The area under the ROC curve over patients' mean scores, with its 95% bootstrap interval over patients: the
    membership inference of Hayes et al. (LOGAN, PETS 2019), who rank images by the discriminator.
    """
    means = [average_by_patient(owner, score)[1] for owner, score in zip(patients, (training, held_out), strict=True)]
    counts = [len(mean) for mean in means]
    order = (means[0][:, None] > means[1]) + 0.5 * (means[0][:, None] == means[1])  # (n, h)
    rng = np.random.default_rng(seed)
    drawn, others = (rng.multinomial(count, np.full(count, 1 / count), RESAMPLES) / count for count in counts)
    low, high = expanded_percentiles(((drawn @ order) * others).sum(axis=1), min(counts))
    return PatientMean(float(order.mean()), low, high, sum(counts))


def _ratio(to_training: np.ndarray, to_held_out: np.ndarray) -> np.ndarray:
    return np.asarray((to_training.min(axis=1) + SMALLEST) / (to_held_out.min(axis=1) + SMALLEST))


def _patient_weights(owners: np.ndarray) -> np.ndarray:
    """Weights (n,) of images that sum up to 1 over each patient's."""
    _, place, counts = np.unique(owners, return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[place])
